"""Text whose characters above U+FFFF servers cut in two: JSON escapes of halves in two events."""

from __future__ import annotations


class WholeText:
    """`feed` pieces; gives text of whole characters. A half that stays alone becomes U+FFFD."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        text = self._held + piece
        self._held = ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            text, self._held = text[:-1], text[-1]
        return _joined(text)

    def end(self) -> str:
        text, self._held = self._held, ""
        return _joined(text)


def _joined(text: str) -> str:
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
