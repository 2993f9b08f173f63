"""MiniMax M3's kind of call: arguments are tags, nested as their values are, each tag behind a token of its own.

Strategy: `NS<k>text` ends at `NS</k>`; a value with tags inside is an object, or an array if they are all `item`. Texts
of the outermost level are told as they come, everything else when its argument is closed. What a leaf is, and what an
empty value is, the tool's schema says. End tags that are missing before an outer one are understood, and flagged as
repaired.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

from ambidex.strict_json import MAX_DEPTH

from .argument_types import UNKNOWN, Argument, arguments_of
from .call_block import MAX_GAP, CallBlock, after_gap
from .call_events import CallEvents
from .markers import Markers

MAX_TAG = 400
"""Characters of a tag, looked over to see what it is that follows."""

_TAG = re.compile(r"<(/?)([^<>\n]++)>")
_MAY_BE_TAG = re.compile(r"(?:<[^<>\n]*+)?")
_INVOKE = re.compile(r"invoke\s++name\s*+=\s*+[\"']?([^\"'<>\n]++)[\"']?\s*+")


@dataclass(frozen=True)
class NestedTagCalls:
    """How a family writes its calls; makes the body that reads a section of them. `mark` stands before each tag."""

    mark: str
    section: str = "tool_call"
    marks: Markers = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "marks", Markers((self.mark,)))

    @property
    def opening(self) -> str:
        return f"{self.mark}<{self.section}>"

    def __call__(self, calls: CallEvents, opening: str, *, tags_in_strings: bool = False) -> NestedTagBlock:
        del tags_in_strings  # no value swallows the calls behind it
        return NestedTagBlock(self, calls, opening)


class _Element:
    """One tag's content as far as it came."""

    def __init__(self, name: str, argument: Argument) -> None:
        self.name = name
        self.argument = argument
        self.text: list[str] = []
        self.inside: list[tuple[str, str]] = []  # names and JSON texts

    @property
    def is_array(self) -> bool:
        names = {name for name, _ in self.inside}
        types = self.argument.types
        return names <= {"item"} and (types is None or "array" in types)

    def member(self, name: str) -> Argument:
        may_be_array = self.argument.types is None or "array" in self.argument.types
        return self.argument.item() if name == "item" and may_be_array else self.argument.member(name)

    def as_json(self) -> tuple[str, bool] | None:
        """The value's JSON text and whether it was malformed; None if text stands between its tags."""
        text = "".join(self.text)
        if self.inside:
            if text.strip():
                return None
            if self.is_array:
                return f"[{', '.join(written for _, written in self.inside)}]", False
            members = (f"{json.dumps(name, ensure_ascii=False)}: {written}" for name, written in self.inside)
            return f"{{{', '.join(members)}}}", False
        types = self.argument.types
        if not text.strip() and types is not None and "string" not in types:
            empty = "[]" if "array" in types else "{}" if "object" in types else "null" if "null" in types else None
            if empty is not None:
                return empty, False
        return self.argument.as_json(text)


class NestedTagBlock(CallBlock):
    """A section of calls. `feed` until `ended`, or `close` at the end of the output."""

    def __init__(self, form: NestedTagCalls, calls: CallEvents, opening: str) -> None:
        super().__init__(calls, opening)
        self._form = form
        self._state = self._between
        self._tool_arguments = dict[str, Argument]()
        self._is_first = True
        self._open: list[_Element] = []

    @property
    def _is_outside(self) -> bool:
        return self._state == self._between

    def _end_of_output(self, unread: str) -> None:
        if self._is_outside and self._any_call:
            self.text = unread
        else:
            self._keep(unread)
            self._calls.fail("".join(self._raw), self._problem)

    def _between(self, text: str, start: int) -> int:
        """In the section, outside of a call."""
        at = after_gap(text, start)
        tag = self._tag(text, at) if at - start < MAX_GAP else ("", at)
        if tag is None or (at >= len(text) and at - start < MAX_GAP):
            return start
        name, end = tag
        if name == f"/{self._form.section}":
            self.ended = True
            return end
        if name == self._form.section:
            return end
        found = _INVOKE.fullmatch(name)
        if found is None:
            if not self._any_call:
                self.text = "".join(self._raw)
            self.ended = True
            return start
        self._any_call = self._is_first = True
        self._repaired = False
        self._open = []
        tool = found[1].strip()
        self._tool_arguments = dict(arguments_of(self._calls.tool(tool)))
        self._calls.start(tool)
        self._calls.arguments("{")
        self._state = self._in_call
        return end

    def _in_call(self, text: str, start: int) -> int:
        """Between two arguments."""
        at = after_gap(text, start)
        if at >= len(text) or at - start >= MAX_GAP:
            return at
        tag = self._tag(text, at)
        if tag is None:
            return at
        name, end = tag
        if name == "/invoke":
            self._complete(text[start:end])
            return end
        if name in (self._form.section, f"/{self._form.section}") or _INVOKE.fullmatch(name):
            self._repaired = True
            self._complete(text[start:at])
            return at
        if not name or name.startswith("/"):
            return self._break("there is text between the arguments", at)
        comma = "" if self._is_first else ", "
        self._is_first = False
        element = _Element(name, self._tool_arguments.get(name, UNKNOWN))
        self._calls.arguments(f"{comma}{json.dumps(name, ensure_ascii=False)}:")
        self._open = [element]
        self._state = self._in_text if element.argument.types == frozenset({"string"}) else self._in_value
        if self._state == self._in_text:
            self._calls.arguments(' "')
        return end

    def _in_text(self, text: str, start: int) -> int:
        """In an outermost argument that is a text: up to its own end tag, or the end of the call."""
        at, mark = self._form.marks.search(text, start, at_end=self._final)
        self._tell(text[start:at])
        if mark is None:
            return at
        tag = self._tag(text, at)
        if tag is None:
            return at
        name, end = tag
        is_own = name == f"/{self._open[-1].name}"
        if not is_own and name not in ("/invoke", f"/{self._form.section}"):
            self._tell(mark)
            return at + len(mark)
        self._calls.arguments('"')
        self._repaired |= not is_own
        self._open = []
        self._state = self._in_call
        return end if is_own else at

    def _in_value(self, text: str, start: int) -> int:
        """In any other argument, at any depth."""
        at, mark = self._form.marks.search(text, start, at_end=self._final)
        self._open[-1].text.append(text[start:at])
        if mark is None:
            return at
        tag = self._tag(text, at)
        if tag is None:
            return at
        name, end = tag
        if not name:
            self._open[-1].text.append(mark)
            return at + len(mark)
        if not name.startswith("/"):
            if len(self._open) >= MAX_DEPTH:
                return self._break(f"nested deeper than {MAX_DEPTH} levels", at)
            self._open.append(_Element(name, self._open[-1].member(name)))
            return end
        is_end = name in ("/invoke", f"/{self._form.section}")
        if not is_end and name[1:] not in {element.name for element in self._open}:
            return self._break(f"{name!r} ends nothing", at)
        while self._open:
            is_own = self._open[-1].name == name[1:]
            self._repaired |= not is_own
            if not self._close_element():
                return self._break("text stands between tags", at)
            if is_own:
                break
        if not self._open:
            self._state = self._in_call
        return at if is_end else end

    def _close_element(self) -> bool:
        element = self._open.pop()
        read = element.as_json()
        if read is None:
            return False
        written, repaired = read
        self._repaired |= repaired
        if self._open:
            self._open[-1].inside.append((element.name, written))
        else:
            self._calls.arguments(f" {written}")
        return True

    def _tell(self, text: str) -> None:
        if text:
            self._calls.arguments(json.dumps(text, ensure_ascii=False)[1:-1])

    def _complete(self, tail: str) -> None:
        """The call is whole; `tail` is what of it was not kept yet."""
        self._calls.arguments("}")
        self._calls.complete(repaired=self._repaired, raw="".join([*self._raw, tail]))
        self._leave_call()

    def _leave_call(self) -> None:
        self._raw, self._length, self._raw_is_over = [], 0, True
        self._open = []
        self._state = self._between

    def _break(self, problem: str, at: int) -> int:
        return super()._break(f"the call is malformed: {problem}", at)

    def _broken(self, text: str, start: int) -> int:
        """To the tag that ends the call or the section, or begins another."""
        at, mark = self._form.marks.search(text, start, at_end=self._final)
        if mark is None:
            return at
        tag = self._tag(text, at)
        if tag is None:
            return at
        name, end = tag
        is_end = name in ("/invoke", f"/{self._form.section}", self._form.section) or _INVOKE.fullmatch(name)
        if not is_end:
            return at + len(mark)
        at = end if name == "/invoke" else at
        self._keep(text[start:at])
        self._calls.fail("".join(self._raw), self._problem)
        self._leave_call()
        return at

    def _tag(self, text: str, at: int) -> tuple[str, int] | None:
        """The tag behind a mark, as `name` or `/name`, and the place behind it; no name if there is none; None if it
        is not known yet."""
        mark = self._form.mark
        if not text.startswith(mark, at):
            is_open = not self._final and len(text) - at < len(mark) and mark.startswith(text[at:])
            return None if is_open else ("", at)
        start = at + len(mark)
        if found := _TAG.match(text, start, start + MAX_TAG):
            return found[1] + found[2].strip(), found.end()
        rest = text[start : start + MAX_TAG]
        may_be_tag = len(rest) < MAX_TAG and _MAY_BE_TAG.fullmatch(rest) is not None
        return None if may_be_tag and not self._final else ("", at)
