"""Body kind 3: a name and tagged arguments, `<function=f><parameter=a>text</parameter></function>`.

Strategy: what stands between tags is data. A text value is told as it comes, as a JSON string; any other is held until
it is closed and then typed by the tool's schema (`argument_types.py`). Values may contain anything, tags as well: an
end tag ends a text only where another tag of the grammar, or nothing, follows it. Tags that models forget are
understood where the next one says where they belong, and the call is flagged as repaired: the end of an argument
before the next argument or the end of the call, the end of the call before the end of the section, and the section's
opening tag. What is cut off by the end of the output is never completed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from .argument_types import UNKNOWN, Argument, arguments_of
from .call_block import MAX_GAP, CallBlock, after_gap
from .call_events import NAMESPACE, CallEvents
from .lenient_json import LenientReader
from .literal_reader import literal_json
from .markers import Markers
from .opening_tags import Header
from .turn_parser import NewBody

_WRAPPERS = frozenset({"arguments", "args", "input", "parameters", "properties", "kwargs"})
"""Names of the one argument that holds all of them, if the tool has none of this name."""

_CDATA, _CDATA_END = "<![CDATA[", "]]>"

StatedTypes = Callable[[Mapping[str, str]], frozenset[str] | None]
"""The JSON types that an argument's tag states, from its attributes."""


@dataclass(frozen=True)
class TaggedCalls:
    """How a family writes its calls; makes the body that reads a block of them. Of several tags, each will do.

    sections     tags around calls, opening and closing; none: a call stands alone, and `call` opens it
    call         begins a call's opening tag, `header` is its rest
    parameter    the same for an argument
    filler       what may stand between the calls of a section
    stated       the types that an argument's tag states
    padded       one line break after the opening tag of a value and one before its end belong to the tags
    cdata        values may be wrapped in <![CDATA[ ]]>
    unnamed      the name of an argument whose tag has none
    needs_tool   a call of an unknown tool is text, and an undeclared argument makes a call malformed
    json         reads a JSON object that stands in the place of a call
    """

    call: Sequence[str]
    header: Header
    call_end: Sequence[str]
    parameter: Sequence[str]
    parameter_header: Header
    parameter_end: Sequence[str]
    sections: Mapping[str, str] = field(default_factory=dict[str, str])
    filler: Sequence[str] = ()
    stated: StatedTypes | None = None
    padded: bool = False
    cdata: bool = False
    unnamed: str = ""
    needs_tool: bool = False
    json: NewBody | None = None
    in_text: Markers = field(init=False)
    in_value: Markers = field(init=False)
    in_section: Sequence[str] = field(init=False)
    in_call: Sequence[str] = field(init=False)
    after_broken: Markers = field(init=False)

    def __post_init__(self) -> None:
        closings = (*self.sections.values(), *self.filler)
        in_section = (*self.sections, *closings, *self.call)
        ends = (*self.parameter_end, *self.parameter, *self.call_end, *closings)
        made = {
            "in_text": Markers(ends),
            "in_value": Markers((*ends, *self.sections)),
            "in_section": in_section,
            "in_call": (*self.parameter, *self.call_end, *in_section),
            "after_broken": Markers((*self.call_end, *in_section)),
        }
        for name, value in made.items():
            object.__setattr__(self, name, value)

    def __call__(self, calls: CallEvents, opening: str, *, tags_in_strings: bool = False) -> TaggedBlock:
        del tags_in_strings  # no value swallows the calls behind it
        return TaggedBlock(self, calls, opening)

    def openings(self) -> dict[str, NewBody]:
        """What reads a call, by the tags that may open one: a section's, or a call's whose section was forgotten."""
        return dict.fromkeys((*self.sections, *self.call), self)


class _Value:
    """One argument's text as far as it came."""

    def __init__(self, key: str, argument: Argument, *, padded: bool) -> None:
        self.key = key
        self.argument = argument
        self.is_text = argument.is_text
        self.collected: list[str] = []  # of what is not told at once
        self.at_line_start = False
        self._padded = padded
        self._is_empty = True
        self._line_break = ""  # may belong to the end tag

    def sure(self, text: str) -> str:
        """What is sure to belong to the value, with one more piece of it."""
        if not text:
            return ""
        self.at_line_start = text.endswith("\n")
        if not self._padded:
            return text
        if self._is_empty:
            self._is_empty = False
            text = text.removeprefix("\n")
        text = self._line_break + text
        self._line_break = "\n" if text.endswith("\n") else ""
        return text.removesuffix("\n")


class TaggedBlock(CallBlock):
    """A section of calls, or one call. `feed` until `ended`, or `close` at the end of the output."""

    def __init__(self, form: TaggedCalls, calls: CallEvents, opening: str) -> None:
        super().__init__(calls, opening)
        self._form = form
        self._lacks_section = opening not in form.sections and bool(form.sections)
        self._state = self._between if opening in form.sections else self._header
        self._declared: Mapping[str, Argument] = {}
        self._is_known = False  # the tool was offered
        self._seen: set[str] = set()
        self._value: _Value | None = None
        self._wrapper: _Value | None = None  # may hold all arguments
        self._reader: LenientReader | None = None

    @property
    def _is_outside(self) -> bool:
        return self._state == self._between

    def _end_of_output(self, unread: str) -> None:
        if self._is_outside and self._any_call:
            self.text = unread
        else:
            self._keep(unread)
            self._calls.fail("".join(self._raw), self._problem)

    # Between calls

    def _between(self, text: str, start: int) -> int:
        """In a section, outside of a call."""
        form = self._form
        at = after_gap(text, start)
        if self._is_json(text, at):
            return start
        found = self._next(text, at, form.in_section) if at - start <= MAX_GAP else ""
        if found is None or (self._final and at >= len(text)):
            return start
        end = at + len(found)
        if found in form.call:
            self._state = self._header
        elif found in form.sections.values():
            self.ended = True
        elif not found:
            return self._no_call(start)
        return end

    def _no_call(self, at: int) -> int:
        """No call follows: what was read is text, or the section's end tag is missing."""
        if not self._any_call:
            self.text = "".join(self._raw)
        self.ended = True
        return at

    def _is_json(self, text: str, at: int) -> bool:
        """Whether an object stands where the call should: then its own reader takes over."""
        if self._form.json is None or self._any_call or self._lacks_section or not text.startswith("{", at):
            return False
        self._other = self._form.json(self._calls, self._opening)
        self._state = self._read_other
        return True

    # One call

    def _header(self, text: str, start: int) -> int:
        if self._is_json(text, after_gap(text, start)):
            return start
        tag = self._form.header.read(text, start, final=self._final)
        if isinstance(tag, bool):
            return start if tag or self._final else self._no_header(start, "its opening tag is malformed")
        tools = self._calls.tools
        name = tag.name
        if name not in tools and name.removeprefix(NAMESPACE) in tools:
            name = name.removeprefix(NAMESPACE)
        must_be_known = self._form.needs_tool or self._lacks_section or tag.odd
        if not name or (tools and must_be_known and name not in tools):
            return self._no_header(start, f"there is no tool {name!r}" if name else "it has no name")
        if self._lacks_section and not tag.empty:
            at = after_gap(text, tag.end)
            follows = self._next(text, at, (*self._form.in_call, "{"))
            if follows is None:
                return start
            if not follows and at < len(text):  # a tag in prose
                return self._no_header(start, "nothing of a call follows its opening tag")
        self._is_known = name in tools
        self._declared = arguments_of(tools.get(name))
        self._seen = set()
        self._wrapper = None
        self._repaired = self._lacks_section or tag.odd or name != tag.name
        self._any_call = True
        self._calls.start(name)
        self._calls.arguments("{")
        self._state = self._in_call
        if tag.empty:
            self._end_call(text[start : tag.end])
        return tag.end

    def _no_header(self, at: int, problem: str) -> int:
        if self._any_call or (self._opening in self._form.sections and not self._form.needs_tool):
            return self._break(problem, at)
        return self._no_call(at)

    def _in_call(self, text: str, start: int) -> int:
        """Between two arguments."""
        form = self._form
        at = after_gap(text, start)
        if at - start > MAX_GAP:
            return at
        if text.startswith("{", at) and not self._seen and self._wrapper is None:
            self._reader = LenientReader()
            self._state = self._json_arguments
            return at
        found = self._next(text, at, form.in_call)
        if found is None or (self._final and at >= len(text)):
            return at
        end = at + len(found)
        if not found:
            self._break("there is text between the arguments", at)
        elif found in form.parameter:
            self._state = self._parameter_header
            return end
        elif found in form.call_end:
            self._end_call(text[start:end])
            return end
        else:
            self._repaired = True
            self._end_call(text[start:at])
        return at

    def _json_arguments(self, text: str, start: int) -> int:
        """All arguments as one JSON object."""
        reader = self._reader
        assert reader is not None
        at = reader.feed(text, start, len(text))
        written = "".join(fragment.text for fragment in reader.fragments)
        reader.fragments = []
        if written and not self._seen:
            self._seen.add("")
            written = written.removeprefix("{")
        if reader.complete:
            self._repaired = True
            self._state = self._in_call
            written = written.removesuffix("}")
        self._calls.arguments(written)
        return at if reader.problem is None else self._break(reader.problem, at)

    def _end_call(self, tail: str) -> None:
        """The call is whole; `tail` is what of it was not kept yet."""
        if self._wrapper is not None:
            self._unwrap(self._wrapper)
        self._calls.arguments("}")
        self._calls.complete(repaired=self._repaired, raw="".join([*self._raw, tail]))
        self._leave_call()

    def _leave_call(self) -> None:
        self._raw, self._length, self._raw_is_over = [], 0, True
        self._value = None
        self._lacks_section = False
        self._state = self._between
        self.ended = not self._form.sections

    # One argument

    def _parameter_header(self, text: str, start: int) -> int:
        tag = self._form.parameter_header.read(text, start, final=self._final)
        if isinstance(tag, bool):
            return start if tag or self._final else self._break("the tag of an argument is malformed", start)
        key, first = tag.name or self._form.unnamed, ""
        if tag.odd and "=" in key:  # <parameter=command=create</parameter>
            key, _, first = key.partition("=")
        self._repaired |= tag.odd or tag.alone
        is_declared = key in self._declared or key in _WRAPPERS
        if not key or (self._form.needs_tool and self._declared and not is_declared):
            return self._break(f"there is no argument {key!r}", start)
        if tag.alone:
            self._state = self._in_call
            return tag.end
        argument = self._declared.get(key, UNKNOWN)
        if self._form.stated is not None and (types := self._form.stated(tag.attributes)) is not None:
            argument = argument.written(types)
        self._begin_value(_Value(key, argument, padded=self._form.padded))
        self._tell(first)
        if tag.empty:
            self._end_value()
        return tag.end

    def _begin_value(self, value: _Value) -> None:
        if self._wrapper is not None:
            self._tell_all(self._wrapper)
            self._wrapper = None
        self._value = value
        self._state = self._cdata_or_value if self._form.cdata else self._in_value
        may_hold_all = self._is_known or value.key == self._form.unnamed
        if value.key in _WRAPPERS and may_hold_all and value.key not in self._declared and not self._seen:
            value.is_text = False
            self._wrapper = value
            return
        self._tell_key(value.key)
        if value.is_text:
            self._calls.arguments(' "')

    def _cdata_or_value(self, text: str, start: int) -> int:
        rest = text[start : start + len(_CDATA)]
        if rest == _CDATA:
            self._state = self._in_cdata
            return start + len(_CDATA)
        if self._final or not _CDATA.startswith(rest):
            self._state = self._in_value
        return start

    def _in_cdata(self, text: str, start: int) -> int:
        end = text.find(_CDATA_END, start)
        if end < 0:
            end = max(start, len(text) - len(_CDATA_END) + 1)
            self._tell(text[start:end])
            return end
        self._tell(text[start:end])
        self._state = self._cdata_or_value
        return end + len(_CDATA_END)

    def _in_value(self, text: str, start: int) -> int:
        form, value = self._form, self._value
        assert value is not None
        markers = form.in_text if value.is_text else form.in_value
        at, marker = markers.search(text, start, at_end=self._final)
        self._tell(text[start:at])
        ends = False if marker is None else self._ends_value(marker, text, at + len(marker))
        if marker is None or ends is None:
            return at
        if not ends:
            self._tell(text[at : at + 1])
            return at + 1
        self._end_value()
        if marker in form.parameter_end:
            return at + len(marker)
        self._repaired = True
        return at

    def _ends_value(self, marker: str, text: str, end: int) -> bool | None:
        """Whether a tag ends the value, and is not a part of it. None: what follows is not known yet."""
        form, value = self._form, self._value
        assert value is not None
        if marker in form.parameter:
            return self._is_next_parameter(text, end)
        if not value.is_text:
            return True
        at = after_gap(text, end)
        if at >= len(text) and self._final:
            return True
        found = self._next(text, at, form.in_call if marker in form.parameter_end else form.in_section)
        return found if found is None else found != ""

    def _is_next_parameter(self, text: str, end: int) -> bool | None:
        """Whether the tag of an argument inside a value is the next argument, the value's end tag being forgotten."""
        value = self._value
        assert value is not None
        tag = self._form.parameter_header.read(text, end, final=self._final)
        if isinstance(tag, bool):
            return None if tag else False
        if self._declared:
            return tag.name in self._declared and tag.name not in self._seen
        return value.at_line_start or not value.is_text

    def _end_value(self) -> None:
        value, self._value = self._value, None
        assert value is not None
        self._state = self._in_call
        if value.is_text:
            self._calls.arguments('"')
        elif value is not self._wrapper:
            self._tell_typed(value)

    def _tell(self, text: str) -> None:
        """The next piece of the value."""
        value = self._value
        assert value is not None
        sure = value.sure(text)
        if not value.is_text:
            value.collected.append(sure)
        elif sure:
            self._calls.arguments(json.dumps(sure, ensure_ascii=False)[1:-1])

    def _tell_key(self, key: str) -> None:
        comma = ", " if self._seen else ""
        self._seen.add(key)
        self._calls.arguments(f"{comma}{json.dumps(key, ensure_ascii=False)}:")

    def _tell_typed(self, value: _Value) -> None:
        written, repaired = value.argument.as_json("".join(value.collected))
        self._repaired |= repaired
        self._calls.arguments(f" {written}")

    def _tell_all(self, value: _Value) -> None:
        """It holds not all arguments after all."""
        self._tell_key(value.key)
        self._tell_typed(value)

    def _unwrap(self, value: _Value) -> None:
        written = literal_json("".join(value.collected))
        if written is not None and written.startswith("{"):
            self._repaired = True
            self._calls.arguments(written[1:-1])
        else:
            self._tell_all(value)

    # A broken call

    def _broken(self, text: str, start: int) -> int:
        """To the next tag that ends a call or begins another."""
        at, marker = self._form.after_broken.search(text, start, at_end=self._final)
        if marker is None:
            return at
        if marker in self._form.call_end:
            at += len(marker)
        self._keep(text[start:at])
        self._calls.fail("".join(self._raw), self._problem)
        self._any_call = True
        self._leave_call()
        return at

    def _next(self, text: str, at: int, tags: Sequence[str]) -> str | None:
        """Which of the tags begins here; empty if none; None if it is not known yet."""
        found = max((tag for tag in tags if text.startswith(tag, at)), key=len, default="")
        if self._final:
            return found
        longer = (tag for tag in tags if len(tag) > len(found) and len(tag) > len(text) - at)
        return None if any(text.startswith(tag[: len(text) - at], at) for tag in longer) else found
