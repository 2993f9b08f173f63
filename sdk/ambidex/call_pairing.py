"""Which result belongs to which call: ids made unique, calls that wait, results in the order of their calls."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from .errors import InvalidRequest, PendingToolCalls
from .messages import Assistant, InvalidToolCall, Message, Part, ToolCall, ToolResult


def with_unique_ids(message: Assistant) -> Assistant:
    """The message with an id for each of its calls: servers leave ids empty or give one twice."""
    ids = {part.id for part in message.parts if isinstance(part, (ToolCall, InvalidToolCall))}
    seen: set[str] = set()
    parts: list[Part] = []
    for part in message.parts:
        if isinstance(part, (ToolCall, InvalidToolCall)):
            if not part.id or part.id in seen:
                number = len(seen) + 1
                while (unique := f"{part.id or 'call'}_{number}") in ids | seen:
                    number += 1
                part = dataclasses.replace(part, id=unique)
            seen.add(part.id)
        parts.append(part)
    return Assistant(*parts) if tuple(parts) != message.parts else message


def pending_calls(messages: Sequence[Message]) -> tuple[ToolCall, ...]:
    """The calls of the last answer that have no result yet."""
    answer, results = _last_answer(messages)
    answered = {result.call_id for result in results}
    return tuple(call for call in answer.tool_calls if call.id not in answered)


def paired(messages: Sequence[Message], results: Iterable[ToolResult]) -> tuple[ToolResult, ...]:
    """`results` in the order of the calls of the last answer, none of which then waits any more.

    An invalid call of that answer may have a result, too, but need not. Raises `InvalidRequest` for a result that
    belongs to none, `PendingToolCalls` where a call is left without.
    """
    answer, earlier = _last_answer(messages)
    answered = {result.call_id for result in earlier}
    calls = [part for part in answer.parts if isinstance(part, (ToolCall, InvalidToolCall))]
    open_calls = {call.id: call for call in calls if call.id not in answered}
    given: dict[str, ToolResult] = {}
    for result in results:
        if result.call_id not in open_calls:
            waiting = ", ".join(map(repr, open_calls)) or "none"
            raise InvalidRequest(f"No call {result.call_id!r} waits for a result; those that wait: {waiting}.")
        if result.call_id in given:
            raise InvalidRequest(f"The call {result.call_id!r} is given two results.")
        called = open_calls[result.call_id].name
        if called and result.name != called:
            raise InvalidRequest(f"The call {result.call_id!r} was to {called!r}, the result is of {result.name!r}.")
        given[result.call_id] = result
    missing = [call for call in pending_calls(messages) if call.id not in given]
    if missing:
        listed = ", ".join(f"{call.name} (id {call.id!r})" for call in missing)
        raise PendingToolCalls(
            f"These tool calls wait for their results: {listed}. Answer each with ToolResult(call.id, call.name, ...)."
        )
    return tuple(given[identity] for identity in open_calls if identity in given)


def _last_answer(messages: Sequence[Message]) -> tuple[Assistant, list[ToolResult]]:
    """The last Assistant message and the results after it."""
    results: list[ToolResult] = []
    for message in reversed(messages):
        if isinstance(message, Assistant):
            return message, results
        if isinstance(message, ToolResult):
            results.append(message)
    return Assistant(), results
