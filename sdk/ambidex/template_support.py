"""What a chat template can write itself: found by rendering small conversations, the canaries, when it is loaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeAlias

from .errors import TemplateError
from .messages import Assistant, Message, System, ToolCall, ToolResult, User
from .template_repair import BARE_TOOLS, IN_TURN
from .tools import Tool

Way: TypeAlias = Literal["template", "in turn", "written out", "refused"]
"""How something comes into a prompt:

"template"     as the template writes it, exactly as transformers renders it where that does not fail
"in turn"      the template knows one call a turn: several become a turn each, followed by its result
"written out"  the template leaves it out or fails: it is written as text, in the format of the model's family
"refused"      there is no way: `TemplateError`
"""


@dataclass(frozen=True, slots=True)
class TemplateSupport:
    """The way of each thing that a conversation may hold."""

    system: Way
    turns: Way
    tools: Way
    calls: Way
    parallel_calls: Way

    @property
    def refused(self) -> tuple[str, ...]:
        """What cannot be in a prompt at all."""
        return tuple(field.name for field in fields(self) if getattr(self, field.name) == "refused")


_TOOLS = tuple(
    Tool(
        name,
        f"{verb} one zebra.",
        {
            "type": "object",
            "properties": {"stripes": {"type": "integer", "description": "How many stripes"}},
            "required": ["stripes"],
        },
    )
    for name, verb in (("paint_zebra", "Paints"), ("count_zebra", "Counts"))
)
_CALLS = (
    ToolCall("zebra1234", "paint_zebra", {"stripes": 31}),
    ToolCall("zebra5678", "count_zebra", {"stripes": 47}),
)
_RESULTS = tuple(ToolResult(call.id, call.name, f"zebra {call.id[-2:]}") for call in _CALLS)
_QUESTION = User("Zebras, please.")

CANARIES: dict[str, tuple[tuple[Message, ...], tuple[Tool[..., Any], ...]]] = {
    "system": ((System("Zebras only."), _QUESTION), ()),
    "turns": ((_QUESTION, Assistant("Which zebras?"), User("Those zebras.")), ()),
    "tools": ((_QUESTION,), _TOOLS),
    "calls": ((_QUESTION, Assistant(_CALLS[0]), _RESULTS[0]), _TOOLS),
    "parallel_calls": ((_QUESTION, Assistant(*_CALLS), *_RESULTS), _TOOLS),
}


def found_support(
    differences: Callable[[Sequence[Message], Sequence[Tool[..., Any]]], frozenset[str]],
) -> TemplateSupport:
    """`differences` tells how a rendering differs from the template's own, and raises `TemplateError` for none."""
    found: dict[str, Way] = {}
    for name, (messages, tools) in CANARIES.items():
        try:
            differs = differences(messages, tools)
        except TemplateError:
            found[name] = "refused"
        else:
            written_out = differs - {IN_TURN, BARE_TOOLS}
            found[name] = "written out" if written_out else "in turn" if IN_TURN in differs else "template"
    return TemplateSupport(**found)
