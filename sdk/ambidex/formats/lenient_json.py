"""Reads a JSON object as models write them, piece by piece, and writes it as strict JSON.

Text that is strict JSON already comes out unchanged, as soon as it is read. Repaired, and flagged: single quotes,
True, False and None, trailing commas, comments, raw line breaks and unknown escapes in strings. Everything else is a
problem; nothing is ever completed or evaluated. Time is linear, memory is one token and the stack of brackets.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Literal, NamedTuple

from ambidex.strict_json import MAX_DEPTH

MAX_WORD = 400
"""Characters in a number or a literal."""

_SPACE = re.compile(r"[ \t\r\n]+")
_WORD = re.compile(r"[A-Za-z0-9_.+\-]+")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_PLAIN = {'"': re.compile(r'[^"\\\x00-\x1f]+'), "'": re.compile(r"""[^'"\\\x00-\x1f]+""")}
_CONSTANTS = {"true": "true", "false": "false", "null": "null", "True": "true", "False": "false", "None": "null"}
_HEX = frozenset("0123456789abcdefABCDEF")

_Expected = Literal["value", "value or ]", "key", "key or }", ":", ", or end", "nothing"]


class Fragment(NamedTuple):
    """Strict JSON text. `member` is the outermost object's member whose value it belongs to, None around the values;
    `ends` when that value is complete."""

    member: str | None
    text: str
    ends: bool = False


class LenientReader:
    """`feed` text; take the `fragments`; stop when `complete` or when there is a `problem`."""

    def __init__(self) -> None:
        self.fragments: list[Fragment] = []
        self.complete = False
        self.repaired = False
        self.problem: str | None = None
        self._stack: list[str] = []
        self._expected: _Expected = "value"
        self._state: Callable[[str, int, int], int] = self._between
        self._comma = ""  # a comma and the space after it, until it is known that something follows
        self._word = ""
        self._quote = ""
        self._is_key = False
        self._key: list[str] = []
        self._member: str | None = None
        self._members: set[str] = set()

    def feed(self, text: str, start: int, end: int) -> int:
        """Reads `text[start:end]`; returns where it stopped: after the object, at a problem, or at `end`."""
        at = start
        while at < end and not self.complete and self.problem is None:
            at = self._state(text, at, end)
        return at

    def _between(self, text: str, at: int, end: int) -> int:
        """Between two tokens."""
        if space := _SPACE.match(text, at, end):
            if self._comma:
                self._comma += space[0]
            else:
                self._write(space[0])
            return space.end()
        character = text[at]
        if character in "\"'":
            self._begin_string(character)
        elif character in "{[":
            self._open(character)
        elif character in "}]":
            self._close(character)
        elif character == "," and self._expected == ", or end":
            self._comma = ","
            self._expected = "key" if self._stack[-1] == "{" else "value"
        elif character == ":" and self._expected == ":":
            self._write(":")
            self._expected = "value"
        elif character in "/#":
            self.repaired = True
            self._state = self._comment_start if character == "/" else self._line_comment
        elif _WORD.match(character):
            self._state = self._in_word
            return at
        else:
            self._fail(f"{character!r}")
        return at + 1

    def _begin_string(self, quote: str) -> None:
        self._is_key = self._expected in ("key", "key or }")
        if not self._is_key:
            self._begin_value('"')
        else:
            if len(self._stack) == 1:
                self._key = []
            self._write_key('"')
        self.repaired |= quote == "'"
        self._quote = quote
        self._state = self._string

    def _string(self, text: str, at: int, end: int) -> int:
        write = self._write_key if self._is_key else self._write
        if plain := _PLAIN[self._quote].match(text, at, end):
            write(plain[0])
            return plain.end()
        character = text[at]
        if character == "\\":
            self._word = ""
            self._state = self._escape
        elif character == self._quote:
            write('"')
            self._state = self._between
            if self._is_key:
                self._end_key()
            else:
                self._end_value()
        else:  # a double quote inside single ones, or a raw control character
            self.repaired = True
            write(json.dumps(character)[1:-1])
        return at + 1

    def _escape(self, text: str, at: int, end: int) -> int:
        """After a backslash; `_word` holds `u` and its digits."""
        write = self._write_key if self._is_key else self._write
        character = text[at]
        if self._word or character == "u":
            if self._word and character not in _HEX:
                self._fail(f"{character!r} in a \\u escape")
            self._word += character
            if len(self._word) < 5:
                return at + 1
            write("\\" + self._word)
            self._word = ""
        elif character in '"\\/bfnrt':
            write("\\" + character)
        else:  # \' is ', a line break stays one, and \d was meant as a backslash and a d
            self.repaired = True
            write(json.dumps(character if character in "'\n" else "\\" + character, ensure_ascii=False)[1:-1])
        self._state = self._string
        return at + 1

    def _in_word(self, text: str, at: int, end: int) -> int:
        """In a number or a literal; it is complete when something else follows."""
        word = _WORD.match(text, at, end)
        if word:
            self._word += word[0]
            if len(self._word) > MAX_WORD:
                self._fail(f"a word of more than {MAX_WORD} characters")
            return word.end()
        word_read, self._word = self._word, ""
        self._state = self._between
        strict = _CONSTANTS.get(word_read) or (word_read if _NUMBER.fullmatch(word_read) else None)
        if strict is None:
            self._fail(f"{word_read[:40]!r}")
            return at
        self.repaired |= strict != word_read
        self._begin_value(strict)
        self._end_value()
        return at

    def _comment_start(self, text: str, at: int, end: int) -> int:
        if text[at] == "/":
            self._state = self._line_comment
        elif text[at] == "*":
            self._state = self._block_comment
        else:
            self._fail("'/'")
        return at + 1

    def _line_comment(self, text: str, at: int, end: int) -> int:
        line_end = text.find("\n", at, end)
        if line_end < 0:
            return end
        self._state = self._between
        return line_end

    def _block_comment(self, text: str, at: int, end: int) -> int:
        star = text.find("*", at, end)
        if star < 0:
            return end
        self._state = self._block_comment_end
        return star + 1

    def _block_comment_end(self, text: str, at: int, end: int) -> int:
        """After a star in a block comment."""
        if text[at] == "/":
            self._state = self._between
        elif text[at] != "*":
            self._state = self._block_comment
        return at + 1

    def _open(self, bracket: str) -> None:
        self._begin_value(bracket)
        self._stack.append(bracket)
        self._expected = "key or }" if bracket == "{" else "value or ]"
        if len(self._stack) > MAX_DEPTH:
            self.problem = f"nested deeper than {MAX_DEPTH} levels"

    def _close(self, bracket: str) -> None:
        after_comma = self._comma != ""
        may_end = self._expected in (", or end", "value or ]", "key or }") or after_comma
        if not self._stack or not may_end or self._stack[-1] + bracket not in ("{}", "[]"):
            self._fail(f"{bracket!r}")
            return
        self.repaired |= after_comma
        space, self._comma = self._comma[1:], ""
        self._write(space + bracket)
        self._stack.pop()
        self._end_value()

    def _begin_value(self, text: str) -> None:
        if self._expected not in ("value", "value or ]") or not (self._stack or text == "{"):
            self._fail(f"{text!r}")
            return
        if len(self._stack) == 1:
            self._member = json.loads("".join(self._key))
        comma, self._comma = self._comma, ""
        self._write(comma + text)

    def _end_value(self) -> None:
        self._expected = ", or end"
        if len(self._stack) == 1:
            self.fragments.append(Fragment(self._member, "", ends=True))
            self._member = None
        elif not self._stack:
            self.complete = True
            self._expected = "nothing"

    def _end_key(self) -> None:
        self._expected = ":"
        if len(self._stack) == 1:
            name = json.loads("".join(self._key))
            if name in self._members:
                self.problem = f"the name {name[:80]!r} stands twice in one object"
            self._members.add(name)

    def _write_key(self, text: str) -> None:
        comma, self._comma = self._comma, ""
        if len(self._stack) == 1:
            self._key.append(text)
        self._write(comma + text)

    def _write(self, text: str) -> None:
        if text and self.problem is None:
            self.fragments.append(Fragment(self._member, text))

    def _fail(self, found: str) -> None:
        self.problem = self.problem or f"found {found} where {self._expected} was expected"


def strict_object(text: str) -> tuple[str, bool] | None:
    """One whole object as strict JSON and whether it was repaired; None where there is no complete object."""
    reader = LenientReader()
    end = reader.feed(text, 0, len(text))
    if not reader.complete or text[end:].strip():
        return None
    return "".join(fragment.text for fragment in reader.fragments), reader.repaired
