"""What every format says about calls: indices, ids, events, and when a repaired call is good enough to run."""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from ambidex import strict_json
from ambidex.events import Event, ToolCallDelta, ToolCalled, ToolCallFailed, ToolCallStarted
from ambidex.messages import InvalidToolCall, ToolCall
from ambidex.schema_check import schema_problems
from ambidex.tools import Tool, as_tools

NAMESPACE = "functions."
"""What models put before the names of tools; dropped where only the rest is one."""

_ALPHANUMERIC = string.ascii_letters + string.digits

OfferedTools: TypeAlias = Iterable[Tool[..., Any] | Callable[..., Any] | Mapping[str, Any]]
"""What was offered to the model: tools, typed functions, or OpenAI's dicts."""


def offered(tools: OfferedTools | None) -> dict[str, Tool]:
    """The tools by name."""
    made = as_tools(Tool.from_openai(item) if isinstance(item, Mapping) else item for item in tools or ())
    return {tool.name: tool for tool in made}


def new_call_id() -> str:
    """Nine letters and digits: what Mistral's templates demand, and legal everywhere else."""
    return "".join(secrets.choice(_ALPHANUMERIC) for _ in range(9))


class CallEvents:
    """Collects the events of one answer; one call is open at a time."""

    def __init__(self, tools: Mapping[str, Tool], new_id: Callable[[], str] = new_call_id) -> None:
        self.events: list[Event] = []
        self._tools = tools
        self._new_id = new_id
        self._index = 0
        self._id = ""
        self._name: str | None = None
        self._pieces: list[str] = []
        self._is_renamed = False

    @property
    def started(self) -> bool:
        return self._name is not None

    @property
    def tools(self) -> Mapping[str, Tool]:
        """What was offered, by name; empty if nothing is known of it."""
        return self._tools

    def tool(self, name: str) -> Tool | None:
        """The tool that a call of this name is meant for."""
        return self._tools.get(name) or self._tools.get(name.removeprefix(NAMESPACE))

    def start(self, name: str, id: str | None = None) -> None:
        """A call of `name` begins; `id` is the one in the text, where the family writes ids."""
        self._id = id or self._new_id()
        if name not in self._tools and (bare := name.removeprefix(NAMESPACE)) in self._tools:
            name, self._is_renamed = bare, True
        self._name = name
        self.events.append(ToolCallStarted(self._index, self._id, name))

    def arguments(self, text: str) -> None:
        """The next piece of the arguments' strict JSON text."""
        if text:
            self._pieces.append(text)
            self.events.append(ToolCallDelta(self._index, text))

    def complete(self, *, repaired: bool, raw: str) -> None:
        """The open call is whole, if its arguments are good; `raw` is kept if they are not."""
        text = "".join(self._pieces)
        try:
            arguments = strict_json.loads(text)
        except strict_json.StrictJSONError as problem:
            self.fail(raw, f"the arguments are not JSON: {problem}")
            return
        if not isinstance(arguments, dict):
            self.fail(raw, "the arguments are not a JSON object")
            return
        name = self._name or ""
        repaired |= self._is_renamed
        if repaired and name in self._tools and (wrong := schema_problems(self._tools[name].parameters, arguments)):
            self.fail(raw, f"the call was malformed, and its arguments do not fit the tool: {'; '.join(wrong[:5])}")
            return
        self.events.append(ToolCalled(ToolCall(self._id, name, arguments, text, repaired), index=self._index))
        self._next()

    def fail(self, raw: str, problem: str) -> None:
        """The open call, or one that has not even a name, is kept as data."""
        call = InvalidToolCall(self._id or self._new_id(), self._name or "", raw, problem)
        self.events.append(ToolCallFailed(call, index=self._index))
        self._next()

    def _next(self) -> None:
        self._index += 1
        self._id, self._name, self._pieces, self._is_renamed = "", None, [], False
