"""Body kind 5: Gemma's own literals, `call:f{a:<|"|>text<|"|>,n:3,o:{k:[true,null]}}`.

Strategy: names and keys are read here, values by `literal_reader.py`, to which a text between two delimiters has no
escapes. Texts are told as they come. Understood, and flagged as repaired: JSON's or Python's quotes, `=` for `:`,
missing commas, a text whose opening delimiter is missing, doubled braces, a missing last brace before the closing tag,
several calls between one pair of tags. A text without a closing delimiter swallows what follows; then the call fails
up to its closing tag, and what comes behind is read once more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from .argument_types import UNKNOWN, Argument, arguments_of
from .call_block import MAX_CALL, MAX_GAP, after_gap
from .call_events import CallEvents
from .literal_reader import LiteralReader
from .markers import Markers

MAX_NAME = 400
"""Characters of a name, looked over to see what it is that follows."""

_CALL = re.compile(r"(?:(call)\s*+:\s*+)?([^\s{}:<>\"',]++)\s*+\{")
_MAY_BE_CALL = re.compile(r"[^\s{}:<>\"',]*+\s*+(?::\s*+[^\s{}:<>\"',]*+\s*+)?")
_BARE_KEY = re.compile(r"([^\s{}\[\]:=,<>\"']++)\s*+([:=])")
_QUOTED_KEY = re.compile(r"([\"'])([^\"'\n<]*+)\1\s*+([:=])")
_MAY_BE_KEY = re.compile(r"[\"']?[^\s{}\[\]:=,<>\"']*+[\"']?\s*+")
_SCALAR = re.compile(r"[A-Za-z0-9_.+\-]++")
_CONSTANTS = frozenset({"true", "false", "null", "True", "False", "None"})
_NUMBER = re.compile(r"[+-]?(?:[0-9][0-9_]*+\.?[0-9]*+|\.[0-9]++)(?:[eE][+-]?[0-9]++)?")


@dataclass(frozen=True)
class LiteralCalls:
    """How a family writes its calls; makes the body that reads a block of them."""

    closing: str
    delimiter: str
    ends: Markers = field(init=False)
    value_ends: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        quote, closing = re.escape(self.delimiter), re.escape(self.closing)
        object.__setattr__(self, "ends", Markers((self.closing,)))
        begins = rf"(?:{quote}|[\[{{\"'0-9+-]|true|false|null)"
        argument = rf",\s{{0,9}}[\w.\-]{{1,99}}\s{{0,9}}:\s{{0,9}}{begins}"
        pattern = rf"{quote}|(?=\}}\s{{0,9}}{closing}|{argument}|{closing})"
        object.__setattr__(self, "value_ends", re.compile(pattern))

    def __call__(self, calls: CallEvents, opening: str, *, tags_in_strings: bool = False) -> LiteralBlock:
        return LiteralBlock(self, calls, opening, tags_in_strings=tags_in_strings)


class LiteralBlock:
    """Everything between one opening tag and its end: `feed` until `ended`, or `close` at the end of the output."""

    def __init__(self, form: LiteralCalls, calls: CallEvents, opening: str, *, tags_in_strings: bool) -> None:
        self.ended = False
        self.text = ""
        self.rest = ""
        self._form = form
        self._calls = calls
        self._tags_in_strings = tags_in_strings
        self._state: Callable[[str, int], int] = self._next_call
        self._raw = [opening]
        self._length = 0
        self._raw_is_over = False  # what the present state reads belongs to no call any more
        self._final = False
        self._any_call = False
        self._is_double = False  # {{ }}
        self._repaired = False
        self._problem = ""
        self._declared: Mapping[str, Argument] = {}
        self._argument = UNKNOWN
        self._is_first = True
        self._value: LiteralReader | None = None
        self._space = ""  # before a value's first piece
        self._held: list[str] = []  # of a value that is told when it is whole
        self._is_typed = False  # it was written as a text, but the schema says that it is none

    def feed(self, text: str, start: int) -> int:
        """Returns how far it read: to the end of the block, of the text, or to what only more text can decide."""
        at = start
        while not self.ended:
            state = self._state
            read = state(text, at)
            if not self._raw_is_over:
                self._keep(text[at:read])
            self._raw_is_over = False
            if self._problem and self._state != self._broken:
                self._give_up()
            elif read == at and self._state == state:
                break
            at = read
        return at

    def close(self, unread: str) -> None:
        """The output is over: what was begun and is not closed is cut off."""
        if self.ended:
            return
        self._final = True
        unread = unread[self.feed(unread, 0) :]
        if self.ended:
            self.rest += unread
            return
        if self._state == self._next_call and self._any_call:
            self.text = unread
            self.ended = True
        else:
            self._keep(unread)
            self._problem = self._problem or "the call was cut off"
            self._give_up()
            if not self.ended:
                self._calls.fail("".join(self._raw)[:MAX_CALL], self._problem)
            self.ended = True

    # Calls

    def _next_call(self, text: str, start: int) -> int:
        at = after_gap(text, start)
        closing = self._closing(text, at)
        is_too_far = at - start >= MAX_GAP
        if (closing is None or at >= len(text)) and not is_too_far:
            return start
        if closing and not is_too_far:
            self.ended = True
            if not self._any_call:
                self._calls.fail("".join([*self._raw, text[start : at + closing]]), "there is no call between the tags")
            return at + closing
        found = None if is_too_far else _CALL.match(text, at, at + MAX_NAME)
        if found is None or (self._any_call and not found[1]):
            rest = text[at : at + MAX_NAME]
            if not (found or is_too_far or self._final or len(rest) == MAX_NAME) and _MAY_BE_CALL.fullmatch(rest):
                return start
            if self._any_call:  # the closing tag is missing
                self.ended = True
                return start
            return self._fail("there is no call behind the tag", at)
        self._repaired = self._any_call or not found[1]
        self._any_call = self._is_first = True
        self._is_double = False
        self._declared = arguments_of(self._calls.tool(found[2]))
        self._calls.start(found[2])
        self._calls.arguments("{")
        self._state = self._key
        return found.end()

    def _key(self, text: str, start: int) -> int:
        """Before an argument or the end of the call."""
        at = after_gap(text, start)
        if at >= len(text) or at - start >= MAX_GAP:
            return at
        closing = self._closing(text, at)
        if closing is None:
            return at
        if closing or text[at] == "}":
            if self._is_double and not closing:
                self._is_double = False
                return at + 1
            self._repaired |= bool(closing)
            end = at if closing else at + 1
            self._complete(text[start:end])
            return end
        if text[at] == "{" and self._is_first and not self._is_double:
            self._is_double = self._repaired = True
            return at + 1
        return self._read_key(text, at)

    def _read_key(self, text: str, at: int) -> int:
        quote = self._form.delimiter
        if text[at] == "," and not self._is_first:
            return at + 1
        if quote.startswith(text[at : at + len(quote)]) and len(text) - at < len(quote) and not self._final:
            return at
        if text.startswith(quote, at):
            end = text.find(quote, at + len(quote), at + MAX_NAME)
            if end < 0:
                too_long = len(text) - at >= MAX_NAME or self._final
                return self._fail("the name of an argument does not end", at) if too_long else at
            after = after_gap(text, end + len(quote))
            if after >= len(text):
                return at if after - end < MAX_GAP else self._fail("an argument has no name", at)
            if text[after] not in ":=":
                return self._fail("an argument has no name", at)
            return self._begin_value(text[at + len(quote) : end], after + 1)
        if found := _QUOTED_KEY.match(text, at, at + MAX_NAME):
            self._repaired = True
            return self._begin_value(found[2], found.end())
        if found := _BARE_KEY.match(text, at, at + MAX_NAME):
            self._repaired |= found[2] == "="
            return self._begin_value(found[1], found.end())
        rest = text[at : at + MAX_NAME]
        if len(rest) < MAX_NAME and _MAY_BE_KEY.fullmatch(rest):
            return at
        return self._fail("an argument has no name", at)

    def _begin_value(self, key: str, at: int) -> int:
        comma = "" if self._is_first else ", "
        self._is_first = False
        self._calls.arguments(f"{comma}{json.dumps(key, ensure_ascii=False)}:")
        self._argument = self._declared.get(key, UNKNOWN)
        self._space, self._held = " ", []
        self._state = self._first_of_value
        return at

    def _complete(self, tail: str) -> None:
        """The call is whole; `tail` is what of it was not kept yet."""
        self._calls.arguments("}")
        self._calls.complete(repaired=self._repaired, raw="".join([*self._raw, tail]))
        self._raw, self._length, self._raw_is_over = [], 0, True
        self._state = self._next_call

    # One value

    def _first_of_value(self, text: str, start: int) -> int:
        """Decides what kind of value begins."""
        at = after_gap(text, start)
        if at >= len(text) or at - start >= MAX_GAP:
            return at
        quote = self._form.delimiter
        if len(text) - at < len(quote) and quote.startswith(text[at:]) and not self._final:
            return at
        if text.startswith(quote, at) or text[at] in "[{\"'":
            self._value = LiteralReader(self._follows, delimiter=quote)
            types = self._argument.types
            self._is_typed = text[at] not in "[{" and types is not None and "string" not in types
            self._repaired |= text[at] in "\"'"
            self._state = self._in_value
            return at
        found = _SCALAR.match(text, at, at + MAX_NAME)
        after = after_gap(text, found.end()) if found else at
        is_near = found is not None and after - at < MAX_NAME
        if is_near and not self._final and (after >= len(text) or self._closing(text, after) is None):
            return at
        if found and is_near and (text[after : after + 1] in ("", ",", "}") or self._closing(text, after)):
            word = found[0]
            if word in _CONSTANTS or _NUMBER.fullmatch(word):
                reader = LiteralReader(self._follows)
                reader.read(word, 0, final=True)
                self._tell(reader.take())
                self._repaired |= reader.repaired
                self._state = self._after_value
                return found.end()
        self._state = self._bare_text
        return at

    def _in_value(self, text: str, start: int) -> int:
        value = self._value
        assert value is not None
        limit, tag = self._form.ends.search(text, start) if self._tags_in_strings else (len(text), None)
        at = value.read(text[:limit] if limit < len(text) else text, start, final=self._final or tag is not None)
        if self._is_typed:
            self._held.append(value.take())
        else:
            self._tell(value.take())
        if value.complete:
            self._state = self._after_value
            self._repaired |= value.repaired
            if self._is_typed:
                self._repaired = True
                self._tell(self._argument.as_json(json.loads("".join(self._held)))[0])
        elif value.problem is not None:
            return self._fail(value.problem, at)
        elif tag is not None and at >= limit:
            return self._fail("a text in it does not end", at)
        return at

    def _tell(self, text: str) -> None:
        if text:
            self._calls.arguments(self._space + text)
            self._space = ""

    def _bare_text(self, text: str, start: int) -> int:
        """A text without its opening delimiter: up to the closing one, the next argument, or the end of the call."""
        found = self._form.value_ends.search(text, start)
        limit = len(text) if self._final else max(start, len(text) - MAX_NAME)
        if found is None or (found.start() > limit and not self._final):
            if not self._final:
                self._held.append(text[start:limit])
                return limit
            return self._fail("a text in it does not end", start)
        written = "".join([*self._held, text[start : found.start()]])
        self._repaired = True
        self._tell(self._argument.as_json(written if found[0] else written.rstrip())[0])
        self._state = self._after_value
        return found.end()

    def _after_value(self, text: str, start: int) -> int:
        at = after_gap(text, start)
        if at >= len(text) or at - start >= MAX_GAP:
            return at
        closing = self._closing(text, at)
        if closing is None:
            return at
        if text[at] == ",":
            self._state = self._key
            return at + 1
        if closing or text[at] == "}":
            self._state = self._key
            return at
        found = _BARE_KEY.match(text, at, at + MAX_NAME) or _QUOTED_KEY.match(text, at, at + MAX_NAME)
        if found is None:
            rest = text[at : at + MAX_NAME]
            if not self._final and len(rest) < MAX_NAME and _MAY_BE_KEY.fullmatch(rest):
                return at
            return self._fail("there is more than one value for an argument", at)
        self._repaired = True  # a comma is missing
        self._state = self._key
        return at

    def _follows(self, text: str, at: int, final: bool) -> bool | None:
        """Whether a text in JSON's or Python's quotes ends here, at what is not space."""
        if at >= len(text):
            return final
        if text[at] == "}":
            return True
        closing = self._closing(text, at)
        if closing is None or closing:
            return None if closing is None else True
        if text[at] != ",":
            return False
        after = after_gap(text, at + 1)
        rest = text[after : after + MAX_NAME]
        if _BARE_KEY.match(rest) or _QUOTED_KEY.match(rest):
            return True
        is_open = not final and len(rest) < MAX_NAME and _MAY_BE_KEY.fullmatch(rest)
        return None if is_open else False

    # A broken call

    def _fail(self, problem: str, at: int) -> int:
        self._problem = f"the call is malformed: {problem}"
        return at

    def _give_up(self) -> None:
        """Only the closing tag ends it now, or has ended it already, inside a text without an end."""
        raw = "".join(self._raw)
        at = raw.find(self._form.closing)
        if at < 0:
            self._state = self._broken
            return
        end = at + len(self._form.closing)
        self._calls.fail(raw[:end][:MAX_CALL], self._problem)
        self.rest = raw[end:]
        self.ended = True

    def _broken(self, text: str, start: int) -> int:
        """To the closing tag."""
        at, marker = self._form.ends.search(text, start, at_end=self._final)
        if marker is None:
            return at
        at += len(marker)
        self._keep(text[start:at])
        self._calls.fail("".join(self._raw)[:MAX_CALL], self._problem)
        self.ended = True
        return at

    def _closing(self, text: str, at: int) -> int | None:
        """The length of the closing tag if it begins here, 0 if it does not; None if it is not known yet."""
        closing = self._form.closing
        if text.startswith(closing, at):
            return len(closing)
        is_open = not self._final and len(text) - at < len(closing) and closing.startswith(text[at:])
        return None if is_open else 0

    def _keep(self, text: str) -> None:
        """What was read belongs to the call's raw text."""
        self._length += len(text)
        if self._length <= MAX_CALL or not self._problem:
            self._raw.append(text)
        if self._length > MAX_CALL and not self._problem:
            self._problem = f"the call is longer than {MAX_CALL} characters"


def written_literal(value: object, delimiter: str) -> str:
    """A value as Gemma writes it."""
    if isinstance(value, str):
        return f"{delimiter}{value}{delimiter}"
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{key}:{written_literal(item, delimiter)}' for key, item in value.items())}}}"
    if isinstance(value, Sequence):
        return f"[{','.join(written_literal(item, delimiter) for item in value)}]"
    return json.dumps(value)
