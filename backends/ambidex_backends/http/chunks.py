"""The stream of an OpenAI-compatible server as our events: chats and raw completions. No I/O, tolerant, exact.

Complete means that some chunk carried a finish reason; `[DONE]` alone does not. Fields that are unknown, null or
empty are passed over; what cannot be read is refused; an error inside the stream is raised, in whatever shape.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from ambidex.accumulator import Accumulator
from ambidex.errors import AmbidexError, IncompleteResponse, LimitExceeded, MalformedResponse
from ambidex.events import Event, Finished, ReasoningDelta, TextDelta, TokenScored
from ambidex.reply import FinishReason, Timings, Usage
from ambidex.strict_json import StrictJSONError, loads

from .call_assembly import CallAssembly
from .json_values import as_list, as_number, as_object, as_text, as_whole, is_list, is_object
from .limits import DEFAULT_LIMITS, MAX_VALUES, Limits
from .scores import read_scores
from .server_errors import clean, for_stream, says_error
from .sse import ServerSentEvent
from .surrogates import WholeText
from .tally import Tally
from .tool_names import ToolNames

FINISH_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "stop_sequence": "stop",
    "end_turn": "stop",
    "length": "length",
    "max_tokens": "length",
    "tool_calls": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}


class ChunkReader:
    """Reads the answer of one request; see `reading.Reader`."""

    def __init__(
        self,
        names: ToolNames,
        *,
        model: str | None,
        provider: str | None = None,
        scored: bool = True,
        limits: Limits = DEFAULT_LIMITS,
        max_tokens: int | None = None,
        done_is_enough: bool = False,
        cost: Callable[[Usage, str | None], float | None] | None = None,
    ) -> None:
        """`max_tokens` is the limit that was asked for: routers rewrite the finish reason of an answer that met it.
        `scored`: log probabilities were asked for; others are passed over.
        `done_is_enough`: `[DONE]` without a finish reason makes an answer whole, as old servers mean it.
        `cost` knows what these tokens cost, in USD, from the provider of this name (None: not known who it was)."""
        self.finished = False
        self.done = False
        self._names = names
        self._model = model
        self._provider = provider
        self._max_tokens = max_tokens
        self._done_is_enough = done_is_enough
        self._cost = cost
        self._served_by: str | None = None
        self._so_far = Accumulator()
        self._text = WholeText()
        self._reasoning = WholeText()
        self._calls = CallAssembly(names, limits)
        self._tally = Tally(limits)
        self._scored = scored
        self._max_values = max_values(limits, scored=scored)
        self._raw_reason: str | None = None
        self._stop_sequence: str | None = None
        self._usage = Usage()
        self._answered_by: str | None = None
        self._chunk_id: str | None = None

    def begin(self, headers: Mapping[str, str]) -> None:
        self._served_by = headers.get("x-inference-provider") or None

    def feed(self, event: ServerSentEvent) -> list[Event]:
        text = event.data.strip()
        if text == "[DONE]":
            self.done = True
            self.finished = self.finished or self._done_is_enough
            return []
        if not text:
            return []
        data = read_json(event, self._max_values)
        if event.event == "error" or (not _is_usual(data) and says_error(data)):
            raise self._error(data, event.data)
        if counts := data.get("usage") or ("x_groq" in data and as_object(data["x_groq"]).get("usage")):
            self._usage = read_usage(counts) or self._usage
        self._answered_by = as_text(data.get("model")) or self._answered_by
        self._chunk_id = as_text(data.get("id")) or self._chunk_id
        events: list[Event] = []
        for choice in as_list(data.get("choices")):
            if not is_object(choice):
                raise MalformedResponse("The server sent a choice that is no object.")
            events += self._choice(choice)
        return self._noted(events)

    def end(self, timings: Timings, request_id: str | None) -> list[Event]:
        if not self.finished:
            raise IncompleteResponse(
                "The answer ended without a finish reason: it was cut off on its way. What came is in .partial.",
                request_id=request_id,
                code="no_finish_reason" if self.done else None,
            )
        raw = self._raw_reason
        reason: FinishReason = "stop" if raw is None else FINISH_REASONS.get(raw, "other")
        if self._calls.ends_open and self._met_its_limit():
            reason = "length"
        events = self._held_text() + self._calls.end(cut=reason == "length")
        self._noted(events)
        if reason == "stop" and len(self._calls):
            reason = "tool_calls"
        elif reason == "tool_calls" and not len(self._calls):
            reason = "other"
        choice = self._so_far.choice(reason, raw=raw, stop_sequence=self._stop_sequence)
        finished = Finished(
            (choice,),
            self._usage_with_cost(),
            timings,
            model=self._answered_by or self._model,
            request_id=request_id or self._chunk_id,
        )
        return [*events, finished]

    def _met_its_limit(self) -> bool:
        used = self._usage.output_tokens
        return self._max_tokens is not None and used is not None and used >= self._max_tokens

    def _usage_with_cost(self) -> Usage:
        """The server's own figure, else that of the prices."""
        if self._usage.cost is not None or self._cost is None:
            return self._usage
        return dataclasses.replace(self._usage, cost=self._cost(self._usage, self._served_by))

    def _choice(self, choice: dict[str, Any]) -> list[Event]:
        if choice.get("index") not in (None, 0):
            raise MalformedResponse(
                f"The server sent answer {clean(str(choice['index']))[:20]}, though one was asked for."
            )
        if choice.get("error") or choice.get("finish_reason") == "error":
            raise self._error(choice, "the answer ended in an error")
        fields = choice.get("delta") or choice.get("message") or dict[str, Any]()
        if not is_object(fields):
            raise MalformedResponse("The server sent a delta that is no object.")
        events: list[Event] = []
        if "usage" in choice and is_object(choice["usage"]):  # Moonshot's place for it
            self._usage = read_usage(choice["usage"]) or self._usage
        content = fields.get("content")
        if fields.keys() <= _PLAIN and isinstance(content, str):  # what most of them are
            if content and (text := self._text.feed(content)):
                events.append(TextDelta(text))
        elif fields or "text" in choice:
            self._read_fields(fields, as_text(choice.get("text")), events)
        if self._scored and (logprobs := choice.get("logprobs")):
            events += [TokenScored(score) for score in read_scores(logprobs)]
        reason = choice.get("finish_reason")
        if isinstance(reason, str) and reason:
            self.finished = True
            self._raw_reason = reason
            self._stop_sequence = as_text(choice.get("stop_reason")) or as_text(choice.get("matched_stop")) or None
        return events

    def _read_fields(self, fields: dict[str, Any], completion: str, events: list[Event]) -> None:
        """All that a delta can hold; `completion` is the text of a raw completion, which stands beside it."""
        reasoning = (
            as_text(fields.get("reasoning_content"))
            or as_text(fields.get("reasoning"))
            or _thoughts(fields.get("content"))
        )
        if reasoning and (text := self._reasoning.feed(reasoning)):
            events.append(ReasoningDelta(text))
        content = _content(fields.get("content")) or as_text(fields.get("refusal")) or completion
        if content and (text := self._text.feed(content)):
            events.append(TextDelta(text))
        calls = fields.get("tool_calls")
        if fields.get("function_call"):  # the older form: one call, without id
            calls = {"index": 0, "function": fields["function_call"]}
        if calls:
            events += self._held_text() + self._calls.feed(calls)

    def _held_text(self) -> list[Event]:
        """Halves of characters that nothing followed."""
        events: list[Event] = []
        if text := self._reasoning.end():
            events.append(ReasoningDelta(text))
        if text := self._text.end():
            events.append(TextDelta(text))
        return events

    def _noted(self, events: list[Event]) -> list[Event]:
        for event in events:
            self._tally.count(event)
            self._so_far.add(event)
        return events

    def _error(self, data: dict[str, Any], fallback: str) -> AmbidexError:
        return for_stream(
            data, model=self._model, request_id=self._chunk_id, provider=self._provider, fallback=fallback
        )


_USUAL = frozenset({"id", "object", "created", "model", "choices", "usage", "system_fingerprint", "service_tier"})
_PLAIN = frozenset({"role", "content"})


def _is_usual(data: dict[str, Any]) -> bool:
    """Whether it is a chunk as nearly all are, so that it need not be looked at for an error in all shapes."""
    return data.keys() <= _USUAL and bool(data.get("choices")) and data.get("object") != "error"


def max_values(limits: Limits, *, scored: bool) -> int:
    """JSON values in one event. Servers may send all log probabilities of an answer in one: six values for each."""
    return MAX_VALUES + (6 * limits.scores if scored else 0)


def read_json(event: ServerSentEvent, most: int = MAX_VALUES) -> dict[str, Any]:
    """The object in an event's data. Raises `MalformedResponse`; `LimitExceeded` for one too deep or too full."""
    try:
        data = loads(event.data, max_values=most)
    except StrictJSONError as problem:
        if problem.limit is not None:
            name, limit = problem.limit
            raise LimitExceeded(f"An event of the stream is {problem}.", name=name, limit=limit) from None
        start = clean(event.data)[:80]
        raise MalformedResponse(f"An event of the stream is no JSON ({problem}). It begins: {start}") from None
    if not is_object(data):
        if event.event == "error":
            return {"error": data}
        raise MalformedResponse(f"An event of the stream is no object but a {type(data).__name__}.")
    return data


def read_usage(data: Any) -> Usage | None:
    """Token counts in OpenAI's form; what is not reported stays None."""
    if not is_object(data):
        return None
    return Usage(
        input_tokens=as_whole(data.get("prompt_tokens")),
        output_tokens=as_whole(data.get("completion_tokens")),
        cached_tokens=_first_whole(
            as_object(data.get("prompt_tokens_details")).get("cached_tokens"), data.get("prompt_cache_hit_tokens")
        ),
        reasoning_tokens=_first_whole(
            as_object(data.get("completion_tokens_details")).get("reasoning_tokens"), data.get("reasoning_tokens")
        ),
        cost=_cost(data),
    )


def _cost(usage: dict[str, Any]) -> float | None:
    """What a server says that it cost: OpenRouter's `cost`, DeepInfra's `estimated_cost`, Perplexity's `total_cost`."""
    said = as_object(usage.get("cost")).get("total_cost") if is_object(usage.get("cost")) else usage.get("cost")
    number = as_number(said if said is not None else usage.get("estimated_cost"))
    return number if number is not None and number >= 0 else None


def _first_whole(*values: Any) -> int | None:
    return next((number for value in values if (number := as_whole(value)) is not None), None)


def _thoughts(content: Any) -> str:
    """Mistral's reasoning: parts of the content, each with text parts of its own."""
    if not is_list(content):
        return ""
    parts = [as_object(part) for part in content]
    return "".join(_content(part.get("thinking")) for part in parts if part.get("type") == "thinking")


def _content(value: Any) -> str:
    """Text, or the text parts of a list of parts."""
    if isinstance(value, str):
        return value
    if is_list(value):
        return "".join(as_text(as_object(part).get("text")) for part in value)
    return as_text(value)
