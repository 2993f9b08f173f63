"""The text of a JSON string as the value of an object's only member, up to the object's end."""

from __future__ import annotations

import json

from .lenient_json import LenientReader


class StringText:
    """Reads `"text"}`; then `text` is it, or everything that was read if it is something else."""

    def __init__(self, opening: str) -> None:
        self.ended = False
        self.text = ""
        self.rest = ""
        self._raw = [opening]
        self._reader = LenientReader()
        self._reader.feed('{"text":', 0, 8)

    def feed(self, text: str, start: int) -> int:
        at = self._reader.feed(text, start, len(text))
        self._raw.append(text[start:at])
        if self._reader.complete or self._reader.problem is not None:
            self._end()
        return at

    def close(self, unread: str) -> None:
        if not self.ended:
            self._raw.append(unread)
            self._end()

    def _end(self) -> None:
        self.ended = True
        value = json.loads("".join(part.text for part in self._reader.fragments)) if self._reader.complete else {}
        text = value.get("text")
        self.text = text if isinstance(text, str) else "".join(self._raw)
