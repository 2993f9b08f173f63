"""Folds events into the reply so far. Used by every stream, and by backends to build their `Finished`."""

from __future__ import annotations

import dataclasses
from typing import Any

from .events import (
    Event,
    Finished,
    ReasoningDelta,
    Restarted,
    StepTraced,
    TextDelta,
    TokenScored,
    ToolCallDelta,
    ToolCalled,
    ToolCallFailed,
    ToolCallStarted,
    ValueDelta,
)
from .messages import Assistant, InvalidToolCall, Part, Reasoning, Text, ToolCall
from .reply import Choice, FinishReason, Reply, Timings, TokenLogprob, Usage
from .text_pieces import TextPieces


class Accumulator:
    """`add` every event; `reply()` is the answer so far, whole once a `Finished` was added."""

    def __init__(self) -> None:
        self._choices: dict[int, _ChoiceSoFar] = {}
        self._finished: Finished | None = None
        self._value: Any = None

    def add(self, event: Event) -> None:
        match event:
            case Finished():
                self._finished = event
            case Restarted():
                self._choices.pop(event.choice, None)
                self._value = None
            case StepTraced():
                pass
            case ValueDelta(value):
                self._value = value
            case _:
                if event.choice not in self._choices:
                    self._choices[event.choice] = _ChoiceSoFar()
                self._choices[event.choice].add(event)

    def choice(
        self,
        reason: FinishReason | None = None,
        *,
        index: int = 0,
        raw: str | None = None,
        stop_sequence: str | None = None,
        score: float | None = None,
    ) -> Choice:
        """Choice `index` as far as it came; calls that were begun but not completed are invalid."""
        so_far = self._choices.get(index) or _ChoiceSoFar()
        return Choice(
            message=Assistant(*so_far.parts()),
            finish_reason=reason,
            logprobs=tuple(so_far.logprobs) or None,
            score=score,
            stop_sequence=stop_sequence,
            raw_finish_reason=raw,
        )

    def choices(self, reason: FinishReason | None = None) -> tuple[Choice, ...]:
        """All choices as far as they came; at least one."""
        return tuple(self.choice(reason, index=index) for index in range(max(self._choices, default=0) + 1))

    def reply(self) -> Reply[Any]:
        finished = self._finished
        if finished is None:
            return Reply(self.choices(), value=self._value)
        return Reply(
            finished.choices,
            finished.usage,
            finished.timings,
            finished.model,
            finished.request_id,
            finished.value,
        )

    def cancelled(self, finished: Finished | None = None) -> Finished:
        """The end of a cancelled stream; `finished` is what the source itself said at its end, if it got there."""
        if finished is None:
            return Finished(self.choices("cancelled"), Usage(), Timings())
        choices = tuple(dataclasses.replace(choice, finish_reason="cancelled") for choice in finished.choices)
        return dataclasses.replace(finished, choices=choices)


class _ChoiceSoFar:
    """Parts in the order in which they began."""

    def __init__(self) -> None:
        self.logprobs: list[TokenLogprob] = []
        self._order: list[_TextSoFar | _CallSoFar] = []
        self._calls: dict[int, _CallSoFar] = {}

    def add(self, event: Event) -> None:
        match event:
            case TextDelta(text):
                self._text(Text).pieces.add(text)
            case ReasoningDelta(text):
                so_far = self._text(Reasoning)
                so_far.pieces.add(text)
                so_far.signature = event.signature or so_far.signature
            case ToolCallStarted():
                call = self._call(event.index)
                call.id, call.name = event.id, event.name
            case ToolCallDelta():
                self._call(event.index).pieces.add(event.json)
            case ToolCalled() | ToolCallFailed():
                self._call(event.index).call = event.call
            case TokenScored(logprob):
                self.logprobs.append(logprob)
            case _:
                pass

    def parts(self) -> tuple[Part, ...]:
        return tuple(part for item in self._order if (part := item.part()) is not None)

    def _text(self, kind: type[Text] | type[Reasoning]) -> _TextSoFar:
        last = self._order[-1] if self._order else None
        if not isinstance(last, _TextSoFar) or last.kind is not kind:
            last = _TextSoFar(kind)
            self._order.append(last)
        return last

    def _call(self, index: int) -> _CallSoFar:
        if index not in self._calls:
            self._calls[index] = _CallSoFar()
            self._order.append(self._calls[index])
        return self._calls[index]


@dataclasses.dataclass(slots=True)
class _TextSoFar:
    kind: type[Text] | type[Reasoning]
    pieces: TextPieces = dataclasses.field(default_factory=TextPieces)
    signature: str | None = None

    def part(self) -> Part | None:
        text = str(self.pieces)
        if self.kind is Text:
            return Text(text) if text else None
        return Reasoning(text, self.signature) if text or self.signature else None


@dataclasses.dataclass
class _CallSoFar:
    id: str = ""
    name: str = ""
    pieces: TextPieces = dataclasses.field(default_factory=TextPieces)
    call: ToolCall | InvalidToolCall | None = None

    def part(self) -> Part | None:
        if self.call is not None:
            return self.call
        return InvalidToolCall(self.id, self.name, str(self.pieces), "the call was cut off before it was complete")
