"""What an agent's stream has beside the model's events, and what a run comes to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeAlias

from typing_extensions import TypeVar

from .events import Event
from .messages import Message, ToolCall, ToolResult
from .reply import Reply, Usage

T = TypeVar("T", default=Any)

Stopped: TypeAlias = Literal[
    "finished",
    "cancelled",
    "unfinished",
    "max_steps",
    "max_total_tokens",
    "max_cost",
    "max_tool_calls",
    "max_repeats",
    "timeout",
]


@dataclass(frozen=True, slots=True)
class AgentStep:
    """One answer of the model, and what its calls returned, in their order."""

    reply: Reply[Any]
    results: tuple[ToolResult, ...] = ()


@dataclass(frozen=True, slots=True)
class AgentResult(Generic[T]):
    """A run: `answer` is the text of its last answer, `value` the validated one where the agent has `output`.

    `messages` is the whole conversation; a run that was stopped goes on with `agent.run(result.messages)`, or, where
    the journal has it, with `agent.resume(result.run_id)`. `usage` is that of all steps together; `stopped` says why
    the run ended; "unfinished" while it goes on and where an error broke it.
    """

    answer: str
    value: T
    messages: tuple[Message, ...]
    steps: tuple[AgentStep, ...]
    usage: Usage
    stopped: Stopped
    run_id: str | None = None


@dataclass(frozen=True, slots=True)
class StepStarted:
    """The model is asked for the `step`-th time, counted from 1."""

    step: int


@dataclass(frozen=True, slots=True)
class ToolStarted:
    """The call is about to run."""

    call: ToolCall


@dataclass(frozen=True, slots=True)
class ToolReturned:
    """What came of the call, after `seconds`; an error that the model is told where `result.is_error`."""

    call: ToolCall
    result: ToolResult
    seconds: float


@dataclass(frozen=True, slots=True)
class AgentFinished:
    """The run is over. Always the last event of an agent's stream that does not raise."""

    result: AgentResult[Any]


AgentEvent: TypeAlias = Event | StepStarted | ToolStarted | ToolReturned | AgentFinished
