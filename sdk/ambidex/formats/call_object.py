"""One call's JSON as far as it came: an object with a name and arguments among its members, or the arguments alone."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from .call_events import NAMESPACE, CallEvents
from .lenient_json import Fragment, LenientReader, strict_object

NEUTRAL = frozenset({"type", "id", "description", "thought", "reasoning"})
"""Members that say nothing against an object being a call, in text that may be another JSON answer."""

OTHER_NAMES = frozenset({"function", "tool_name", "tool"})
OTHER_ARGUMENTS = frozenset({"args", "input", "parameter", "tool_input"})
"""What models of any family confuse the members with. Read only where the object can be nothing but a call."""


@dataclass(frozen=True, slots=True)
class Members:
    """What the members of a call's object are called. The first is the family's own; another is a repair.

    ids          the member that holds the call's id, if the family writes one
    name_is_key  the object is `{NAME: {arguments}}`
    """

    name: Sequence[str] = ("name",)
    arguments: Sequence[str] = ("arguments", "parameters")
    ids: Collection[str] = ()
    name_is_key: bool = False


class CallObject:
    """Reads one object. With `named`, the call has begun already, and the object is its arguments.

    unsure  the object may be an answer in JSON: its call begins only when a known name and arguments are there
    """

    def __init__(self, members: Members, calls: CallEvents, *, named: bool = False, unsure: bool = False) -> None:
        self._wrong: str | None = None
        self._members = members
        self._calls = calls
        self._named = named
        self._unsure = unsure
        self._reader = LenientReader()
        self._text: list[str] = []  # of the name or the id that is being read
        self._id: str | None = None
        self._name: str | None = None
        self._arguments_key: str | None = None
        self._is_object = named  # the arguments are one, and can be told as they come
        self._held: list[str] = []  # arguments that wait for the name, or for their end
        self._repaired = False

    @property
    def problem(self) -> str | None:
        """What is wrong with it, once it is known where it ends."""
        is_over = self._reader.complete or self._reader.problem is not None
        return (self._wrong or self._reader.problem) if is_over else None

    @property
    def complete(self) -> bool:
        return self._reader.complete and self.problem is None

    @property
    def is_read(self) -> bool:
        """Whether it is a whole JSON object, of a call or not."""
        return self._reader.complete

    @property
    def is_other(self) -> bool:
        """Whether it is no call, if it was unsure."""
        return self._unsure and not self._calls.started and (self._wrong or self._reader.problem) is not None

    def read(self, text: str, start: int, end: int) -> int:
        at = self._reader.feed(text, start, end)
        fragments, self._reader.fragments = self._reader.fragments, []
        for fragment in fragments:
            self._take(fragment)
        if self._is_object and self._calls.started:
            self._calls.arguments("".join(self._held))
            self._held = []
        if self._reader.complete and not self._calls.started:
            self._wrong = self._wrong or f"it has no {self._members.name[0]!r}"
        return at

    def finish(self, *, odd: bool, raw: str) -> None:
        """The object is complete; `odd`: what stands around it is not as it should be."""
        repaired = odd or self._repaired or self._reader.repaired
        if not self._is_object:
            written = _arguments_in("".join(self._held))
            if written is None:
                self._calls.fail(raw, f"{self._arguments_key!r} is not a JSON object")
                return
            repaired = True
            self._calls.arguments(written)
        self._calls.complete(repaired=repaired, raw=raw)

    def _take(self, fragment: Fragment) -> None:
        members, key = self._members, fragment.member
        if self._named:
            self._held.append(fragment.text)
        elif key is None:
            pass
        elif members.name_is_key:
            if self._name is None:
                self._begin(key)
            self._read_arguments(fragment, key)
        elif key in members.name or (key in OTHER_NAMES and self._name is None and not self._unsure):
            self._text.append(fragment.text)
            if fragment.ends:
                self._read_name(key)
        elif key in members.ids:
            self._text.append(fragment.text)
            if fragment.ends:
                self._id, self._text = str(json.loads("".join(self._text))), []
        elif key in members.arguments or (
            key in OTHER_ARGUMENTS and self._arguments_key in (None, key) and not self._unsure
        ):
            self._read_arguments(fragment, key)
        elif self._unsure and key not in NEUTRAL:
            self._wrong = self._wrong or f"it has {key[:80]!r}"

    def _begin(self, name: str) -> None:
        """The name is known: the call is told, unless the object may still be something else."""
        self._name = name
        if self._unsure and self._arguments_key is None:
            return
        known = self._calls.tools
        if self._unsure and known and name not in known and name.removeprefix(NAMESPACE) not in known:
            self._wrong = self._wrong or f"there is no tool {name[:80]!r}"
        elif self._wrong is None:
            self._calls.start(name, self._id)

    def _read_name(self, key: str) -> None:
        written, self._text = "".join(self._text), []
        name = json.loads(written)
        if isinstance(name, dict) and key in OTHER_NAMES:
            name = self._read_inner(written)
        if not isinstance(name, str) or not name.strip():
            self._wrong = self._wrong or "its name is not a text"
        elif self._name is None:
            self._begin(name.strip())
        self._repaired |= key != self._members.name[0]

    def _read_inner(self, written: str) -> object:
        """The name in `"function": {"name": ..., "arguments": ...}`, as in OpenAI's requests; takes the arguments."""
        inner = LenientReader()
        inner.feed(written, 0, len(written))
        parts: dict[str, str] = {}
        for fragment in inner.fragments:
            if fragment.member is not None:
                parts[fragment.member] = parts.get(fragment.member, "") + fragment.text
        name, key = parts.get("name"), next((key for key in self._members.arguments if key in parts), None)
        if key is not None and self._arguments_key is None:
            self._read_arguments(Fragment(key, parts[key], ends=True), key)
        return None if name is None else json.loads(name)

    def _read_arguments(self, fragment: Fragment, key: str) -> None:
        if self._arguments_key is None:
            self._arguments_key = key
            self._is_object = fragment.text.startswith("{")
            self._repaired |= not self._members.name_is_key and key != self._members.arguments[0]
            if self._name is not None and not self._calls.started:
                self._begin(self._name)
        if key != self._arguments_key:
            self._wrong = self._wrong or f"it has both {self._arguments_key!r} and {key!r}"
        self._held.append(fragment.text)


def _arguments_in(written: str) -> str | None:
    """The object that was written as a JSON text in a string, once or twice; nothing at all stands for {}."""
    for _ in range(3):
        value = json.loads(written) if written else None
        if value is None or value == "":
            return "{}"
        if not isinstance(value, str):
            return None
        if (repaired := strict_object(value)) is not None:
            return repaired[0]
        written = value if value.lstrip().startswith('"') else "0"
    return None
