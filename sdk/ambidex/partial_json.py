"""JSON as it comes: after each piece of text, the value as far as it is certain. Tolerant, linear, no I/O.

Strings grow letter by letter; numbers and words (`true`) appear when they are over, keys when their value begins. What
is no JSON ends it: the value stays as it was.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

MAX_DEPTH = 100
"""Lists and objects inside each other; what goes deeper ends the reading."""

MAX_HELD = 1000
"""Characters of a number."""

_PLAIN = re.compile(r'[^"\\\x00-\x1f]+')
_SPACE = re.compile(r"[ \t\r\n]+")
_WORD = re.compile(r"[-+.\w]+")
_ESCAPE = re.compile(r'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})')
_PAIR = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_HIGH = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,400})(?:\.[0-9]{1,400})?(?:[eE][-+]?[0-9]{1,4})?")
_FENCE = re.compile(r"\s*(?:```[a-zA-Z0-9]*\n\s*)?")
_OPENING_FENCE = re.compile(r"`{1,3}|```[a-zA-Z0-9]*\s*")

_NOTHING: Final = object()
_WORDS = {"true": True, "false": False, "null": None}


class PartialJson:
    """`feed` text; `value` is what it says so far. One code fence around it is passed over.

    Every `value` is a value of its own; those that follow share with it what is complete.
    """

    def __init__(self) -> None:
        self._frames: list[_Frame] = []
        self._root: Any = _NOTHING
        self._expects: str = "start"
        self._string: list[str] | None = None
        self._is_key = False
        self._held = ""  # the start of an escape, a word or a number, or what stands before the value
        self._since = 0

    @property
    def has_value(self) -> bool:
        return self._root is not _NOTHING or bool(self._frames) or self._string is not None

    @property
    def value(self) -> Any:
        """The value so far; None where there is none yet."""
        open_value: Any = _NOTHING
        if self._string is not None and not self._is_key:
            open_value = "".join(self._string)
        for frame in reversed(self._frames):
            open_value = frame.with_last(open_value)
        if open_value is _NOTHING:
            open_value = self._root
        return None if open_value is _NOTHING else open_value

    def feed(self, text: str) -> bool:
        """Whether it is time to look at `value` again: it changed, and by enough for what looking costs."""
        if self._expects in ("nothing", "end"):
            return False
        self._since += self._read(self._held + text if self._string is None else text)
        if not self.has_value or self._since == 0 or self._since * 8 < self._cost():
            return False
        self._since = 0
        return True

    def _cost(self) -> int:
        """Of making `value`, in steps of about one character's reading."""
        letters = 0 if self._string is None else sum(map(len, self._string[-64:])) + len(self._string)
        return sum(len(frame.items) for frame in self._frames) + letters // 16

    def _read(self, text: str) -> int:
        """How many changes there were."""
        at = changes = 0
        if self._string is None:
            self._held = ""
        while at < len(text):
            if self._expects in ("nothing", "end"):
                return changes
            if self._string is not None:
                at, changed = self._in_string(text, at)
            elif self._expects == "start":
                at, changed = self._before(text, at), False
            elif (space := _SPACE.match(text, at)) is not None:
                at, changed = space.end(), False
            else:
                at, changed = self._token(text, at)
            changes += changed
        return changes

    def _before(self, text: str, at: int) -> int:
        """Space, and one opening fence."""
        found = _FENCE.match(text, at)
        assert found is not None
        if found.end() < len(text) and not text.startswith("`", found.end()):
            self._expects = "value"
            return found.end()
        held = text[at:].lstrip()
        if len(held) > MAX_HELD or (held and _OPENING_FENCE.fullmatch(held) is None):
            self._expects = "nothing"
        self._held = held
        return len(text)

    def _token(self, text: str, at: int) -> tuple[int, bool]:
        sign = text[at]
        match self._expects, sign:
            case ("value" | "value or ]", '"'):
                self._string, self._is_key = [], False
                return at + 1, True
            case ("key" | "key or }", '"'):
                self._string, self._is_key = [], True
                return at + 1, False
            case ("value" | "value or ]", "{" | "["):
                if len(self._frames) >= MAX_DEPTH:
                    self._expects = "nothing"
                    return at, False
                self._frames.append(_Frame(sign == "{"))
                self._expects = "key or }" if sign == "{" else "value or ]"
                return at + 1, True
            case (":", ":"):
                self._expects = "value"
                return at + 1, False
            case ("comma", ","):
                self._expects = "key" if self._frames[-1].is_object else "value"
                return at + 1, False
            case ("comma", "]" | "}") | ("value or ]", "]") | ("key or }", "}"):
                if (sign == "}") != self._frames[-1].is_object:
                    self._expects = "nothing"
                    return at, False
                self._complete(self._frames.pop().whole())
                return at + 1, True
            case ("value" | "value or ]", _) if (word := _WORD.match(text, at)) is not None:
                return self._word(text, word)
            case _:
                self._expects = "nothing"
                return at, False

    def _word(self, text: str, found: re.Match[str]) -> tuple[int, bool]:
        if found.end() == len(text):  # it may go on
            self._held = found[0]
            self._expects = self._expects if len(found[0]) < MAX_HELD else "nothing"
            return found.end(), False
        if found[0] in _WORDS:
            self._complete(_WORDS[found[0]])
        elif _NUMBER.fullmatch(found[0]):
            self._complete(json.loads(found[0]))
        else:
            self._expects = "nothing"
            return found.end(), False
        return found.end(), True

    def _in_string(self, text: str, at: int) -> tuple[int, bool]:
        assert self._string is not None
        if self._held:
            return self._in_escape(text, at)
        if (plain := _PLAIN.match(text, at)) is not None:
            self._string.append(plain[0])
            return plain.end(), not self._is_key
        if text[at] == "\\":
            self._held = "\\"
            return at + 1, False
        if text[at] != '"':
            self._expects = "nothing"
            return at, False
        whole, self._string = "".join(self._string), None
        if self._is_key:
            self._frames[-1].key = whole
            self._expects = ":"
            return at + 1, False
        self._complete(whole)
        return at + 1, True

    def _in_escape(self, text: str, at: int) -> tuple[int, bool]:
        """One character of an escape; the first half of a pair waits for the second."""
        assert self._string is not None
        held = self._held + text[at]
        if _PAIR.fullmatch(held) or (_ESCAPE.fullmatch(held) and not _HIGH.fullmatch(held)):
            letter: str = json.loads(f'"{held}"')
            self._string.append("\ufffd" if "\ud800" <= letter <= "\udfff" else letter)
            self._held = ""
            return at + 1, not self._is_key
        if _HIGH.match(held) and len(held) > 6 and not _beginning_of_low(held[6:]):
            self._string.append("\ufffd")  # half a pair stands alone
            self._held = held[6:-1]
            return at, not self._is_key
        if not _HIGH.match(held) and not _beginning_of_escape(held):
            self._expects = "nothing"
            return at, False
        self._held = held
        return at + 1, False

    def _complete(self, value: Any) -> None:
        if not self._frames:
            self._root, self._expects = value, "end"
            return
        self._frames[-1].add(value)
        self._expects = "comma"


def _beginning_of_escape(held: str) -> bool:
    return re.fullmatch(r"\\(?:u[0-9a-fA-F]{0,4})?", held) is not None


def _beginning_of_low(held: str) -> bool:
    return re.fullmatch(r"\\(?:u(?:[dD](?:[c-fC-F][0-9a-fA-F]{0,2})?)?)?", held) is not None


class _Frame:
    """An open list or object."""

    def __init__(self, is_object: bool) -> None:
        self.is_object = is_object
        self.items: list[Any] = []
        self.key: str | None = None
        self._keys: list[str] = []

    def add(self, value: Any) -> None:
        self.items.append(value)
        if self.is_object:
            self._keys.append(self.key or "")
            self.key = None

    def with_last(self, open_value: Any) -> Any:
        """What it holds, and the value that is still open."""
        items = self.items if open_value is _NOTHING else [*self.items, open_value]
        if not self.is_object:
            return list(items)
        keys = self._keys if open_value is _NOTHING else [*self._keys, self.key or ""]
        return dict(zip(keys, items, strict=True))

    def whole(self) -> Any:
        return self.with_last(_NOTHING)
