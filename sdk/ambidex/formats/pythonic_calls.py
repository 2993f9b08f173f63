"""Body kind 4: calls as Python writes them, `[f(a='x', b=[1, None]), g()]`.

Strategy: names and brackets are read here, values by `literal_reader.py`, which knows JSON's literals too; texts are
told as they come. Calls stand in a list or on lines of their own. Where nothing but `[` opens them, a list is a call
only if it begins as one, of an offered tool; all else is text. A call ends with its bracket; what follows it says
whether it was one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .call_block import MAX_GAP, CallBlock, after_gap
from .call_events import CallEvents
from .literal_reader import LiteralReader
from .markers import Markers
from .turn_parser import NewBody

MAX_NAME = 400
"""Characters of a name, looked over to see what it is that follows."""

_CALL = re.compile(r"([^\W\d][\w.\-]*+)[ \t]*+\(")
_MAY_BE_CALL = re.compile(r"(?:[^\W\d][\w.\-]*+[ \t]*+)?")
_KEY = re.compile(r"([^\W\d][\w.\-$]*+)\s*+([=:])")
_MAY_BE_KEY = re.compile(r"(?:[^\W\d][\w.\-$]*+\s*+=?)?")


@dataclass(frozen=True)
class PythonicCalls:
    """How a family writes its calls; makes the body that reads a list of them.

    closing  the tags that end it. None: the list's own bracket does
    bare     the list's bracket is the opening tag, and the list may be no call at all
    json     reads JSON that stands in the place of calls
    suffix   what stands behind the name of each: `f.call(a=1)`. Without it there is no call, but text
    """

    closing: Sequence[str] = ()
    bare: bool = False
    json: NewBody | None = None
    suffix: str = ""
    ends: Markers = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ends", Markers(self.closing))

    def __call__(self, calls: CallEvents, opening: str, *, tags_in_strings: bool = False) -> PythonicBlock:
        del tags_in_strings  # a quote inside a text cannot be told from its end, so nothing is read twice
        return PythonicBlock(self, calls, opening)


class PythonicBlock(CallBlock):
    """A list of calls. `feed` until `ended`, or `close` at the end of the output."""

    def __init__(self, form: PythonicCalls, calls: CallEvents, opening: str) -> None:
        super().__init__(calls, opening)
        self._form = form
        self._state = self._first
        self._in_list = form.bare and not form.suffix
        self._first_argument = True
        self._space = ""  # before a value's first piece
        self._value: LiteralReader | None = None

    def _end_of_output(self, unread: str) -> None:
        if self._state == self._after_call and not unread.strip():
            self._repaired |= self._in_list or bool(self._form.closing)
            self._complete("")
        elif self._form.bare and not self._any_call:
            self.text = "".join([*self._raw, unread])
        elif not (self._any_call and self._state == self._next_call) or unread.strip():
            self._keep(unread)
            self._calls.fail("".join(self._raw), self._problem)

    # The list

    def _first(self, text: str, start: int) -> int:
        """Before the first call."""
        at = after_gap(text, start)
        if at - start >= MAX_GAP:
            return self._no_call(start, "there is no call where one should begin")
        if at >= len(text):
            return start
        bracket = after_gap(text, at + 1)
        if text[at] == "[" and not self._in_list and bracket >= len(text) and bracket - at <= MAX_GAP:
            return start
        is_array = text[at] == "[" and text.startswith("{", bracket)
        if self._form.json is not None and (text[at] == "{" or is_array):
            self._other = self._form.json(self._calls, self._opening)
            self._state = self._read_other
            return start
        if text[at] == "[" and not self._in_list:
            self._in_list = True
            at += 1
        self._state = self._next_call
        return at

    def _next_call(self, text: str, start: int) -> int:
        at = after_gap(text, start)
        if at - start >= MAX_GAP:
            return self._no_call(start, "there is no call where one should begin")
        if at >= len(text):
            return start
        if (closing := self._closing(text, at)) is None:
            return start
        if closing:
            self.ended = True
            return at + len(closing)
        if text.startswith("]", at) and self._in_list and not (self._form.bare and not self._any_call):
            return self._end_list(at + 1)
        found = _CALL.match(text, at, at + MAX_NAME)
        if found is None:
            rest = text[at : at + MAX_NAME]
            if not self._final and len(rest) < MAX_NAME and _MAY_BE_CALL.fullmatch(rest):
                return start
            return self._no_call(start, "there is no call where one should begin")
        name, end = found[1].removesuffix(self._form.suffix), found.end()
        if name + self._form.suffix != found[1]:
            return self._no_call(start, "there is no call where one should begin")
        if not self._any_call and self._form.bare:
            tools = self._calls.tools
            begins = self._argument_begins(text, end)
            if begins is None:
                return start
            if not begins or (tools and self._calls.tool(name) is None):
                return self._no_call(start, "")
        self._any_call = self._first_argument = True
        self._repaired = False
        self._calls.start(name)
        self._calls.arguments("{")
        self._state = self._argument
        return end

    def _no_call(self, at: int, problem: str) -> int:
        if self._form.bare and not self._any_call:
            self.text = "".join(self._raw)
            self.ended = True
            return at
        return self._break(problem, at)

    def _argument_begins(self, text: str, at: int) -> bool | None:
        at = after_gap(text, at)
        rest = text[at : at + MAX_NAME]
        if rest.startswith(")") or _KEY.match(rest):
            return True
        is_open = not self._final and len(rest) < MAX_NAME and _MAY_BE_KEY.fullmatch(rest)
        return None if is_open else False

    def _end_list(self, at: int) -> int:
        """Behind its bracket."""
        self._in_list = False
        self.ended = not self._form.closing
        self._state = self._next_call
        return at

    # One call

    def _argument(self, text: str, start: int) -> int:
        """Before an argument or the end of the call."""
        at = after_gap(text, start)
        if at >= len(text) or at - start >= MAX_GAP:
            return at
        if text[at] == ")":
            self._calls.arguments("}")
            self._state = self._after_call
            return at + 1
        found = _KEY.match(text, at, at + MAX_NAME)
        if found is None:
            rest = text[at : at + MAX_NAME]
            if len(rest) < MAX_NAME and _MAY_BE_KEY.fullmatch(rest):
                return at
            return self._break("an argument has no name", at)
        self._repaired |= found[2] == ":"
        comma = "" if self._first_argument else ", "
        self._first_argument = False
        self._calls.arguments(f"{comma}{json.dumps(found[1], ensure_ascii=False)}:")
        self._value = LiteralReader(self._follows)
        self._state = self._in_value
        self._space = " "
        return found.end()

    def _in_value(self, text: str, start: int) -> int:
        value = self._value
        assert value is not None
        at = value.read(text, start, final=self._final)
        if told := value.take():
            self._calls.arguments(self._space + told)
            self._space = ""
        if value.problem is not None:
            return self._break(value.problem, at)
        if value.complete:
            self._repaired |= value.repaired
            self._state = self._after_value
        return at

    def _after_value(self, text: str, start: int) -> int:
        at = after_gap(text, start)
        if at >= len(text) or at - start >= MAX_GAP:
            return at
        if text[at] not in ",)":
            return self._break("there is more than one value for an argument", at)
        self._state = self._argument
        return at + (text[at] == ",")

    def _follows(self, text: str, at: int, final: bool) -> bool | None:
        """Whether a text that is an argument ends here, at what is not space: before another argument, or the end of
        the call with another call, the end of the list or a tag behind it."""
        if at >= len(text):
            return final
        after = after_gap(text, at + 1)
        if text[at] == ",":
            return True if text.startswith(")", after) else self._key_follows(text, after, final)
        if text[at] != ")" or after - at > MAX_GAP:
            return False
        if after >= len(text):
            return True if final else None
        return text[after] in ",;]<" or "\n" in text[at:after]

    def _key_follows(self, text: str, at: int, final: bool) -> bool | None:
        rest = text[at : at + MAX_NAME]
        if found := _KEY.match(rest):
            return found[2] == "="
        is_open = not final and len(rest) < MAX_NAME and _MAY_BE_KEY.fullmatch(rest)
        return None if is_open else False

    def _after_call(self, text: str, start: int) -> int:
        """Behind a call's bracket."""
        at = after_gap(text, start)
        if at - start >= MAX_GAP:
            return self._break("there is something else behind the call", at)
        if at >= len(text):
            return start
        closing = self._closing(text, at)
        if closing is None:
            return start
        if text.startswith((",", ";"), at) and not closing:
            self._repaired |= text[at] == ";"
            at += 1
        elif text.startswith("]", at):
            self._repaired |= not self._in_list
            self._complete(text[start : at + 1])
            return self._end_list(at + 1)
        elif not closing and not (_CALL.match(text, at, at + MAX_NAME) and "\n" in text[start:at]):
            rest = text[at : at + MAX_NAME]
            may_be_call = "\n" in text[start:at] and _MAY_BE_CALL.fullmatch(rest) is not None
            if may_be_call and not self._final and len(rest) < MAX_NAME:
                return start
            return self._break("there is something else behind the call", at)
        elif closing:
            self._repaired |= self._in_list
        self._complete(text[start:at])
        self._state = self._next_call
        return at

    def _complete(self, tail: str) -> None:
        """The call is whole; `tail` is what of it was not kept yet."""
        self._calls.complete(repaired=self._repaired, raw="".join([*self._raw, tail]))
        self._raw, self._length, self._raw_is_over = [], 0, True

    # A broken call

    def _broken(self, text: str, start: int) -> int:
        """To the closing tag; without one, to the end of the line."""
        if self._form.closing:
            at, marker = self._form.ends.search(text, start, at_end=self._final)
        else:
            at = text.find("\n", start)
            marker = "" if at >= 0 else None
            at = len(text) if at < 0 else at
        if marker is None:
            return at
        self._keep(text[start : at + len(marker)])
        self._calls.fail("".join(self._raw), self._problem)
        self.ended = True
        return at + len(marker)

    def _closing(self, text: str, at: int) -> str | None:
        """The closing tag that begins here; empty if none; None if it is not known yet."""
        found = next((tag for tag in self._form.closing if text.startswith(tag, at)), "")
        rest = text[at : at + max(map(len, self._form.closing), default=0)]
        may_be = not found and any(tag.startswith(rest) for tag in self._form.closing)
        return None if may_be and not self._final else found


def pythonic(name: str, arguments: Mapping[str, Any]) -> str:
    """A call as Python writes it."""
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"
