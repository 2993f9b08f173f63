"""Finds the tags of a format in text that comes in pieces."""

from __future__ import annotations

import re
from collections.abc import Iterable


class Markers:
    """Some texts to look for, the longest first where one begins another."""

    def __init__(self, markers: Iterable[str]) -> None:
        longest_first = sorted(set(markers), key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)) or "(?!)")
        self._beginnings = {marker[:end] for marker in longest_first for end in range(1, len(marker))}
        self._longest = max(map(len, longest_first), default=0)

    def search(self, text: str, start: int, *, at_end: bool = False) -> tuple[int, str | None]:
        """Where the first marker begins, and which. None: there is none, but one may begin at the place returned.

        at_end  no more text will come, so a marker that begins a longer one is found
        """
        found = self._pattern.search(text, start)
        if found is None:
            return (len(text) if at_end else self.partial(text, start)), None
        at = found.start()
        if not at_end and len(text) - at < self._longest and text[at:] in self._beginnings:
            return at, None  # of a longer one
        return at, found[0]

    def partial(self, text: str, start: int) -> int:
        """From where `text`, which holds no whole marker, may begin one; its length if nowhere."""
        for at in range(max(start, len(text) - self._longest + 1), len(text)):
            if text[at:] in self._beginnings:
                return at
        return len(text)
