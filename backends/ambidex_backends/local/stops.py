"""Stop sequences in a stream of text: never a piece of one is given out."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from ambidex.formats.quotation import MARK


class StopMatcher:
    """Passes text on until the first of `stops` occurs, however the text is cut.

    Held back is only the longest end of the text that begins a stop sequence: at most its length less one. The marks of
    quoted tags (`ambidex.formats.Quotation`) are passed on with what follows them, and are no part of what is compared.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.matched: str | None = None

    @property
    def has_any(self) -> bool:
        """Whether there is anything to look for."""
        return bool(self._stops)

    def fork(self) -> StopMatcher:
        """The same so far, and from here on its own."""
        return copy.copy(self)

    def push(self, piece: str) -> str:
        """The text that is certain to come before any stop sequence. Sets `matched` when one is complete."""
        if not self._stops or self.matched is not None:
            return "" if self.matched is not None else piece
        text = self._held + piece
        plain = text.replace(MARK, "")
        found = [(at + len(stop), at, stop) for stop in self._stops if (at := plain.find(stop)) >= 0]
        if found:
            _, at, self.matched = min(found)  # the one that is complete first, else the cut of the text would decide
            self._held = ""
            return text[: _end(text, at)]
        certain = _end(text, len(plain) - max(self._overlap(plain, stop) for stop in self._stops))
        self._held = text[certain:]
        return text[:certain]

    def flush(self) -> str:
        """What was held back, when the text ends."""
        held, self._held = self._held, ""
        return "" if self.matched is not None else held

    @staticmethod
    def _overlap(text: str, stop: str) -> int:
        """Length of the longest end of `text` that begins `stop`."""
        for length in range(min(len(stop) - 1, len(text)), 0, -1):
            if text.endswith(stop[:length]):
                return length
        return 0


def _end(text: str, count: int) -> int:
    """Where the first `count` characters of `text` end that are no marks."""
    if not count or MARK not in text:
        return count
    return [index for index, character in enumerate(text) if character != MARK][count - 1] + 1
