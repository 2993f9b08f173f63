"""One request's way through several backends: who is asked next, what follows from an error, what is raised."""

from __future__ import annotations

import copy
import dataclasses
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, TypeAlias

from .backend import Backend, Observer, notify
from .circuit import Circuit
from .errors import (
    AmbidexError,
    APIError,
    AuthenticationError,
    BackendClosed,
    ConfigError,
    ContentFiltered,
    ContextLengthExceeded,
    DeadlineExceeded,
    EngineError,
    IncompleteResponse,
    InvalidRequest,
    LimitExceeded,
    ModelLoadError,
    ModelLoading,
    NotFound,
    OutOfMemory,
    Overloaded,
    PermissionDenied,
    ProtocolError,
    QuotaExceeded,
    RateLimited,
    RequestTooLarge,
    ServerError,
    TemplateError,
    TransportError,
    Unsupported,
)
from .events import Event, Finished
from .request import Request
from .stream import as_ambidex_error

_log = logging.getLogger("ambidex")

Consequence: TypeAlias = Literal["rest", "next", "raise"]

CONSEQUENCES: Mapping[type[AmbidexError], Consequence] = {
    # Out of order, whatever it is asked: the next backend is asked, and this one rests.
    TransportError: "rest",
    ProtocolError: "rest",
    DeadlineExceeded: "rest",
    RateLimited: "rest",
    ModelLoading: "rest",
    Overloaded: "rest",
    ServerError: "rest",
    QuotaExceeded: "rest",
    AuthenticationError: "rest",
    PermissionDenied: "rest",
    NotFound: "rest",
    ModelLoadError: "rest",
    BackendClosed: "rest",
    # It could not answer this request; it may well answer another, and another backend this one.
    APIError: "next",
    Unsupported: "next",
    ContextLengthExceeded: "next",
    RequestTooLarge: "next",
    LimitExceeded: "next",
    IncompleteResponse: "next",
    TemplateError: "next",
    EngineError: "next",
    # The request or the program is wrong, or it was an answer in its way: no other backend is tried.
    InvalidRequest: "raise",
    ContentFiltered: "raise",
    AmbidexError: "raise",
}
"""What follows from an error that comes before the first event; of an error's classes the nearest one counts."""

_PASSING = (TransportError, DeadlineExceeded, RateLimited, ModelLoading, Overloaded, ServerError, OutOfMemory)
"""Errors after which it makes sense to ask again later."""

_TOO_LITTLE = 0.02
"""Seconds in which nobody is asked any more: what is left when one backend has used up the request's time."""


@dataclasses.dataclass(frozen=True, slots=True)
class BackendAsked:
    """What `observe` is told before each try: the backend's model string or class, and which try it is, from 1."""

    backend: str
    attempt: int


@dataclasses.dataclass(frozen=True, slots=True)
class Member:
    """A backend, and how it fared lately."""

    name: str
    backend: Backend
    is_ours: bool
    circuit: Circuit


def consequence(error: AmbidexError) -> Consequence:
    """What `CONSEQUENCES` says about an error."""
    if isinstance(error, DeadlineExceeded) and error.kind == "pool":
        return "next"  # our own limit on requests at a time; the backend is well
    return next(CONSEQUENCES[kind] for kind in type(error).__mro__ if kind in CONSEQUENCES)


class Failover:
    """One request's way through the backends, without waiting: who is asked next, what counts, what is raised."""

    def __init__(
        self,
        request: Request,
        members: Sequence[Member],
        seconds: float,
        *,
        on: Callable[[AmbidexError], bool] | None,
        observe: Observer | None,
        clock: Callable[[], float],
    ) -> None:
        self._request = request
        self._order = _in_order(members)
        self._seconds = seconds
        self._on = on
        self._observe = observe
        self._clock = clock
        self._began = clock()
        self._asked: list[str] = []
        self._errors: list[AmbidexError] = []
        self._now: Member | None = None
        self._committed = False

    def take(self) -> tuple[Backend, Request]:
        """Whom to ask now, and what: the request with the time that is left. Raises when that was all."""
        left = self._seconds - (self._clock() - self._began)
        if left < _TOO_LITTLE:
            late = DeadlineExceeded(
                f"No backend began to answer within {self._seconds:g} s. Give a longer timeout, or each backend a "
                "shorter limit of its own.",
                limit=self._seconds,
            )
            notify(self._observe, late)
            raise self._with_others(late)
        member = next(self._order, None)
        if member is None:
            telling = next((error for error in self._errors if isinstance(error, _PASSING)), self._errors[0])
            raised = self._with_others(telling)
            raise raised from raised.__cause__
        if self._errors:
            _log.warning(
                "%s failed (%s): %s is asked instead.", self._asked[-1], type(self._errors[-1]).__name__, member.name
            )
        self._now = member
        self._asked.append(member.name)
        notify(self._observe, BackendAsked(member.name, len(self._asked)))
        return member.backend, dataclasses.replace(self._request, timeout=left)

    def passed(self, event: Event) -> Event:
        """An event for the caller. With the first one the choice is made."""
        assert self._now is not None
        if not self._committed:
            self._committed = True
            self._now.circuit.answered()
        if isinstance(event, Finished) and event.model is None:
            event = dataclasses.replace(event, model=self._now.name)
        notify(self._observe, event)
        return event

    def failed(self, problem: Exception) -> None:
        """The backend failed. Raises where that is the end."""
        assert self._now is not None
        error = as_ambidex_error(problem)
        notify(self._observe, error)
        follows = consequence(error)
        is_long_answer = self._committed and isinstance(error, DeadlineExceeded) and error.kind == "total"
        if follows == "rest" and not is_long_answer:
            self._now.circuit.failed(error.retry_after)
        self._errors.append(error)
        if self._committed or not self._goes_on(error, follows):
            raised = self._with_others(error)
            raise raised from raised.__cause__

    def _goes_on(self, error: AmbidexError, follows: Consequence) -> bool:
        """Whether the next backend is asked. Raises where the program's own word on that fails."""
        if self._on is None:
            return follows != "raise"
        try:
            return self._on(error)
        except Exception as problem:
            raised = ConfigError(
                f"on= of the Fallback is to say whether another backend is asked, and raised {type(problem).__name__}: "
                f"{problem}. It was given what {self._asked[-1]} raised, {type(error).__name__}: {error.message}",
                param="on",
            )
            raised.errors = tuple(self._errors)
            raise raised from problem

    def _with_others(self, error: AmbidexError) -> AmbidexError:
        """The error to raise: a copy that has the others, since a backend may raise one object for many requests."""
        others = tuple(other for other in self._errors if other is not error)
        if not others:
            return error
        raised = copy.copy(error).with_traceback(error.__traceback__)
        raised.__cause__ = error.__cause__
        raised.errors = others
        raised.attempts = sum(each.attempts for each in self._errors)
        tries = ", ".join(
            f"{name} ({type(each).__name__})" for name, each in zip(self._asked, self._errors, strict=True)
        )
        raised.message = f"{error.message} Asked in this order: {tries}."
        raised.args = (raised.message,)
        return raised


def _in_order(members: Sequence[Member]) -> Iterator[Member]:
    """Those that rest come last, and of these the one first whose rest ends first."""
    resting: list[tuple[float, Member]] = []
    for member in members:
        if member.circuit.admits():
            yield member
        else:
            resting.append((member.circuit.rests_until or 0.0, member))
    for _, member in sorted(resting, key=lambda item: item[0]):
        yield member
