"""Tool calls out of the pieces in which servers stream them. No I/O.

Pieces belong together by `index`; where a server leaves it out, by `id`, else by order. Servers repeat ids and names,
send a name in pieces, give several calls one index, and write arguments as an object: all of that is read. Arguments
are parsed once, at the end, by the strict reader: what it refuses is kept as an `InvalidToolCall` and never run.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from typing import Any

from ambidex.errors import LimitExceeded
from ambidex.events import Event, ToolCallDelta, ToolCalled, ToolCallFailed, ToolCallStarted
from ambidex.messages import InvalidToolCall, ToolCall
from ambidex.strict_json import StrictJSONError, loads
from ambidex.text_pieces import TextPieces

from .json_values import as_object, as_text, as_whole, is_list, is_object
from .limits import DEFAULT_LIMITS, MAX_VALUES, Limits
from .surrogates import WholeText
from .tally import exceeded
from .tool_names import ToolNames

MAX_NAME = 1024
"""Characters of one tool's name, which may come in pieces."""


@dataclass
class _Call:
    position: int
    key: int | None
    given_id: str = ""
    id: str = ""
    name: str = ""
    pieces: TextPieces = field(default_factory=TextPieces)
    text: WholeText = field(default_factory=WholeText)
    started: bool = False
    depth: int = 0
    in_string: bool = False
    escaped: bool = False

    @property
    def arguments(self) -> str:
        return str(self.pieces)

    @property
    def is_closed(self) -> bool:
        """Whether a value has begun and all that it opened is closed again."""
        return bool(self.pieces) and self.depth <= 0 and not self.in_string

    def add(self, text: str) -> None:
        self.pieces.add(text)
        for character in text:
            if self.escaped:
                self.escaped = False
            elif character == "\\":
                self.escaped = self.in_string
            elif character == '"':
                self.in_string = not self.in_string
            elif not self.in_string:
                self.depth += (character in "{[") - (character in "}]")


class CallAssembly:
    """`feed` the `tool_calls` of each delta; `end` gives the finished calls."""

    def __init__(self, names: ToolNames, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limit = limits.tool_calls
        self._names = names
        self._calls: list[_Call] = []

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def ends_open(self) -> bool:
        """Whether the last call's arguments have begun and are not complete."""
        return bool(self._calls and self._calls[-1].pieces and not self._calls[-1].is_closed)

    def feed(self, deltas: Any) -> list[Event]:
        """What one delta adds; anything in it that is no call is passed over."""
        events: list[Event] = []
        for item in deltas if is_list(deltas) else [deltas]:
            if is_object(item):
                events += self._piece(item)
        return events

    def end(self, *, cut: bool) -> list[Event]:
        """Every call, complete or invalid. `cut`: the answer was ended by its length limit."""
        events: list[Event] = []
        for call in self._calls:
            events += self._start(call)
            events += self._add(call, call.text.end())
            ended_by_limit = cut and call is self._calls[-1]
            result = _finished(call, self._names.original(call.name), ended_by_limit)
            if isinstance(result, ToolCall):
                events.append(ToolCalled(result, index=call.position))
            else:
                events.append(ToolCallFailed(result, index=call.position))
        return events

    def _piece(self, item: dict[str, Any]) -> list[Event]:
        parts = as_object(item.get("function")) or item
        given_id, name, key = as_text(item.get("id")), as_text(parts.get("name")), as_whole(item.get("index"))
        events: list[Event] = []
        call = self._find(key, given_id, name)
        if call is None:
            if self._calls:
                events += self._start(self._calls[-1])
            call = self._new(key)
        if given_id and not call.given_id:
            call.given_id = given_id
        _add_name(call, name)
        arguments = parts.get("arguments")
        if arguments is None or arguments == "":
            return events
        if not isinstance(arguments, str):
            arguments = json.dumps(arguments, ensure_ascii=False)
        events += self._start(call)
        events += self._add(call, call.text.feed(arguments))
        return events

    def _find(self, key: int | None, given_id: str, name: str) -> _Call | None:
        """The call that a piece continues; None: it begins a new one."""
        if key is not None:
            found = next((call for call in reversed(self._calls) if call.key == key), None)
        elif given_id:
            found = next((call for call in self._calls if call.given_id == given_id), None)
            if found is None and self._calls and not self._calls[-1].given_id and not name:
                found = self._calls[-1]
        else:
            found = self._calls[-1] if self._calls else None
        if found is None:
            return None
        another_id = bool(given_id and found.given_id and given_id != found.given_id)
        if not (name and found.name):
            return found
        # A name again: another call where the id or a tool's name says so, or where the one before is already complete.
        another_tool = name in self._names and found.name in self._names and not name.startswith(found.name)
        may_be_another = name != found.name or (key is None and not given_id)
        return None if another_id or another_tool or (may_be_another and found.is_closed) else found

    def _new(self, key: int | None) -> _Call:
        if len(self._calls) >= self._limit:
            raise exceeded("tool_calls", self._limit, "tool calls")
        call = _Call(len(self._calls), key)
        self._calls.append(call)
        return call

    def _start(self, call: _Call) -> list[Event]:
        """Only now is the name known to be whole."""
        if call.started:
            return []
        call.started = True
        taken = {other.id for other in self._calls}
        call.id = call.given_id if call.given_id and call.given_id not in taken else _new_id()
        return [ToolCallStarted(call.position, call.id, self._names.original(call.name))]

    def _add(self, call: _Call, text: str) -> list[Event]:
        if not text:
            return []
        call.add(text)
        return [ToolCallDelta(call.position, text)]


def _add_name(call: _Call, name: str) -> None:
    if not name or name == call.name or call.started:
        return
    call.name = name if name.startswith(call.name) else call.name + name
    if len(call.name) > MAX_NAME:
        raise LimitExceeded(
            f"The name of a tool call has more than {MAX_NAME} characters.", name="tool_name", limit=MAX_NAME
        )


def _finished(call: _Call, name: str, cut: bool) -> ToolCall | InvalidToolCall:
    raw = call.arguments
    if not name:
        return InvalidToolCall(call.id, name, raw, "the call has no name")
    if cut and not raw.strip():
        return InvalidToolCall(call.id, name, raw, "the call was cut off by the length limit")
    repaired = False
    try:
        value = _parsed(raw)
        if isinstance(value, str):  # encoded twice: the value inside is whole
            raw, repaired = value, True
            value = _parsed(raw)
    except StrictJSONError as problem:
        why = f"the arguments are no JSON: {problem}"
        if call.pieces and not call.is_closed:
            why = f"the arguments were cut off, which leaves no JSON: {problem}"
        return InvalidToolCall(
            call.id, name, call.arguments, "the call was cut off by the length limit" if cut else why
        )
    if value is None:
        value, raw = dict[str, Any](), "{}"
    if not is_object(value):
        return InvalidToolCall(
            call.id, name, call.arguments, f"the arguments are no object but a {type(value).__name__}"
        )
    return ToolCall(call.id, name, value, raw, repaired)


def _parsed(text: str) -> Any:
    """Empty text means no arguments. Half a character, which no text can hold, is refused."""
    value = loads(text, max_values=MAX_VALUES) if text.strip() else None
    if "\\u" in text:
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise StrictJSONError("half a character (a lone surrogate)") from None
    return value


def _new_id() -> str:
    """Nine letters and digits: what every family of models accepts, Mistral's too."""
    return uuid.uuid4().hex[:9]
