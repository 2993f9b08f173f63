"""What `HubBackend` and `EndpointBackend` share: the way of one request, sync and async, and closing."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypedDict

from ambidex.backend import Capabilities, Observer, last_release, notify
from ambidex.decoding import check_integer, check_number
from ambidex.errors import AmbidexError, ConfigError, TransportError
from ambidex.reply import Reply
from ambidex.request import Request
from ambidex.stream import AsyncEventStream, EventStream, collect

from .answer import Answer, AsyncAnswer, Plan
from .attempts import Attempts
from .call import Call, Timeouts
from .client import Ask, Http
from .limiter import Limiter
from .limits import Limits
from .proxy import Proxy
from .retry import budget_of

BATCH_CONCURRENCY = 8
"""Requests of one `batch` that are under way at a time."""

LOOKUP_SECONDS = 5.0
"""What an optional question may take: the request goes on without its answer."""


class Connection(TypedDict):
    """The options that both backends have, as their constructors pass them on."""

    timeout: float
    connect_timeout: float
    first_event_timeout: float
    idle_timeout: float
    max_attempts: int
    max_concurrency: int | None
    max_per_minute: float | None
    proxy: str | None
    limits: Limits
    observe: Observer | None


class RemoteBackend:
    """A subclass says what to send (`_plan`) and what must be known before (`_question`, `_learn`); all three pure."""

    def __init__(self, address: str, model: str | None, connection: Connection) -> None:
        """`address` and `model` are whose retry budget is spent."""
        try:
            check_number(connection["timeout"], "timeout", above=0.0)
            check_integer(connection["max_attempts"], "max_attempts", at_least=1)
            check_integer(connection["max_concurrency"], "max_concurrency", at_least=1)
            check_number(connection["max_per_minute"], "max_per_minute", above=0.0)
            if not isinstance(connection["limits"], Limits):
                raise ConfigError(f"limits takes a Limits, got {type(connection['limits']).__name__}.", param="limits")
            self._timeouts = Timeouts(
                connection["connect_timeout"], connection["first_event_timeout"], connection["idle_timeout"]
            )
        except AmbidexError as problem:
            raise ConfigError(problem.message, param=problem.param) from None
        self._timeout = connection["timeout"]
        self._limits = connection["limits"]
        self._max_attempts = connection["max_attempts"]
        self._limiter = Limiter(connection["max_concurrency"], connection["max_per_minute"])
        self._http = Http(None if connection["proxy"] is None else Proxy.from_url(connection["proxy"]))
        self._observe = connection["observe"]
        self._budget = budget_of(address, model)

    @property
    def capabilities(self) -> Capabilities:
        raise NotImplementedError

    def stream(self, request: Request, /) -> EventStream:
        """The request is sent when the first event is asked for, so that it can be cancelled from the beginning.

        Raises what is known to be wrong before anything is posted (`Unsupported`, `BackendClosed`, ...).
        """
        notify(self._observe, request)
        attempts = self._attempts(request.timeout)
        try:
            self._http.check_open()
            plan = self._plan_at_once(request, attempts)
        except AmbidexError as error:
            notify(self._observe, error)
            raise
        answer = Answer(
            self._http, lambda: self._planned(request, attempts), attempts, self._limiter, self._observe, plan
        )
        return EventStream(answer, on_cancel=answer.cancel, output=request.output)

    def astream(self, request: Request, /) -> AsyncEventStream:
        """The async twin; the request is sent when the first event is asked for."""
        notify(self._observe, request)
        attempts = self._attempts(request.timeout)
        answer = AsyncAnswer(
            self._http, lambda: self._aplanned(request, attempts), attempts, self._limiter, self._observe
        )
        return AsyncEventStream(answer, on_cancel=answer.cancel, output=request.output)

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

    def _plan_at_once(self, request: Request, attempts: Attempts) -> Plan | None:
        """The plan, so that what the server cannot honour is refused at once; None where it must answer first."""
        question = self._question(request)
        return None if question is not None and not question.optional else self._planned(request, attempts)

    def _planned(self, request: Request, attempts: Attempts) -> Plan:
        """The plan, after the server was asked what must be known for it, or would be good to know."""
        while (question := self._question(request)) is not None:
            try:
                self._learn(question, self._http.json(question, self._call_for(question, attempts)))
            except AmbidexError as error:
                self._unanswered(question, attempts, error)
        return self._plan(request)

    async def _aplanned(self, request: Request, attempts: Attempts) -> Plan:
        while (question := self._question(request)) is not None:
            try:
                self._learn(question, await self._http.ajson(question, self._call_for(question, attempts)))
            except AmbidexError as error:
                self._unanswered(question, attempts, error)
        return self._plan(request)

    def _call_for(self, question: Ask, attempts: Attempts) -> Call:
        call = attempts.new_call()
        if question.optional:
            call.expect("idle", LOOKUP_SECONDS)
        return call

    def _unanswered(self, question: Ask, attempts: Attempts, error: AmbidexError) -> None:
        """Raises the error, unless the request goes without the answer."""
        if not question.optional:
            raise error
        if not (attempts.call.lost_idle_connection and isinstance(error, TransportError)):
            self._forgo(question)

    def _fetch(self, question: Ask) -> Any:
        """The answer to a question that belongs to no request; tried again like one."""
        attempts = self._attempts(None)
        while True:
            try:
                attempts.begin()
                return self._http.json(question, attempts.new_call())
            except AmbidexError as error:
                if not attempts.may_go_on(error):
                    raise

    async def _afetch(self, question: Ask) -> Any:
        """The async twin of `_fetch`."""
        attempts = self._attempts(None)
        while True:
            try:
                await attempts.abegin()
                return await self._http.ajson(question, attempts.new_call())
            except AmbidexError as error:
                if not attempts.may_go_on(error):
                    raise

    def _attempts(self, timeout: float | None) -> Attempts:
        return Attempts(
            self._timeouts,
            self._timeout if timeout is None else timeout,
            most=self._max_attempts,
            budget=self._budget,
            limiter=self._limiter,
            observe=self._observe,
        )

    def _question(self, request: Request) -> Ask | None:
        """What to ask the server before this request can be planned, if anything."""
        return None

    def _learn(self, question: Ask, answer: Any) -> None:
        """The answer to a question; the same is not asked again. What it raises leaves the question unanswered."""

    def _forgo(self, question: Ask) -> None:
        """An optional question stays without an answer; it is not asked again for this request."""

    def _plan(self, request: Request) -> Plan:
        raise NotImplementedError
