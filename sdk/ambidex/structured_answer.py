"""An answer that must be a value: how it is asked for, read as it comes, checked, and asked for again. Knows no I/O.

A backend that holds answers to a type is asked as it is. One that says it does not is asked in words: the type's schema
stands in the system message. Either way the answer is validated, and one that does not fit is sent back with what is
wrong with it, a few times at most.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from typing import Any

from .backend import Capabilities
from .errors import ContextLengthExceeded, InvalidRequest, OutputInvalid, Unsupported
from .events import Event, Finished, Restarted, TextDelta, ValueDelta
from .grammar import Lark, Regex
from .messages import Assistant, System, User
from .output import REFUSED_SCHEMA, json_schema, validate
from .partial_json import PartialJson
from .reply import Reply, Timings, Usage
from .request import Request

DEFAULT_TRIES = 3
"""How often an answer is asked for until it fits."""

_WORDS_FOR_IT = ("response_format", "json_schema", "structured output", "structured_output", "guided", "grammar")


class StructuredAnswer:
    """Send `request`, give its events to `take`, and pass on what that gives; while `asks_again`, send the next one.

    An error before the first event goes to `refused`, which says whether there is another request to send.
    """

    def __init__(
        self,
        request: Request,
        capabilities: Capabilities,
        *,
        tries: int | None = DEFAULT_TRIES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`tries` None: the answer is passed on as it is, for a caller who validates it himself."""
        self.asks_again = False
        self._asked = request
        self._is_type = not isinstance(request.output, (Regex, Lark))
        self._in_words = self._can_be_in_words and capabilities.output is False
        self._tries = tries
        self._clock = clock
        self._started = clock()
        self._corrections: list[Assistant | User] = []
        self._usage = Usage()
        self._timings = Timings()
        self._has_begun = False
        self._reset()

    @property
    def request(self) -> Request:
        """What to send now. Its time is what is left."""
        request = _in_words(self._asked) if self._in_words else self._asked
        if self._corrections:
            left = max(self._asked.seconds - (self._clock() - self._started), 0.001)
            request = dataclasses.replace(request, messages=(*request.messages, *self._corrections), timeout=left)
        return request

    def refused(self, error: Exception) -> bool:
        """Whether to ask in words instead: the backend has no way to hold an answer to a type."""
        self.asks_again = False
        if self._has_begun or self._in_words or not self._can_be_in_words or not _is_about_output(error):
            return False
        self._in_words = self.asks_again = True
        return True

    def take(self, event: Event) -> list[Event]:
        """What the reader gets for an event: the value so far after a text, another try instead of a wrong end.

        Raises `OutputInvalid` where there is no other try.
        """
        self._has_begun, self.asks_again = True, False
        match event:
            case TextDelta(text, 0):
                changed = self._partial is not None and self._partial.feed(text)
                return [event, ValueDelta(self._partial.value)] if changed and self._partial is not None else [event]
            case Restarted():
                self._reset()
            case ValueDelta():
                return []  # ours instead, so that all backends' are alike
            case Finished():
                return [self._end(event)]
            case _:
                pass
        return [event]

    @property
    def _can_be_in_words(self) -> bool:
        return self._is_type and self._asked.prompt is None

    def _end(self, finished: Finished) -> Event:
        self._usage += finished.usage
        self._timings = _together(self._timings, finished.timings)
        finished = dataclasses.replace(finished, usage=self._usage, timings=self._timings)
        if self._tries is None or finished.choices[0].finish_reason == "cancelled":
            return finished
        try:
            return with_value(finished, self._asked)
        except OutputInvalid as error:
            if not self._may_try_again(finished):
                raise
            self._tries -= 1
            text = finished.choices[0].message.text
            self._corrections = [Assistant(text)] if text.strip() else []
            self._corrections.append(self._correction(error))
            self._reset()
            self.asks_again = True
            return Restarted(error.message)

    def _may_try_again(self, finished: Finished) -> bool:
        """What was cut off would be cut off again."""
        is_whole = finished.choices[0].finish_reason in ("stop", "other")
        has_time = self._clock() - self._started < self._asked.seconds
        return is_whole and has_time and self._is_type and self._asked.prompt is None and (self._tries or 0) > 1

    def _correction(self, error: OutputInvalid) -> User:
        schema = "" if self._in_words else f"\nIts JSON schema: {_written(json_schema(self._asked.output))}"
        return User(correction(error).text + schema)

    def _reset(self) -> None:
        is_json = self._is_type and self._asked.output is not str
        self._partial = PartialJson() if is_json else None


def with_value(event: Finished, request: Request) -> Finished:
    """The end of an answer with its value, where the request has `output` and the answer calls no tool instead.

    Raises `OutputInvalid` where the text does not fit the type.
    """
    message = event.choices[0].message
    if request.output is None or event.value is not None or message.tool_calls:
        return event
    try:
        return dataclasses.replace(event, value=validate(message.text, request.output))
    except OutputInvalid as error:
        error.partial = Reply(event.choices, event.usage, event.timings, event.model, event.request_id)
        if event.choices[0].finish_reason == "length":
            error.message = f"The answer was cut off at max_tokens. {error.message}"
        raise


def correction(error: OutputInvalid) -> User:
    """What a model is told of an answer that does not fit."""
    return User(f"{error.message}\nAnswer again with the whole corrected value and nothing else.")


def _in_words(request: Request) -> Request:
    """The same asked in the system message, for a backend that cannot hold an answer to a type."""
    if request.output is str:
        return dataclasses.replace(request, output=None)
    when = "When you call no tool, answer" if request.tools and request.tool_choice != "none" else "Answer"
    schema = _written(json_schema(request.output))
    told = f"{when} with one JSON value that fits this JSON schema, and with nothing else:\n{schema}"
    first, *others = request.messages
    if isinstance(first, System):
        messages = (System(*first.parts, f"\n\n{told}"), *others)
    else:
        messages = (System(told), first, *others)
    return dataclasses.replace(request, output=None, messages=messages)


def _is_about_output(error: Exception) -> bool:
    """Whether it says that the backend, or the server, takes no `output`."""
    if isinstance(error, Unsupported):
        return error.param in ("output", "tools") and error.code != REFUSED_SCHEMA
    if not isinstance(error, InvalidRequest) or isinstance(error, ContextLengthExceeded):
        return False
    said = f"{error.param or ''} {error.code or ''} {error.message}".lower()
    return error.status in (400, 422, 501) and any(word in said for word in _WORDS_FOR_IT)


def _written(schema: dict[str, Any]) -> str:
    return json.dumps(schema, ensure_ascii=False)


def _together(before: Timings, now: Timings) -> Timings:
    """Of several tries, one after another."""

    def total(a: float | None, b: float | None) -> float | None:
        return b if a is None else a if b is None else a + b

    first = now.first_token if before.first_token is None else before.first_token
    return Timings(total(before.queued, now.queued), first, total(before.total, now.total))
