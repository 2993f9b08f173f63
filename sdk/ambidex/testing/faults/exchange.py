"""One request as it came, and the connection on which it is answered, or not."""

from __future__ import annotations

import json
import os
import socket
import struct
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, BinaryIO

from .chunks import MODEL, Chunk, completion

MAX_BODY_BYTES = 256 * 1024 * 1024


class Received:
    """A request that reached the server.

    method, path  as on the request line, the query included
    headers       names in lower case; of a repeated one the last value
    body          bytes; empty while a fault that answers before the body has not read it
    at            when its head was read, `time.monotonic` seconds
    connection    which of the server's connections it came on, counted from 0
    place         which request of that connection it is, counted from 0
    """

    def __init__(
        self, method: str, path: str, headers: Mapping[str, str], *, at: float, connection: int, place: int
    ) -> None:
        self.method, self.path, self.headers = method, path, headers
        self.at, self.connection, self.place = at, connection, place
        self.body = b""

    @property
    def json(self) -> Any:
        """The body's value; an empty object for an empty body."""
        return json.loads(self.body) if self.body else {}

    @property
    def streams(self) -> bool:
        """Whether a stream was asked for."""
        return bool(self.body) and b'"stream"' in self.body and self.json.get("stream") is True

    def __repr__(self) -> str:
        return f"<{self.method} {self.path}, {len(self.body)} bytes, connection {self.connection}>"


class Exchange(Received):
    """A request and the open connection: what a behaviour is given. It may answer well, badly or not at all.

    Whatever is left open serves the client's next request. `stop` is set when the server closes, `over` is true when
    this connection was ended from here.
    """

    def __init__(
        self,
        open_socket: socket.socket,
        reader: BinaryIO,
        stop: threading.Event,
        method: str,
        path: str,
        headers: Mapping[str, str],
        *,
        at: float,
        connection: int,
        place: int,
    ) -> None:
        super().__init__(method, path, headers, at=at, connection=connection, place=place)
        self.stop = stop
        self.over = False
        self._socket = open_socket
        self._reader = reader

    @property
    def peer_port(self) -> int:
        """The client's port."""
        port: int = self._socket.getpeername()[1]
        return port

    def read_body(self) -> None:
        """Reads the body; the server has done so, except for an `Early` behaviour."""
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            pieces: list[bytes] = []
            while size := int(self._reader.readline(), 16):
                pieces.append(self._reader.read(size))
                self._reader.readline()
            self._reader.readline()
            self.body = b"".join(pieces)
        else:
            self.body = self._reader.read(min(int(self.headers.get("content-length", "0")), MAX_BODY_BYTES))

    def send(self, data: bytes) -> None:
        """Bytes as they are."""
        self._socket.sendall(data)

    def reply(
        self, status: int, body: bytes | str | Any, headers: Mapping[str, str] | None = None, *, kind: str | None = None
    ) -> None:
        """A whole answer; anything but str and bytes is sent as JSON."""
        if not isinstance(body, (bytes, str)):
            body, kind = json.dumps(body), kind or "application/json"
        data = body.encode() if isinstance(body, str) else body
        lines = {"content-type": kind or "text/plain", "content-length": str(len(data)), **(headers or {})}
        self.send(_head(status, lines) + data)

    def begin(
        self, headers: Mapping[str, str] | None = None, *, status: int = 200, kind: str = "text/event-stream"
    ) -> None:
        """The head of a chunked answer, an event stream unless `kind` says otherwise."""
        self.send(_head(status, {"content-type": kind, "transfer-encoding": "chunked", **(headers or {})}))

    def piece(self, data: bytes) -> None:
        """One HTTP chunk."""
        self.send(b"%x\r\n%s\r\n" % (len(data), data))

    def event(self, data: Chunk | str, name: str | None = None) -> None:
        """One server-sent event in an HTTP chunk of its own."""
        text = data if isinstance(data, str) else json.dumps(data)
        self.piece((f"event: {name}\n" if name else "").encode() + f"data: {text}\n\n".encode())

    def end(self) -> None:
        """The proper end of a chunked body."""
        self.send(b"0\r\n\r\n")

    def stream(self, chunks: Iterable[Chunk], *, done: bool = True) -> None:
        """All of it as a stream, as a well-behaved server sends it."""
        self.begin()
        for chunk in chunks:
            self.event(chunk)
        if done:
            self.event("[DONE]")
        self.end()

    def answer(self, chunks: Iterable[Chunk]) -> None:
        """All of it, as was asked: a stream, one JSON object, or for a GET of `/models` the list of models."""
        if self.method == "GET":
            if self.path.partition("?")[0].endswith("/models"):
                self.reply(200, {"object": "list", "data": [{"id": MODEL, "object": "model"}]})
            else:
                self.reply(404, {"error": {"message": f"no route {self.path}"}})
        elif self.streams:
            self.stream(chunks)
        else:
            self.reply(200, completion(chunks))

    def hang(self) -> None:
        """Nothing more, until the client has gone or the server closes."""
        self._socket.settimeout(0.05)
        while not self.stop.is_set():
            with suppress(TimeoutError):
                if not self._socket.recv(1024):
                    break
        self.close()

    def wait(self, seconds: float) -> None:
        """Sleeps, but no longer than the server runs."""
        self.stop.wait(seconds)

    def join(self, other: socket.socket) -> None:
        """Passes bytes on in both directions, until either side ends."""
        self.over = True
        back = threading.Thread(target=_pass_on, args=(other, self._socket), name="ambidex-faults", daemon=True)
        back.start()
        _pass_on(self._socket, other)
        back.join()

    def end_of_sending(self) -> None:
        """FIN, while what the client still sends is read until it ends."""
        self.over = True
        self._socket.shutdown(socket.SHUT_WR)
        while self._socket.recv(65536):
            pass

    def close(self) -> None:
        """A clean end of the connection (FIN)."""
        self.over = True
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def reset(self) -> None:
        """A hard one (RST)."""
        self.over = True
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self._socket.detach())  # close() would wait for the reader of requests


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for side in (source, target):
        with suppress(OSError):
            side.shutdown(socket.SHUT_RDWR)


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} status", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode()
