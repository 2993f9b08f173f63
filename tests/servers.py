"""A chat server on real sockets, for tests: it speaks OpenAI's wire, and breaks it wherever a test wants.

    with chat_server(lambda body: text("Hello")) as url:          # "http://127.0.0.1:<port>/v1"
        Chat(f"{url}#any").ask("Hi")

The script sees the body of each chat request and gives the chunks to stream, or a function that does what it likes
with the open connection (an `Exchange`). `serve` is the same for any path. Mocks cannot show resets, slow bytes or
half-sent chunks; this can.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import threading
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from typing import Any, TypeAlias

Chunk: TypeAlias = dict[str, Any]
Behaviour: TypeAlias = "Callable[[Exchange], None]"
Script: TypeAlias = "Callable[[dict[str, Any]], Iterable[Chunk] | Behaviour]"


class Exchange:
    """One request, read whole, and the connection on which it is answered."""

    def __init__(
        self,
        connection: socket.socket,
        method: str,
        path: str,
        headers: dict[str, str],
        body: bytes,
        stop: threading.Event,
    ) -> None:
        self.method, self.path, self.headers, self.body = method, path, headers, body
        self.stop = stop
        self._connection = connection

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body else {}

    @property
    def peer_port(self) -> int:
        """The client's port: which of its connections this is."""
        port: int = self._connection.getpeername()[1]
        return port

    def send(self, data: bytes) -> None:
        """Bytes as they are."""
        self._connection.sendall(data)

    def reply(
        self, status: int, body: bytes | str | Any, headers: Mapping[str, str] | None = None, *, kind: str | None = None
    ) -> None:
        """A whole answer; anything but str and bytes is sent as JSON."""
        if not isinstance(body, (bytes, str)):
            body, kind = json.dumps(body), kind or "application/json"
        data = body.encode() if isinstance(body, str) else body
        lines = {"content-type": kind or "text/plain", "content-length": str(len(data)), **(headers or {})}
        self.send(_head(status, lines) + data)

    def begin(self, headers: Mapping[str, str] | None = None) -> None:
        """The head of an event stream, chunked."""
        lines = {"content-type": "text/event-stream", "transfer-encoding": "chunked", **(headers or {})}
        self.send(_head(200, lines))

    def piece(self, data: bytes) -> None:
        """One HTTP chunk."""
        self.send(b"%x\r\n%s\r\n" % (len(data), data))

    def event(self, data: Chunk | str, name: str | None = None) -> None:
        """One server-sent event in a chunk of its own."""
        text = data if isinstance(data, str) else json.dumps(data)
        self.piece((f"event: {name}\n" if name else "").encode() + f"data: {text}\n\n".encode())

    def end(self) -> None:
        """The proper end of a chunked body."""
        self.send(b"0\r\n\r\n")

    def stream(self, chunks: Iterable[Chunk], *, done: bool = True) -> None:
        """All of it, as a well-behaved server does."""
        self.begin()
        for chunk in chunks:
            self.event(chunk)
        if done:
            self.event("[DONE]")
        self.end()

    def hang(self) -> None:
        """Nothing more, until the test is over or the client has gone."""
        self._connection.settimeout(0.05)
        while not self.stop.is_set():
            with suppress(TimeoutError):
                if not self._connection.recv(1024):
                    break
        self.close()

    def wait(self, seconds: float) -> None:
        self.stop.wait(seconds)

    def close(self) -> None:
        """A clean end of the connection (FIN)."""
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()

    def reset(self) -> None:
        """A hard one (RST)."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self._connection.detach())  # close() would wait for the reader of requests


@contextmanager
def serve(handler: Behaviour) -> Generator[str]:
    """A server that hands every request to `handler`; gives its address, "http://127.0.0.1:<port>"."""
    stop = threading.Event()
    threads: list[threading.Thread] = []
    connections: list[socket.socket] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connections.append(connection)
            thread = threading.Thread(target=_serve_connection, args=(connection, handler, stop), daemon=True)
            threads.append(thread)
            thread.start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        stop.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join(10)
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(10)
        for connection in connections:
            connection.close()


@contextmanager
def chat_server(script: Script, *, models: tuple[str, ...] = ("test-model",)) -> Generator[str]:
    """A server whose chat and completion routes answer as `script` says; its base URL, which ends in /v1."""

    def handler(exchange: Exchange) -> None:
        path = exchange.path.partition("?")[0]
        if exchange.method == "GET" and path.endswith("/models"):
            exchange.reply(200, {"object": "list", "data": [{"id": name, "object": "model"} for name in models]})
        elif exchange.method == "POST" and path.endswith("/completions"):
            answer = script(exchange.json)
            if callable(answer):
                answer(exchange)
            else:
                exchange.stream(answer)
        else:
            exchange.reply(404, {"error": {"message": f"no route {path}"}})

    with serve(handler) as address:
        yield f"{address}/v1"


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **fields: Any) -> Chunk:
    """One chunk of a chat's stream."""
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "served", "choices": [choice], **fields}


def usage(asked: int = 3, answered: int = 5) -> Chunk:
    """The chunk with the counts, which comes after the finish reason and has no choices."""
    counts = {"prompt_tokens": asked, "completion_tokens": answered, "total_tokens": asked + answered}
    return {"id": "chatcmpl-1", "model": "served", "choices": [], "usage": counts}


def text(*pieces: str, finish: str = "stop") -> list[Chunk]:
    """An answer of text, in these pieces."""
    deltas = [chunk({"content": piece}, usage=None) for piece in pieces]
    return [chunk({"role": "assistant", "content": ""}), *deltas, chunk({}, finish), usage()]


def calls(*wanted: tuple[str, dict[str, Any]], step: int = 7, finish: str = "tool_calls") -> list[Chunk]:
    """An answer of tool calls (name, arguments), the arguments' JSON in pieces of `step` characters."""
    chunks = [chunk({"role": "assistant", "content": None})]
    for index, (name, arguments) in enumerate(wanted):
        function = {"name": name, "arguments": ""}
        call = {"index": index, "id": f"call_{index}", "type": "function", "function": function}
        chunks.append(chunk({"tool_calls": [call]}))
        encoded = json.dumps(arguments)
        for start in range(0, len(encoded), step):
            piece = {"index": index, "function": {"arguments": encoded[start : start + step]}}
            chunks.append(chunk({"tool_calls": [piece]}))
    return [*chunks, chunk({}, finish), usage()]


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} status", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode()


def _serve_connection(connection: socket.socket, handler: Behaviour, stop: threading.Event) -> None:
    with suppress(OSError, ValueError), connection, connection.makefile("rb") as reader:
        while (request_line := reader.readline()) and not stop.is_set():
            method, path, _ = request_line.decode().split(" ", 2)
            headers: dict[str, str] = {}
            while line := reader.readline().strip():
                name, _, value = line.decode().partition(":")
                headers[name.lower()] = value.strip()
            body = reader.read(int(headers.get("content-length", "0")))
            handler(Exchange(connection, method, path, headers, body, stop))
