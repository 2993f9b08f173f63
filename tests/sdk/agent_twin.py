"""What the tests of agents stand on: sync and async agents in the same words, and two tools."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from ambidex import (
    Agent,
    AgentResult,
    AsyncAgent,
    Message,
    ToolCall,
    ToolResult,
    tool,
)
from ambidex.testing import ScriptedBackend

Task = str | Sequence[Message]


class Twin:
    """Runs an `Agent`, or an `AsyncAgent` to its end, in the same words."""

    def __init__(self, is_async: bool) -> None:
        self.is_async = is_async

    def run(self, model: Any, task: Task = "go", **options: Any) -> AgentResult[Any]:
        options.setdefault("tools", [])
        if self.is_async:
            return asyncio.run(AsyncAgent(model, **options).run(task))
        return Agent(model, **options).run(task)

    def events(
        self, model: Any, task: Task = "go", *, on: Callable[[Any, Any], None] | None = None, **options: Any
    ) -> list[Any]:
        """All events; `on(stream, event)` is called with each as it comes."""
        if not self.is_async:
            stream = Agent(model, **options).stream(task)
            events = []
            for event in stream:
                events.append(event)
                if on is not None:
                    on(stream, event)
            return events

        async def read() -> list[Any]:
            stream = AsyncAgent(model, **options).stream(task)
            events = []
            async for event in stream:
                events.append(event)
                if on is not None:
                    on(stream, event)
            return events

        return asyncio.run(read())


@tool
def add(a: int, b: int) -> int:
    """Adds."""
    return a + b


@tool
async def multiply(a: int, b: int) -> int:
    """Multiplies."""
    await asyncio.sleep(0.001)
    return a * b


def call(name: str, id: str = "1", **arguments: Any) -> ToolCall:
    return ToolCall(id, name, arguments)


def results(messages: Sequence[Message]) -> list[ToolResult]:
    return [message for message in messages if isinstance(message, ToolResult)]


def told(backend: ScriptedBackend, step: int = 1) -> str:
    """What the model was told before its answer `step`, counted from 0."""
    return backend.requests[step].messages[-1].text


class Counter:
    def __init__(self) -> None:
        self.count = 0

    def bump(self) -> str:
        """Counts."""
        self.count += 1
        return "done"
