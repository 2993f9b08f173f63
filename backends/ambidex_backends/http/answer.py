"""What an `EventStream` iterates over: asks, reads the response, gives its events; sync and async.

Until its first event is given out, an answer that fails may be asked for again; after that it never is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ambidex.backend import Observer, notify
from ambidex.errors import AmbidexError
from ambidex.events import Event

from .attempts import Attempts
from .client import Ask, AsyncResponse, Http, Response
from .limiter import Limiter
from .reading import Reader, Reading

LAST_BYTES_SECONDS = 0.05
"""After `[DONE]`, the end of the body may take so long for its connection to be used again."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One request, ready to be sent, and what reads its answer."""

    ask: Ask
    reader: Reader


class _Tries:
    """What both twins share of asking, and asking again."""

    def __init__(self, http: Http, attempts: Attempts, limiter: Limiter, observe: Observer | None) -> None:
        self._http = http
        self._attempts = attempts
        self._limiter = limiter
        self._observe = observe
        self._reading: Reading | None = None
        self._has_place = False
        self._is_committed = False

    def cancel(self) -> None:
        """Ends a waiting `next` at once. From any thread."""
        self._attempts.request()

    def _given(self, event: Event) -> Event:
        if not self._is_committed:
            self._is_committed = True
            self._attempts.succeeded()
        notify(self._observe, event)
        return event

    def _is_final(self, error: AmbidexError) -> bool:
        """Whether this is the end; else the answer is asked for again."""
        self._reading = None
        if not self._is_committed and self._attempts.may_go_on(error):
            return False
        notify(self._observe, error)
        return True

    def _leave(self) -> None:
        if self._has_place:
            self._has_place = False
            self._limiter.leave()


class Answer(_Tries):
    """The sync source: an iterator that `close` may end at any time. It asks when its first event is asked for."""

    def __init__(
        self,
        http: Http,
        plan: Callable[[], Plan],
        attempts: Attempts,
        limiter: Limiter,
        observe: Observer | None,
        first_plan: Plan | None = None,
    ) -> None:
        """`first_plan` is that of the first try, where it is made already."""
        super().__init__(http, attempts, limiter, observe)
        self._plan = plan
        self._first_plan = first_plan
        self._response: Response | None = None
        self._failure: AmbidexError | None = None
        self._is_over = False

    def start(self) -> None:
        """Asks, unless it has, until a server answers. What goes wrong is raised by the next event."""
        while self._reading is None and self._failure is None and not self._is_over:
            try:
                if not self._has_place:
                    self._limiter.enter(self._attempts.remaining, self._attempts)
                    self._has_place = True
                self._attempts.begin()
                plan, self._first_plan = self._first_plan or self._plan(), None
                self._response = self._http.open(plan.ask, self._attempts.new_call())
                self._reading = Reading(self._response, plan.reader)
            except AmbidexError as error:
                self._failure = error if self._is_final(error) else None

    def __next__(self) -> Event:
        while True:
            self.start()
            if self._failure is not None:
                self._is_over, failure, self._failure = True, self._failure, None
                raise failure
            if self._reading is None:
                raise StopIteration
            try:
                event = self._next_event(self._reading)
            except AmbidexError as error:
                self._close_response()
                if self._is_final(error):
                    raise
            else:
                if event is None:
                    raise StopIteration
                return self._given(event)

    def __iter__(self) -> Answer:
        return self

    def close(self) -> None:
        self._is_over = True
        self._close_response()
        self._leave()

    def _next_event(self, reading: Reading) -> Event | None:
        response = self._response
        if response is None:  # closed meanwhile
            return None
        if reading.needs_more():
            reading.begin_wait()
        while reading.needs_more():
            try:
                chunk = response.read()
            except AmbidexError as error:
                reading.fail(error)
            else:
                reading.take(chunk)
        if reading.may_end_soon:
            reading.may_end_soon = False
            _read_last_bytes(response)
        return reading.next_event()

    def _close_response(self) -> None:
        response, self._response = self._response, None
        if response is not None:
            response.close()


class AsyncAnswer(_Tries):
    """The async twin."""

    def __init__(
        self,
        http: Http,
        plan: Callable[[], Awaitable[Plan]],
        attempts: Attempts,
        limiter: Limiter,
        observe: Observer | None,
    ) -> None:
        super().__init__(http, attempts, limiter, observe)
        self._plan = plan
        self._response: AsyncResponse | None = None

    async def __anext__(self) -> Event:
        while True:
            try:
                event = await self._next_event()
            except AmbidexError as error:
                await self._close_response()
                if self._is_final(error):
                    raise
            else:
                if event is None:
                    raise StopAsyncIteration
                return self._given(event)

    def __aiter__(self) -> AsyncAnswer:
        return self

    async def aclose(self) -> None:
        await self._close_response()
        self._leave()

    async def _next_event(self) -> Event | None:
        if not self._has_place:
            await self._limiter.aenter(self._attempts.remaining, self._attempts)
            self._has_place = True
        if self._reading is None:
            await self._attempts.abegin()
            plan = await self._plan()
            self._response = await self._http.aopen(plan.ask, self._attempts.new_call())
            self._reading = Reading(self._response, plan.reader)
        reading, response = self._reading, self._response
        if response is None:  # closed meanwhile
            return None
        if reading.needs_more():
            reading.begin_wait()
        while reading.needs_more():
            try:
                chunk = await response.read()
            except AmbidexError as error:
                reading.fail(error)
            else:
                reading.take(chunk)
        if reading.may_end_soon:
            reading.may_end_soon = False
            await _aread_last_bytes(response)
        return reading.next_event()

    async def _close_response(self) -> None:
        response, self._response = self._response, None
        if response is not None:
            await response.close()


def _read_last_bytes(response: Response) -> None:
    """So that the connection may be used again."""
    response.call.expect("idle", LAST_BYTES_SECONDS)
    try:
        while response.read() is not None:
            pass
    except AmbidexError:
        pass  # the answer is whole; the connection is closed instead of kept


async def _aread_last_bytes(response: AsyncResponse) -> None:
    response.call.expect("idle", LAST_BYTES_SECONDS)
    try:
        while await response.read() is not None:
            pass
    except AmbidexError:
        pass
