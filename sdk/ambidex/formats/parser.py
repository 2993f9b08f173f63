"""`Parser`: what reads one answer of a model as it comes."""

from __future__ import annotations

from typing import Protocol

from ambidex.events import Event


class Parser(Protocol):
    """Reads one answer. After `close` it is used up."""

    def feed(self, text: str) -> list[Event]: ...

    def close(self) -> list[Event]: ...
