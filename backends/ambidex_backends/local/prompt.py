"""A request's prompt as ids, and how its answer is to be read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ambidex.events import Event, ToolCalled, ToolCallFailed
from ambidex.formats import Parser
from ambidex.messages import InvalidToolCall
from ambidex.tools import Tool


@dataclass(frozen=True, slots=True)
class Prompt:
    """`ends` end the answer, ids in `hidden` give no text; `parser` makes what reads an answer, None for raw text.

    tags  the spellings of the control tokens that are the parser's tags, by id
    """

    ids: list[int]
    ends: frozenset[int]
    hidden: frozenset[int]
    parser: Callable[[], Parser] | None
    tools: tuple[Tool[..., Any], ...] = ()
    starts_in_reasoning: bool = False
    tags: Mapping[int, str] = field(default_factory=dict[int, str])


class Uncalling:
    """A parser for an answer that was to call nothing: a call in it is kept as an invalid one."""

    def __init__(self, parser: Parser) -> None:
        self._parser = parser

    def feed(self, text: str) -> list[Event]:
        return [_not_called(event) for event in self._parser.feed(text)]

    def close(self) -> list[Event]:
        return [_not_called(event) for event in self._parser.close()]


def _not_called(event: Event) -> Event:
    if not isinstance(event, ToolCalled):
        return event
    call = event.call
    problem = "no call was to be made (tool_choice='none')"
    return ToolCallFailed(InvalidToolCall(call.id, call.name, call.arguments_json, problem), event.choice, event.index)
