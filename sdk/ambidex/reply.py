"""What comes back: `Reply` and the values in it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Generic, Literal, TypeAlias, cast

from typing_extensions import TypeVar

from .messages import Assistant, ToolCall

T = TypeVar("T", default=Any)

FinishReason: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter", "cancelled", "other"]


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """One token's natural-log probability under the raw float32 softmax, before processors and masks.

    `top` holds the alternatives, best first; `id` is None where a server does not say; `source` is "provider" when
    a server computed it, by its own rules.
    """

    text: str
    bytes: bytes
    id: int | None
    logprob: float
    top: tuple[TokenLogprob, ...] = ()
    source: Literal["model", "provider"] = "model"


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts. None: not reported.

    `cached_tokens` is the part of the input that was not computed again; `drafted_tokens` were guessed ahead of the
    model, which found `accepted_tokens` of them right: those are part of the output.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost: float | None = None
    drafted_tokens: int | None = None
    accepted_tokens: int | None = None

    def __add__(self, other: Usage) -> Usage:
        def total(name: str) -> Any:
            values = [value for usage in (self, other) if (value := getattr(usage, name)) is not None]
            return sum(values) if values else None

        return Usage(**{item.name: total(item.name) for item in fields(Usage)})


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds since the request was made. None: not reported."""

    queued: float | None = None
    first_token: float | None = None
    total: float | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer. `finish_reason` is None only in a partial reply; `raw_finish_reason` is the server's own word."""

    message: Assistant
    finish_reason: FinishReason | None = None
    logprobs: tuple[TokenLogprob, ...] | None = None
    score: float | None = None
    stop_sequence: str | None = None
    raw_finish_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Reply(Generic[T]):
    """A whole answer, or the part of one that came. The short properties mean choice 0."""

    choices: tuple[Choice, ...]
    usage: Usage = field(default_factory=Usage)
    timings: Timings = field(default_factory=Timings)
    model: str | None = None
    request_id: str | None = None
    value: T = cast(T, None)  # noqa: RUF009  # a cast is no call at run time that could be shared

    @property
    def message(self) -> Assistant:
        return self.choices[0].message

    @property
    def text(self) -> str:
        return self.message.text

    @property
    def reasoning(self) -> str:
        return self.message.reasoning

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        return self.message.tool_calls

    @property
    def finish_reason(self) -> FinishReason | None:
        return self.choices[0].finish_reason

    @property
    def stop_sequence(self) -> str | None:
        return self.choices[0].stop_sequence

    @property
    def logprobs(self) -> tuple[TokenLogprob, ...] | None:
        return self.choices[0].logprobs
