"""Reads a literal as Python, JSON and models write it, piece by piece, and writes it as strict JSON.

Strings come out as they are read, everything else when it is complete. Beside JSON: single and triple quotes, raw
strings, Python's escapes, True, False and None, tuples and sets as arrays, 1_000, 07, .5 and 0x1f, comments, trailing
commas, keys without quotes. Flagged as repaired is what is neither: a raw line break in a string, leading
zeros, keys without quotes, and a quote inside a string that nobody escaped (`'it's'`): a quote ends its string only
where what follows could stand after a string. So is a set. A string in the format's own delimiter (`<|"|>`) has no
escapes at all.

Nothing is evaluated. Time is linear: every look ahead is bounded; memory is the value and the stack of brackets.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from ambidex.strict_json import MAX_DEPTH

MAX_WORD = 400
"""Characters in a number, a literal or a bare key."""

MAX_LOOK = 400
"""Characters looked ahead after a quote."""

SPACE = re.compile(r"[ \t\r\n\f]+")
_WORD = re.compile(r"[A-Za-z0-9_.+\-]+")
_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_NUMBER = re.compile(r"([+-]?)0*([0-9]*)(?:(\.)([0-9]*))?([eE][+-]?[0-9]+)?")
_HEXADECIMAL = re.compile(r"0[xX][0-9a-fA-F]+")
_BETWEEN_DIGITS = re.compile(r"(?<=[0-9])_(?=[0-9])")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]*")
_ANY_KEY = re.compile(r"[^\s{}\[\]:=,<>\"'][^{}\[\]:=,<>\"'\n]*")
_CONSTANTS = {"true": "true", "false": "false", "null": "null", "True": "true", "False": "false", "None": "null"}
_QUOTE = re.compile(r"(?:[rRuU](?=[\"']))?(\"\"\"|'''|\"|')")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|x([0-9a-fA-F]{2})|([0-7]{1,3})|(\r\n|.))", re.DOTALL)
_LONGEST_ESCAPE = 10
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "a": "\a", "v": "\v", "\\": "\\", '"': '"', "'": "'"}
_LINE_BREAKS = ("\n", "\r\n", "\r")
_PLAIN = {'"': re.compile(r'[^"\\]+'), "'": re.compile(r"[^'\\]+")}
_RAW_CONTROL = re.compile(r"[\x00-\x1f]")
_AFTER_COMMA = re.compile(r"[\"'\[{(0-9+\-.TFNtfn\]})]")

Follows = Callable[[str, int, bool], bool | None]
"""Whether a text goes on at a place as after a whole value; None: it is not known yet. The bool: the text is over."""


@dataclass(slots=True)
class _Bracket:
    opening: str
    at: int  # its place in the pieces
    closing: str
    count: int = 0
    has_comma: bool = False
    is_object: bool | None = None
    after: str = "value"  # what was last: nothing or a comma ("value" may follow), "key" or "item"
    names: set[str] = field(default_factory=set[str])


class LiteralReader:
    """One value: `read` until `complete` or there is a `problem`; `take` what is sure of its JSON text."""

    def __init__(self, follows: Follows, *, delimiter: str = "") -> None:
        self.complete = False
        self.repaired = False
        self.problem: str | None = None
        self._follows = follows
        self._delimiter = delimiter
        self._pieces: list[str] = []
        self._taken = 0
        self._stack: list[_Bracket] = []
        self._quote = ""  # of the string that is being read
        self._is_raw = False

    def take(self) -> str:
        """JSON text that is new since the last time: pieces of an outermost string, or the whole of anything else."""
        if self.problem is not None or not (self.complete or (self._quote and not self._stack)):
            return ""
        text = "".join(self._pieces[self._taken :])
        self._taken = len(self._pieces)
        return text

    def read(self, text: str, start: int, *, final: bool) -> int:
        """Returns how far it read: behind the value, to a problem, or to what only the next piece can decide."""
        at = start
        while not self.complete and self.problem is None:
            read = self._string(text, at, final) if self._quote else self._token(text, at, final)
            if read == at and not self.complete:
                break
            at = read
        return at

    def _token(self, text: str, at: int, final: bool) -> int:
        if space := SPACE.match(text, at):
            return space.end()
        if at >= len(text):
            return at
        character = text[at]
        if self._delimiter and self._delimiter.startswith(text[at : at + len(self._delimiter)]):
            if len(text) - at < len(self._delimiter) and not final:
                return at
            if text.startswith(self._delimiter, at):
                return self._begin_string(self._delimiter, "", at + len(self._delimiter))
        if character in "'\"" or (character in "rRuU" and text[at + 1 : at + 2] in ("", "'", '"')):
            if len(text) - at < 4 and not final:
                return at
            if quote := _QUOTE.match(text, at):
                return self._begin_string(quote[1], text[at], quote.end())
        if character in "[{(":
            self._open(character)
        elif character in "]})":
            self._close(character)
        elif character == ",":
            self._comma()
        elif character == ":" or (character == "=" and self._delimiter):
            self._colon(character)
        elif character == "#" or (character == "/" and not self._is_path(text, at)):
            return self._comment(text, at, final)
        else:
            return self._word(text, at, final)
        return at + 1

    def _is_path(self, text: str, at: int) -> bool:
        """Whether a slash begins a key without quotes, and no comment."""
        return self._delimiter != "" and text[at + 1 : at + 2] not in ("", "/")

    def _comment(self, text: str, at: int, final: bool) -> int:
        """To the end of its line."""
        if text[at] == "/" and not text.startswith("//", at):
            if len(text) > at + 1 or final:
                self._fail("'/'")
            return at
        line_end = text.find("\n", at)
        if line_end < 0 and len(text) - at < MAX_WORD and not final:
            return at
        if not self._stack or not 0 <= line_end - at < MAX_WORD:
            self._fail("a comment")
            return at
        self.repaired |= text[at] == "/"
        return line_end

    def _word(self, text: str, at: int, final: bool) -> int:
        bracket = self._stack[-1] if self._stack else None
        is_key = bracket and bracket.opening == "{" and bracket.after == "value" and bracket.is_object is not False
        if self._delimiter and is_key and (key := _ANY_KEY.match(text, at, at + MAX_WORD)):
            if key.end() == len(text) and not final:
                return at
            if text[key.end() : key.end() + 1] in (":", "="):
                return self._key(key[0].rstrip(), key.end())
        word = _WORD.match(text, at)
        if word is None:
            self._fail(repr(text[at]))
            return at
        if word.end() - at > MAX_WORD:
            self._fail(f"a word of more than {MAX_WORD} characters")
            return at
        if word.end() == len(text) and not final:
            return at
        if is_key:
            colon = _after_space(text, word.end())
            if colon - word.end() >= MAX_LOOK:
                return self._fail("space", word.end())
            if colon >= len(text) and not final:
                return at
            if text[colon : colon + 1] == ":" or (self._delimiter and text[colon : colon + 1] == "="):
                self.repaired |= not self._delimiter
                return self._key(_CONSTANTS.get(word[0], word[0]), word.end())
        written = _CONSTANTS.get(word[0]) or self._number(word[0])
        if written is None:
            return self._fail(repr(word[0][:40]), at)
        self._begin_value()
        self._write(written)
        self._end_value()
        return word.end()

    def _key(self, key: str, end: int) -> int:
        self._begin_value()
        self._write(json.dumps(key, ensure_ascii=False))
        self._end_value()
        return end

    def _number(self, word: str) -> str | None:
        if _JSON_NUMBER.fullmatch(word):
            return word
        word = _BETWEEN_DIGITS.sub("", word)
        if _HEXADECIMAL.fullmatch(word):
            return str(int(word, 16))
        parts = _NUMBER.fullmatch(word)
        if parts is None or not (parts[2] or parts[4] or word.strip("+-").startswith("0")):
            return None
        digits = word.lstrip("+-")
        self.repaired |= digits[:1] == "0" and digits[1:2].isdigit()
        fraction = f".{parts[4] or '0'}" if parts[3] else ""
        return f"{parts[1].strip('+')}{parts[2] or '0'}{fraction}{parts[5] or ''}"

    def _begin_string(self, quote: str, prefix: str, at: int) -> int:
        self._begin_value()
        if self.problem is None:
            self._quote = quote
            self._is_raw = prefix in "rR" and prefix != ""
            self._write('"')
        return at

    def _string(self, text: str, at: int, final: bool) -> int:
        if self._quote == self._delimiter:
            return self._delimited(text, at, final)
        if plain := _PLAIN[self._quote[0]].match(text, at):
            self.repaired |= len(self._quote) == 1 and _RAW_CONTROL.search(plain[0]) is not None
            self._write(json.dumps(plain[0], ensure_ascii=False)[1:-1])
            return plain.end()
        if at >= len(text):
            return at
        return self._escape(text, at, final) if text[at] == "\\" else self._quote_in_string(text, at, final)

    def _delimited(self, text: str, at: int, final: bool) -> int:
        """Everything up to the delimiter, as it is."""
        end = text.find(self._delimiter, at)
        if end < 0:
            end = len(text) if final else _partial(text, at, self._delimiter)
            self._write(json.dumps(text[at:end], ensure_ascii=False)[1:-1])
            return end
        self._write(json.dumps(text[at:end], ensure_ascii=False)[1:-1])
        self._end_string()
        return end + len(self._delimiter)

    def _escape(self, text: str, at: int, final: bool) -> int:
        if self._is_raw:
            if at + 1 >= len(text):
                return at
            self._write(json.dumps(text[at : at + 2], ensure_ascii=False)[1:-1])
            return at + 2
        if len(text) - at < _LONGEST_ESCAPE and not final and text[at + 1 : at + 2] in ("", *"uUx01234567\r"):
            return at
        escape = _ESCAPE.match(text, at)
        if escape is None:
            return at
        unicode, long, byte, octal, other = escape.groups()
        if unicode:
            self._write(f"\\u{unicode}")
        elif other is None:
            code = int(long or byte or octal, 8 if octal else 16)
            if code > 0x10FFFF:
                return self._fail("an escape beyond Unicode", at)
            self._write(json.dumps(chr(code), ensure_ascii=False)[1:-1])
        elif other in _ESCAPED:
            self._write(json.dumps(_ESCAPED[other])[1:-1])
        elif other not in _LINE_BREAKS:  # \d: Python keeps the backslash
            self._write("\\\\" + json.dumps(other, ensure_ascii=False)[1:-1])
        return escape.end()

    def _quote_in_string(self, text: str, at: int, final: bool) -> int:
        if len(self._quote) == 3:
            if len(text) - at < 3 and not final and self._quote.startswith(text[at:]):
                return at
            if text.startswith(self._quote, at):
                self._end_string()
                return at + 3
            self._write(json.dumps(text[at])[1:-1])
            return at + 1
        ends = self._ends(text, at + 1, final)
        if ends is None:
            return at
        if ends >= 0:
            if ends == at + 1:
                self._end_string()
            return ends  # else the string goes on behind the next quote
        self.repaired = True
        self._write(json.dumps(text[at])[1:-1])
        return at + 1

    def _ends(self, text: str, at: int, final: bool) -> int | None:
        """`at` if the string ends before it, the place behind the next quote if Python joins two strings, -1 if the
        quote is a part of the string; None: not known yet."""
        after = _after_space(text, at)
        if after - at >= MAX_LOOK:
            return -1
        if after >= len(text) and not final:
            return None
        if text[after : after + 1] == self._quote and "\n" in text[at:after]:
            return after + 1
        follows = self._follows_item(text, after, final) if self._stack else self._follows(text, after, final)
        return None if follows is None else at if follows else -1

    def _follows_item(self, text: str, at: int, final: bool) -> bool | None:
        bracket = self._stack[-1]
        if at >= len(text):
            return final
        if text[at] == ":":
            return bracket.opening == "{" and bracket.after == "value" and bracket.is_object is not False
        if text[at] != ",":
            return text[at] == bracket.closing
        after = _after_space(text, at + 1)
        if after - at > MAX_LOOK:
            return False
        if after >= len(text):
            return True if final else None
        if self._delimiter:
            return True
        if bracket.is_object:
            return text[after] in "\"'}" or _NAME.match(text, after) is not None
        return _AFTER_COMMA.match(text, after) is not None

    def _end_string(self) -> None:
        self._write('"')
        self._quote = ""
        self._end_value()

    def _open(self, character: str) -> None:
        self._begin_value()
        closing = {"[": "]", "{": "}", "(": ")"}[character]
        self._stack.append(_Bracket(character, len(self._pieces), closing))
        self._write("{" if character == "{" else "[")
        if len(self._stack) > MAX_DEPTH:
            self.problem = f"nested deeper than {MAX_DEPTH} levels"

    def _close(self, character: str) -> None:
        bracket = self._stack[-1] if self._stack else None
        lacks_value = bracket is not None and bracket.is_object and bracket.count % 2
        if bracket is None or bracket.closing != character or bracket.after == "key" or lacks_value:
            self._fail(repr(character))
            return
        if bracket.opening == "{" and bracket.count and not bracket.is_object:  # a set
            self.repaired = True
            self._pieces[bracket.at] = "["
            character = "]"
        elif bracket.opening == "(":
            is_group = bracket.count == 1 and not bracket.has_comma
            self._pieces[bracket.at] = "" if is_group else "["
            character = "" if is_group else "]"
        self._stack.pop()
        self._write(character)
        self._end_value()

    def _comma(self) -> None:
        bracket = self._stack[-1] if self._stack else None
        if bracket is None or bracket.after != "item" or (bracket.is_object and bracket.count % 2):
            self._fail("','")
            return
        if bracket.opening == "{" and bracket.is_object is None:
            bracket.is_object = False
        bracket.has_comma = True
        bracket.after = "value"

    def _colon(self, character: str) -> None:
        bracket = self._stack[-1] if self._stack else None
        is_key = bracket is not None and bracket.opening == "{" and bracket.after == "item"
        if bracket is None or not is_key or bracket.is_object is False or bracket.count % 2 == 0:
            self._fail(repr(character))
            return
        if not self._pieces[-1].endswith('"'):  # a number, or anything else but a text, as a key
            self.repaired = True
            if self._pieces[-1][-1:] in "]}":
                self._fail("a key in brackets")
                return
            self._pieces[-1] = json.dumps(self._pieces[-1])
        self.repaired |= character == "="
        bracket.is_object = True
        bracket.after = "key"
        self._write(": ")

    def _begin_value(self) -> None:
        bracket = self._stack[-1] if self._stack else None
        if bracket is None:
            return
        if bracket.after == "item":
            self._fail("a value")
        elif bracket.after == "value" and bracket.count:
            self._write(", ")

    def _end_value(self) -> None:
        if self.problem is not None:
            return
        if not self._stack:
            self.complete = True
            return
        bracket = self._stack[-1]
        bracket.after = "item"
        bracket.count += 1

    def _write(self, text: str) -> None:
        self._pieces.append(text)

    def _fail(self, found: str, at: int = 0) -> int:
        self.problem = self.problem or f"found {found} where it cannot stand"
        return at


def literal_json(text: str) -> str | None:
    """One whole literal as JSON text; None where there is none. It may still hold what strict JSON refuses."""
    reader = LiteralReader(lambda text, at, final: at >= len(text))
    end = reader.read(text, 0, final=True)
    if not reader.complete or text[end:].strip():
        return None
    return reader.take()


def _after_space(text: str, at: int) -> int:
    space = SPACE.match(text, at, at + MAX_LOOK)
    return space.end() if space else at


def _partial(text: str, start: int, marker: str) -> int:
    """From where `text` may begin the marker."""
    for at in range(max(start, len(text) - len(marker) + 1), len(text)):
        if marker.startswith(text[at:]):
            return at
    return len(text)
