"""A chat server in a process of its own, for many requests at a time: `python stalling_server.py` prints its port.

The first part of the path says how it behaves, `/half/v1/chat/completions` for instance:

    quick   a whole answer        silent  no answer          head  the head of one, then nothing
    half    head and one event    drip    an event every 2 ms, forever            cut  half, then it hangs up

`/count` tells how many requests it is busy with. It ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import suppress

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def event(content: str = "", finish: str | None = None) -> bytes:
    """One event in an HTTP chunk of its own."""
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": finish}
    data = b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"
    return b"%x\r\n%s\r\n" % (len(data), data)


PIECE = event("piece ")
WHOLE = HEAD + PIECE * 3 + event(finish="stop") + b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"


class Server:
    def __init__(self) -> None:
        self.busy = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, request after request."""
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                lines = head.lower().split(b"\r\n")
                length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
                await reader.readexactly(length)
                behaviour = head.split(b"/", 2)[1].split()[0].decode()
                if behaviour == "count":
                    body = str(self.busy).encode()
                    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
                    continue
                self.busy += 1
                try:
                    if not await self.answer(behaviour, reader, writer):
                        break
                finally:
                    self.busy -= 1
        writer.close()

    async def answer(self, behaviour: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection serves another request."""
        if behaviour == "quick":
            writer.write(WHOLE)
            return True
        if behaviour != "silent":
            writer.write(HEAD)
        if behaviour in ("half", "cut"):
            writer.write(PIECE)
        gone = asyncio.ensure_future(reader.read(1))
        while behaviour == "drip" and not gone.done():
            writer.write(PIECE)
            await asyncio.wait([gone], timeout=0.002)
        if behaviour == "cut":
            gone.cancel()
        await asyncio.wait([gone])
        if not gone.cancelled():
            gone.exception()  # a reset is as good an end as any
        return False


async def main() -> None:
    server = await asyncio.start_server(Server().serve, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    os._exit(0)  # whoever is still connected does not matter any more


if __name__ == "__main__":
    asyncio.run(main())
