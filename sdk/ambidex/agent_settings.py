"""What `Agent` and `AsyncAgent` share: the model, the tools, the limits."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic

from typing_extensions import TypeVar

from .agent_step import AgentRun, Limits
from .backend import Backend, Observer
from .conversation import connected
from .decoding import Decoding, check_integer, check_number
from .errors import InvalidRequest
from .messages import Message, System, User, checked_messages
from .request import ReasoningEffort, Request
from .tool_runner import ToolRunner
from .tools import Tool, as_tools

T = TypeVar("T", default=None)


class AgentSettings(Generic[T]):
    """Set once and never changed by a run, so that one agent may run many tasks, also at the same time."""

    def __init__(
        self,
        model: str | Backend,
        *,
        tools: Sequence[Tool[..., Any] | Callable[..., Any]],
        system: str | System | None = None,
        output: type[T] | None = None,
        max_steps: int = 20,
        max_tokens: int | None = None,
        max_total_tokens: int | None = None,
        timeout: float | None = None,
        tool_timeout: float | None = None,
        parallel: bool = True,
        strict_calls: bool = False,
        decoding: Decoding | None = None,
        reasoning: ReasoningEffort | None = None,
        stop: str | Sequence[str] = (),
        extra: Mapping[str, Any] | None = None,
        observe: Observer | None = None,
    ) -> None:
        self._tools = as_tools(tools)
        for tool in self._tools:
            if tool.run is None:
                raise InvalidRequest(
                    f"An agent runs its tools, and {tool.name!r} has no function: give Tool(..., run=function), or "
                    "use a Chat and answer the calls yourself.",
                    param="tools",
                )
        if max_steps is None:
            raise InvalidRequest("max_steps takes a whole number, got None.", param="max_steps")
        check_integer(max_steps, "max_steps", at_least=1)
        check_integer(max_total_tokens, "max_total_tokens", at_least=1)
        check_number(timeout, "timeout", above=0.0)
        check_number(tool_timeout, "tool_timeout", above=0.0)
        self._limits = Limits(max_steps, max_total_tokens, timeout)
        self._runner = ToolRunner({tool.name: tool for tool in self._tools}, strict_calls, parallel, tool_timeout)
        self._options = Request(
            (User("?"),),  # the task's messages take its place
            tools=self._tools,
            output=output,
            max_tokens=max_tokens,
            decoding=decoding,
            reasoning=reasoning,
            stop=stop,
            extra=extra,
        )
        self._system = system if system is None or isinstance(system, System) else System(system)
        self._observe = observe
        self._backend = connected(model)
        self._owns_backend = isinstance(model, str)

    def _new_run(self, task: str | Sequence[Message]) -> AgentRun:
        """The run of a task. Raises `InvalidRequest` for what is neither a text nor messages."""
        messages = list(checked_messages((User(task),) if isinstance(task, str) else task))
        if not messages:
            raise InvalidRequest("The task is empty: give a text or at least one message.")
        if self._system is not None and not isinstance(messages[0], System):
            messages.insert(0, self._system)
        return AgentRun(messages, self._limits, self._options, started=time.monotonic())

    def __repr__(self) -> str:
        names = ", ".join(tool.name for tool in self._tools)
        return f"{type(self).__name__}({type(self._backend).__name__}, tools: {names or 'none'})"
