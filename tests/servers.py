"""Servers for tests that need one script or one function only, on what `ambidex.testing.faults` has.

with chat_server(lambda body: text("Hello")) as url:          # "http://127.0.0.1:<port>/v1"
    Chat(f"{url}#any").ask("Hi")
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, TypeAlias

from ambidex.testing.faults import Behaviour, Chunk, Exchange, FaultServer, Step, calls, chunk, text, usage

__all__ = ["Behaviour", "Chunk", "Exchange", "calls", "chat_server", "chunk", "serve", "text", "usage"]

Script: TypeAlias = Callable[[dict[str, Any]], Step]


@contextmanager
def serve(handler: Behaviour) -> Generator[str]:
    """A server that hands every request to `handler`; gives its address, "http://127.0.0.1:<port>"."""
    with FaultServer(handler) as server:
        yield server.address()


@contextmanager
def chat_server(script: Script, *, models: tuple[str, ...] = ("test-model",)) -> Generator[str]:
    """A server whose chat and completion routes answer as `script` says; its base URL, which ends in /v1."""

    def handler(exchange: Exchange) -> Step | None:
        path = exchange.path.partition("?")[0]
        if exchange.method == "POST" and path.endswith("/completions"):
            return script(exchange.json)
        if exchange.method == "GET" and path.endswith("/models"):
            exchange.reply(200, {"object": "list", "data": [{"id": name, "object": "model"} for name in models]})
        else:
            exchange.reply(404, {"error": {"message": f"no route {path}"}})
        return None

    with serve(handler) as address:
        yield f"{address}/v1"
