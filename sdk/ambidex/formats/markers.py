"""Finds the tags of a format in text that comes in pieces."""

from __future__ import annotations

import re
from collections.abc import Sequence


class Markers:
    """Some texts to look for, the longest first where one begins another."""

    def __init__(self, markers: Sequence[str]) -> None:
        self._markers = tuple(markers)
        self._pattern = re.compile("|".join(map(re.escape, sorted(markers, key=len, reverse=True))) or "(?!)")
        self._longest = max(map(len, markers), default=0)

    def search(self, text: str, start: int) -> tuple[int, str | None]:
        """Where the first marker begins, and which. None: there is none, but one may begin at the place returned."""
        if found := self._pattern.search(text, start):
            return found.start(), found[0]
        return self.partial(text, start), None

    def partial(self, text: str, start: int) -> int:
        """From where `text`, which holds no whole marker, may begin one; its length if nowhere."""
        for at in range(max(start, len(text) - self._longest + 1), len(text)):
            if any(marker.startswith(text[at:]) for marker in self._markers):
                return at
        return len(text)
