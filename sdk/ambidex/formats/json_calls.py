"""Body kinds 1 and 2: a call is a JSON object, `{"name": ..., "arguments": {...}}`, or a header with the name and then
the arguments' object.

Strategy: objects are read piece by piece by the lenient reader, which knows where they end, so that tags inside their
strings are text. The name is told when it is whole, the arguments as they come. Several objects, or an array of them,
in one block are as many calls. When something was repaired, or the end tag is missing, the call is flagged; when the
object is broken or cut off, the call fails and its text is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from .call_events import CallEvents
from .call_object import CallObject, Members
from .markers import Markers

MAX_CALL = 1 << 20
"""Characters of one block. A longer call fails, and its raw text is kept up to here."""

MAX_FALSE_START = 1000
"""Characters without an object after which an opening tag was no call, but text; no header is longer."""

DEFAULT_MEMBERS = Members()

_SPACE = " \t\r\n"
MAX_SPACE = 1000
"""Characters of space and separators after a call; what follows them is text."""

_MAX_GAP = 100


class Header(NamedTuple):
    """What stands before the arguments' object."""

    name: str
    id: str | None = None
    repaired: bool = False


@dataclass(frozen=True)
class JSONCalls:
    """How a family writes its calls; makes the body that reads a block of them.

    closing   the tags that may end a block, which are read. None: a block ends with its value
    openings  tags that end a block whose own end is missing, and are not read
    wrapper   what a block holds: objects one after the other, or one array of them
    strict    another wrapper is not repaired, but a problem
    unsure    what the opening tag begins may be no call at all, but an answer in JSON; a bracket is a tag here
    may_be_empty  a block with nothing in it is none
    open_ended    the end of the answer is as good an end of a block as its closing tag, which stops the model
    must_close    a block without its closing tag is cut off, however whole its objects are
    control       the opening tag is a control token, so that it is never text
    members   the names of the object's members
    header    reads what stands between opening tag and object, which then holds the arguments alone; None: malformed,
              unless there is nothing but the wrapper, and the object has a name among its members
    padding   characters that may stand around objects, beside space
    """

    closing: Sequence[str] = ()
    openings: Sequence[str] = ()
    wrapper: Literal["object", "list"] = "object"
    strict: bool = False
    members: Members = DEFAULT_MEMBERS
    header: Callable[[str], Header | None] | None = None
    padding: str = ""
    unsure: bool = False
    may_be_empty: bool = False
    open_ended: bool = False
    must_close: bool = False
    control: bool = False
    ends: Markers = field(init=False)
    ends_or_object: Markers = field(init=False)
    skipped: Mapping[int, None] = field(init=False)

    def __post_init__(self) -> None:
        ends = (*self.openings, *self.closing)
        object.__setattr__(self, "ends", Markers(ends))
        object.__setattr__(self, "ends_or_object", Markers((*ends, "{")))
        object.__setattr__(self, "skipped", dict.fromkeys(map(ord, self.padding)))

    def __call__(self, calls: CallEvents, opening: str, *, tags_in_strings: bool = False) -> JSONBlock:
        return JSONBlock(self, calls, opening, tags_in_strings=tags_in_strings)


class JSONBlock:
    """Everything between one opening tag and its end: `feed` until `ended`, or `close` at the end of the output.

    Then `text` is what was no call after all, and `rest` what a string without an end had swallowed: to be read once
    more, with `tags_in_strings=True`. With `named`, the name was read before the opening tag.
    """

    def __init__(
        self,
        form: JSONCalls,
        calls: CallEvents,
        opening: str,
        *,
        tags_in_strings: bool = False,
        named: Header | None = None,
    ) -> None:
        self.ended = False
        self.text = ""
        self.rest = ""
        self.form = form
        self._calls = calls
        self._opening = opening
        self._tags_in_strings = tags_in_strings
        self._raw = [opening]
        self._length = 0
        self._object: CallObject | None = None
        self._complete: CallObject | None = None  # waits for what follows it
        self._is_list = False
        self._is_named = False  # by the header
        self._gap = ""  # what stands before, between or after objects, without space
        self._named = named
        self._header: list[str] = []
        self._is_odd = False  # the wrapper is not as it should be
        self._is_false_start = False
        self._problem: str | None = None
        if opening == "{":
            self._begin_object()
            self._inside("{", 0)
            self._raw = [opening]
        elif opening.endswith("\n[") or opening == "[":
            self._gap = "["

    def feed(self, text: str, start: int) -> int:
        """Returns how far it read: to the end of the block, of the text, or to what may be the beginning of a tag."""
        at = start
        while at < len(text) and not self.ended:
            before = (self._object, self._complete, self._problem)
            if self._object is not None:
                read = self._inside(text, at)
            elif self._complete is not None and not self.form.closing:
                read = self._after(text, at)
            else:
                read = self._between(text, at)
            if read == at and before == (self._object, self._complete, self._problem):
                break
            at = read
        return at

    def close(self, unread: str) -> None:
        """The output is over: what was begun is cut off, unless its object is complete. `unread` may begin a tag."""
        if self.ended:
            return
        self._keep(unread)
        self._is_odd |= unread != ""
        if self._object is not None and not self.form.must_close and self._swallowed() is not None:
            self._give_up("a string in it does not end")
        if not self.ended:
            self._end(None)

    def _between(self, text: str, start: int) -> int:
        """Outside an object, or after a problem, where only a tag matters."""
        form = self.form
        only_tags = self._problem is not None or self._is_false_start
        at, marker = (form.ends if only_tags else form.ends_or_object).search(text, start)
        other = text[start:at]
        if not only_tags:
            self._look_at(other)
            if self._is_false_start and (form.unsure or not form.closing):
                self._is_text()
                return start
        self._keep(other)
        if self._is_false_start and not only_tags:
            return at
        if self._is_false_start and self._length > MAX_FALSE_START:
            self._end(None)
        elif marker == "{":
            self._begin_object()
            return at if self._object is None else self._inside(text, at)
        elif marker is not None:
            self._end(marker)
            at += len(marker) if marker in form.closing else 0
        return at

    def _look_at(self, text: str) -> None:
        """At what stands outside of objects."""
        if self.form.header is not None and self._complete is None:
            self._header.append(text)
            self._is_false_start = self._length > MAX_FALSE_START
            return
        words = "".join(text.translate(self.form.skipped).split())
        if len(self._gap) < _MAX_GAP:
            self._gap += words
        self._is_false_start = self._complete is None and bool(words.strip("[,;"))

    def _after(self, text: str, start: int) -> int:
        """After a complete object, where no closing tag is due."""
        if self._is_named:
            self._end(None)
            return start
        at = start
        while at < len(text) and text[at] in (_SPACE + ",;") and len(self.text) + at - start < MAX_SPACE:
            at += 1
        self._keep(text[start:at])
        self.text += text[start:at]
        if at == len(text):
            return at
        if self._is_list:
            self._gap += self.text.strip(_SPACE)
        if text[at] == "{":
            self._gap = self._gap or self.text.strip(_SPACE)
            self.text = ""
            self._begin_object()
        elif self._is_list and text[at] == "]":
            self._gap += "]"
            self._keep("]")
            self.text = ""
            at += 1
            self._end(None)
        else:
            self._end(None)
        return at

    def _begin_object(self) -> None:
        """At an object's bracket."""
        form = self.form
        if self._complete is None:
            self._begin_block()
        else:
            self._is_odd |= self._gap not in ((",",) if self._is_list else ("", ";") if not form.closing else ())
            self._finish_call()
            self._raw = [] if form.unsure else [self._opening]
            self._is_named = False
        self._gap = ""
        if self._problem is None:
            self._object = CallObject(form.members, self._calls, named=self._is_named, unsure=form.unsure)

    def _begin_block(self) -> None:
        """Before the first object: the header, or the wrapper."""
        form = self.form
        header = self._named
        if form.header is not None:
            written = "".join(self._header)
            header = form.header(written)
            self._gap = "" if header else "".join(written.translate(form.skipped).split())
            if self._gap not in ("", "["):
                self._problem = "the call is malformed: its name is not where it should be"
                return
        self._is_list = self._gap.startswith("[")
        expected = "[" if form.wrapper == "list" else ""
        if form.strict and self._gap[:1] != expected:
            self._problem = f"the call is malformed: it is not {'an array' if expected else 'an object'}"
            return
        self._is_odd |= self._gap != expected or (form.header is not None and header is None and not expected)
        if header is not None:
            self._is_named = True
            self._is_odd |= header.repaired
            self._calls.start(header.name, header.id)

    def _inside(self, text: str, start: int) -> int:
        assert self._object is not None
        tag_at, tag = self.form.ends.search(text, start) if self._tags_in_strings else (len(text), None)
        at = self._object.read(text, start, min(tag_at, start + MAX_CALL - self._length))
        self._keep(text[start:at])
        if self._object.complete:
            self._object, self._complete = None, self._object
        elif self._object.is_other:
            self._is_text()
        elif self._object.problem is not None:
            self._give_up(self._object.problem)
        elif self._length >= MAX_CALL:
            self._give_up(f"longer than {MAX_CALL} characters")
        elif tag is not None:
            self._give_up("a tag stands inside it")
        return at

    def _is_text(self) -> None:
        """What began is no call: the tag or bracket is text, and the rest is looked at once more."""
        raw = "".join(self._raw)
        first = len(self._opening) or 1
        self._object = None
        self.ended = True
        self.text, self.rest = raw[:first], raw[first:]

    def _keep(self, text: str) -> None:
        self._raw.append(text[: max(0, MAX_CALL - self._length)])
        self._length += len(text)

    def _give_up(self, problem: str) -> None:
        """The object is broken: only a tag ends it now, or has ended it already, inside a string without an end."""
        is_broken = self._object is not None and not self._object.is_read
        swallowed = self._swallowed() if is_broken and not self.form.must_close else None
        self._object = None
        self._problem = f"the call is malformed: {problem}"
        if swallowed is not None:
            at, tag = swallowed
            raw = "".join(self._raw)
            end = at + len(tag) if tag in self.form.closing else at
            self._raw, self.rest = [raw[:end]], raw[end:]
            self._end(None)

    def _swallowed(self) -> tuple[int, str] | None:
        """Where the first tag stands in what was read as the object, and which."""
        at, tag = self.form.ends.search("".join(self._raw), len(self._opening), at_end=True)
        return None if tag is None else (at, tag)

    def _finish_call(self) -> None:
        """The object that was complete becomes a call."""
        assert self._complete is not None
        self._complete.finish(odd=self._is_odd, raw="".join(self._raw))
        self._complete = None

    def _end(self, marker: str | None) -> None:
        """At a tag, at the value's end, or at the end of the output."""
        self.ended = True
        closed = marker in self.form.closing
        if marker is not None and closed:
            self._raw.append(marker)
        if self._problem is not None:
            self._calls.fail("".join(self._raw), self._problem)
        elif self._object is not None or (self._complete is not None and self.form.must_close and not closed):
            self._cut_off()
        elif self._complete is not None:
            self._is_odd |= not closed and bool(self.form.closing) and not (self.form.open_ended and marker is None)
            self._is_odd |= self._gap != ("]" if self._is_list else "")
            self._finish_call()
        elif self._is_false_start and not closed and not self.form.control:
            self.text = "".join(self._raw)
        elif self.form.may_be_empty and not "".join(self._raw[1:]).removesuffix(marker or "").strip():
            pass
        elif closed:
            self._call_without_object()
        elif self.form.unsure:
            self.text = "".join(self._raw)
        else:
            self._calls.fail("".join(self._raw), "the call was cut off before it began")

    def _cut_off(self) -> None:
        if self.form.unsure and not self._calls.started:
            self.text = "".join(self._raw)
        else:
            self._calls.fail("".join(self._raw), "the call was cut off before it was complete")

    def _call_without_object(self) -> None:
        """The tags hold a header, which is a call without arguments, or nothing."""
        raw = "".join(self._raw)
        header = self._named
        if self.form.header is not None:
            header = self.form.header("".join(self._header))
        if header is None or (self._named is not None and self._gap):
            self._calls.fail(raw, "there is no JSON object between the tags")
            return
        self._calls.start(header.name, header.id)
        self._calls.arguments("{}")
        self._calls.complete(repaired=True, raw=raw)
