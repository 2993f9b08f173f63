"""Control characters made visible: what a model or a tool says must not steer the terminal that shows it."""

from __future__ import annotations

import re

# C0 but tab and newline, DEL, C1, and the characters that reorder what is shown around them (Unicode TR 9, 2.1 to 2.4).
_STEERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    """`text` with a picture such as ␛ or a name such as <U+009B> for each character that would steer a terminal."""
    return _STEERS.sub(_picture, text)


def _picture(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else f"<U+{code:04X}>"
