"""`TextPieces`: a text that comes in pieces."""

from __future__ import annotations

_BLOCK = 1024
"""So many pieces become one: a piece of two characters takes forty times its size."""


class TextPieces:
    """`add` piece after piece; `str()` is the text so far. False while there is none."""

    __slots__ = ("_blocks", "_pieces")

    def __init__(self) -> None:
        self._blocks: list[str] = []
        self._pieces: list[str] = []

    def add(self, text: str) -> None:
        self._pieces.append(text)
        if len(self._pieces) >= _BLOCK:
            self._blocks.append("".join(self._pieces))
            self._pieces.clear()

    def __str__(self) -> str:
        return "".join([*self._blocks, *self._pieces])

    def __bool__(self) -> bool:
        return bool(self._blocks or self._pieces)
