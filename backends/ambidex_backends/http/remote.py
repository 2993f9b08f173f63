"""What `HubBackend` and `EndpointBackend` share: the way of one request, sync and async, and closing."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from ambidex.backend import Capabilities, Observer, last_release, notify
from ambidex.decoding import check_number
from ambidex.errors import AmbidexError, ConfigError
from ambidex.reply import Reply
from ambidex.request import Request
from ambidex.stream import AsyncEventStream, EventStream, collect

from .answer import Answer, AsyncAnswer, Reader
from .call import Timeouts
from .client import Ask, AsyncResponse, Http

BATCH_CONCURRENCY = 8
"""Requests of one `batch` that are under way at a time."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One request, ready to be sent, and what reads its answer."""

    ask: Ask
    reader: Reader


class RemoteBackend:
    """A subclass says what to send (`_plan`) and what must be known before (`_question`, `_learn`); all three pure."""

    def __init__(
        self,
        *,
        timeout: float,
        connect_timeout: float,
        first_event_timeout: float,
        idle_timeout: float,
        observe: Observer | None,
    ) -> None:
        try:
            check_number(timeout, "timeout", above=0.0)
            timeouts = Timeouts(connect_timeout, first_event_timeout, idle_timeout)
        except AmbidexError as problem:
            raise ConfigError(problem.message, param=problem.param) from None
        self._timeout = timeout
        self._http = Http(timeouts)
        self._observe = observe

    @property
    def capabilities(self) -> Capabilities:
        raise NotImplementedError

    def stream(self, request: Request, /) -> EventStream:
        """Sends the request and returns when the server begins to answer.

        Raises what was wrong before that (`Unsupported`, `RateLimited`, ...); the stream raises what goes wrong later.
        """
        notify(self._observe, request)
        try:
            seconds, began = self._seconds(request), time.monotonic()
            while (question := self._question(request)) is not None:
                self._learn(question, self._http.json(question, self._http.call(seconds, began)))
            plan = self._plan(request)
            response = self._http.open(plan.ask, self._http.call(seconds, began))
            answer = Answer(response, plan.reader, self._observe)
        except AmbidexError as error:
            notify(self._observe, error)
            raise
        return EventStream(answer, on_cancel=answer.abort)

    def astream(self, request: Request, /) -> AsyncEventStream:
        """The async twin; the request is sent when the first event is asked for."""
        notify(self._observe, request)

        async def open_(source: AsyncAnswer) -> tuple[AsyncResponse, Reader]:
            seconds, began = self._seconds(request), time.monotonic()
            while (question := self._question(request)) is not None:
                call = source.carries(self._http.call(seconds, began))
                self._learn(question, await self._http.ajson(question, call))
            plan = self._plan(request)
            call = source.carries(self._http.call(seconds, began))
            return await self._http.aopen(plan.ask, call), plan.reader

        answer = AsyncAnswer(open_, self._observe)
        return AsyncEventStream(answer, on_cancel=answer.abort)

    def batch(self, requests: Sequence[Request], /) -> list[Reply[Any] | AmbidexError]:
        """Each request's reply, or the error that it ended in, in their order; `BATCH_CONCURRENCY` at a time."""

        def reply(request: Request) -> Reply[Any] | AmbidexError:
            try:
                return collect(self.stream(request))
            except AmbidexError as error:
                return error

        with ThreadPoolExecutor(BATCH_CONCURRENCY, thread_name_prefix="ambidex-batch") as threads:
            return list(threads.map(reply, requests))

    def count(self, request: Request, /) -> int | None:
        """None: a server does not say how many tokens a prompt has before it answers."""
        return None

    def close(self) -> None:
        """Closes the connections, once everyone who connected has closed."""
        if last_release(self):
            self._http.close()

    async def aclose(self) -> None:
        """The async twin of `close`: also the connections of this event loop."""
        if last_release(self):
            await self._http.aclose()

    def _seconds(self, request: Request) -> float:
        return self._timeout if request.timeout is None else request.timeout

    def _question(self, request: Request) -> Ask | None:
        """What to ask the server before this request can be planned, if anything."""
        return None

    def _learn(self, question: Ask, answer: Any) -> None:
        """The answer to a question; the same is not asked again."""

    def _plan(self, request: Request) -> Plan:
        raise NotImplementedError
