"""What streams back. The union may grow in minor versions: a `match` over events needs its `case _`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

from .messages import InvalidToolCall, ToolCall
from .reply import Choice, Timings, TokenLogprob, Usage
from .trace import Trace


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next piece of the answer's text."""

    text: str
    choice: int = 0


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """The next piece of the model's reasoning; `signature` is the provider's proof where it sends one."""

    text: str
    choice: int = 0
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class ToolCallStarted:
    """A tool call began; `index` counts the calls of this answer from 0."""

    index: int
    id: str
    name: str
    choice: int = 0


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """The next piece of the arguments' JSON text of call `index`."""

    index: int
    json: str
    choice: int = 0


@dataclass(frozen=True, slots=True)
class ToolCalled:
    """A call is complete. Nothing may run it before `Finished` says that the whole answer is."""

    call: ToolCall
    choice: int = 0
    index: int = 0


@dataclass(frozen=True, slots=True)
class ToolCallFailed:
    """A call was cut off or malformed; it is kept as data and never run."""

    call: InvalidToolCall
    choice: int = 0
    index: int = 0


@dataclass(frozen=True, slots=True)
class TokenScored:
    """A token was picked; sent when log probabilities were asked for."""

    logprob: TokenLogprob
    choice: int = 0


@dataclass(frozen=True, slots=True)
class StepTraced:
    """A decoding step as it was, or the attention weights at the end; sent when the request was traced."""

    trace: Trace
    choice: int = 0


@dataclass(frozen=True, slots=True)
class ValueDelta:
    """The structured answer as far as it came, not yet validated."""

    value: Any
    choice: int = 0


@dataclass(frozen=True, slots=True)
class Restarted:
    """What was streamed before this is void; what follows replaces it."""

    reason: str
    choice: int = 0


@dataclass(frozen=True, slots=True)
class Finished:
    """The answer is whole. Always the last event, and there is one."""

    choices: tuple[Choice, ...]
    usage: Usage = field(default_factory=Usage)
    timings: Timings = field(default_factory=Timings)
    choice: int = 0
    model: str | None = None
    request_id: str | None = None
    value: Any = None


Event: TypeAlias = (
    TextDelta
    | ReasoningDelta
    | ToolCallStarted
    | ToolCallDelta
    | ToolCalled
    | ToolCallFailed
    | TokenScored
    | StepTraced
    | ValueDelta
    | Restarted
    | Finished
)
