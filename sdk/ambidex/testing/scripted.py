"""`ScriptedBackend`: a backend whose answers are written down beforehand; it streams them as a model would."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from typing import TypeAlias

from ambidex.accumulator import Accumulator
from ambidex.backend import Capabilities, check_supported
from ambidex.errors import BackendClosed, ConfigError
from ambidex.events import (
    Event,
    Finished,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    ToolCalled,
    ToolCallFailed,
    ToolCallStarted,
)
from ambidex.messages import Assistant, InvalidToolCall, Reasoning, Text, ToolCall
from ambidex.reply import FinishReason, Usage
from ambidex.request import Request
from ambidex.stream import AsyncEventStream, EventStream

Scripted: TypeAlias = str | ToolCall | Assistant | Exception | Iterable[Event | Exception]
"""One answer: a text, a call, a message, an error to raise, or raw events (among them errors) as they are."""

ScriptedReply: TypeAlias = Scripted | Callable[[Request], Scripted]
"""An answer, or a function that is given the request and returns one."""

EVERYTHING_BUT_NUMBERS = Capabilities(
    chat=True,
    prompt=True,
    tools=True,
    parallel_tool_calls=True,
    tool_choice=True,
    output=True,
    reasoning=True,
    logprobs=False,
    seed=True,
    n=False,
    beams=False,
    processors=False,
    contrast=False,
    images=True,
    audio=True,
    trace=False,
)
"""What a script can honour. It has no probabilities, so nothing that stands on them."""

_PIECE = re.compile(r"\S{1,8}\s*|\s+")


class ScriptedBackend:
    """Answers each request with the next of `replies`; or, where that is one function, always with what it returns.

    Texts and calls are streamed in pieces of at most a word, and a piece counts as a token: `max_tokens` and `stop`
    are honoured, usage is reported. `.requests` holds what was asked, `.closed` whether `close` was called. A request
    beyond the script raises `ConfigError`; an option that `capabilities` says no to raises `Unsupported`.
    """

    def __init__(
        self,
        replies: Iterable[ScriptedReply] | Callable[[Request], Scripted] = (),
        *,
        capabilities: Capabilities = EVERYTHING_BUT_NUMBERS,
    ) -> None:
        if isinstance(replies, str):
            raise ConfigError("ScriptedBackend takes several replies or one function, got a str: wrap it in a list.")
        self.capabilities = capabilities
        self.requests: list[Request] = []
        self.closed = False
        self._lock = threading.Lock()
        self._function = replies if callable(replies) else None
        self._replies: Sequence[ScriptedReply] = () if callable(replies) else tuple(replies)

    def stream(self, request: Request, /) -> EventStream:
        """Raises `Unsupported`, `ConfigError` when the script is over, and what a function of the script raises."""
        return EventStream(_playing(self._next_events(request)), output=request.output)

    def astream(self, request: Request, /) -> AsyncEventStream:
        """The async twin of `stream`; what that raises at once, this raises when first read."""

        async def playing() -> AsyncIterator[Event]:
            for event in _playing(self._next_events(request)):
                await asyncio.sleep(0)  # so that a cancelled task notices
                yield event

        return AsyncEventStream(playing(), output=request.output)

    def count(self, request: Request, /) -> int | None:
        """Tokens of the prompt, where a piece of at most eight letters is one."""
        if isinstance(request.raw_prompt, str):
            return len(_pieces(request.raw_prompt))
        return sum(len(_pieces(message.text)) for message in request.messages) + len(request.raw_prompt or ())

    def close(self) -> None:
        self.closed = True

    async def aclose(self) -> None:
        self.close()

    def _next_events(self, request: Request) -> Iterable[Event | Exception]:
        if self.closed:
            raise BackendClosed("This ScriptedBackend was closed.")
        check_supported(request, self.capabilities, "ScriptedBackend")
        with self._lock:
            self.requests.append(request)
            number = len(self.requests)
        reply: ScriptedReply
        if self._function is not None:
            reply = self._function
        elif number <= len(self._replies):
            reply = self._replies[number - 1]
        else:
            raise ConfigError(f"The script has {len(self._replies)} replies; this is request {number}.")
        scripted = reply(request) if callable(reply) else reply
        if isinstance(scripted, Exception):
            return [scripted]
        if isinstance(scripted, (str, ToolCall)):
            scripted = Assistant(scripted)
        if isinstance(scripted, Assistant):
            return events_of(
                scripted, input_tokens=self.count(request), max_tokens=request.max_tokens, stop=request.stops
            )
        return scripted


def events_of(
    message: Assistant,
    *,
    finish_reason: FinishReason | None = None,
    input_tokens: int | None = None,
    max_tokens: int | None = None,
    stop: Sequence[str] = (),
) -> list[Event]:
    """The events that stream `message`, `Finished` last; cut as a model's answer is by `max_tokens` and `stop`.

    A `finish_reason` that is not given is "tool_calls" where the message has calls, else "stop".
    """
    reason: FinishReason = finish_reason or ("tool_calls" if message.tool_calls or message.invalid_calls else "stop")
    message, stopped_by = _cut_at_stop(message, stop)
    events = _events_of_parts(message)
    tokens = [place for place, event in enumerate(events) if isinstance(event, _TOKEN)]
    if max_tokens is not None and len(tokens) > max_tokens:
        events, reason = events[: tokens[max_tokens]], "length"
    so_far = Accumulator()
    for event in events:
        so_far.add(event)
    choice = so_far.choice("stop" if stopped_by else reason, stop_sequence=stopped_by)
    called = choice.message.tool_calls + choice.message.invalid_calls
    completed = sum(isinstance(event, (ToolCalled, ToolCallFailed)) for event in events)
    if len(called) > completed:  # the last one was cut off
        events.append(ToolCallFailed(choice.message.invalid_calls[-1], index=len(called) - 1))
    output_tokens = sum(isinstance(event, _TOKEN) for event in events)
    return [*events, Finished((choice,), Usage(input_tokens, output_tokens), model="scripted")]


_TOKEN = (TextDelta, ReasoningDelta, ToolCallDelta)


def _events_of_parts(message: Assistant) -> list[Event]:
    events: list[Event] = []
    calls = 0
    for part in message.parts:
        match part:
            case Text(text):
                events += map(TextDelta, _pieces(text))
            case Reasoning(text, signature):
                events += [ReasoningDelta(piece) for piece in _pieces(text)]
                if signature is not None:
                    events.append(ReasoningDelta("", signature=signature))
            case ToolCall() | InvalidToolCall():
                json = part.arguments_json if isinstance(part, ToolCall) else part.raw
                events.append(ToolCallStarted(calls, part.id, part.name))
                events += [ToolCallDelta(calls, piece) for piece in _pieces(json)]
                if isinstance(part, ToolCall):
                    events.append(ToolCalled(part, index=calls))
                else:
                    events.append(ToolCallFailed(part, index=calls))
                calls += 1
            case _:
                raise ConfigError(f"A script streams text, reasoning and calls; no event has {type(part).__name__}.")
    return events


def _cut_at_stop(message: Assistant, stop: Sequence[str]) -> tuple[Assistant, str | None]:
    """The message up to the first of the stop texts that occurs in a Text part, and which one that was."""
    for place, part in enumerate(message.parts):
        if isinstance(part, Text):
            found = [(at, text) for text in stop if (at := part.text.find(text)) >= 0]
            if found:
                at, text = min(found)
                return Assistant(*message.parts[:place], part.text[:at]), text
    return message, None


def _pieces(text: str) -> list[str]:
    return _PIECE.findall(text)


def _playing(events: Iterable[Event | Exception]) -> Iterator[Event]:
    for event in events:
        if isinstance(event, Exception):
            raise event
        yield event
