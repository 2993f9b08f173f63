"""Whether and when a failed request is tried again. Pure: time and chance come in from outside.

Tried again is what may pass by itself; how often depends on whether the server can already have done the work. Full
jitter for what fails at random, equal jitter for throttling: with full jitter, all tries of a caller can fall into
the same closed window (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Literal

from ambidex.errors import (
    AmbidexError,
    Conflict,
    ConnectError,
    DeadlineExceeded,
    IncompleteResponse,
    MalformedResponse,
    ModelLoading,
    Overloaded,
    ProxyError,
    RateLimited,
    ServerError,
    StreamInterrupted,
    TLSError,
    TransportError,
)

MAX_ATTEMPTS = 3
MAX_SERVER_DELAY = 60.0
"""Seconds that are waited at a server's word; when it asks for more, its error is raised at once."""

Again = Literal["no", "once", "yes"]


@dataclass(frozen=True, slots=True)
class Backoff:
    """Seconds before the next try: `base`, doubled each time up to `cap`; the share `fixed` is not left to chance."""

    base: float
    cap: float
    fixed: float

    def seconds(self, attempt: int, chance: float) -> float:
        """After this attempt (from 1), for a `chance` in [0, 1)."""
        ceiling = min(self.cap, self.base * 2.0 ** (attempt - 1))
        return ceiling * (self.fixed + (1.0 - self.fixed) * chance)


TRANSIENT = Backoff(base=0.5, cap=8.0, fixed=0.0)
THROTTLED = Backoff(base=1.0, cap=30.0, fixed=0.5)


def again(error: AmbidexError) -> Again:
    """Whether trying again can help. "once": the server may have done, and billed, the work already."""
    match error:
        case RateLimited() | ModelLoading() | Overloaded():
            return "yes"
        case ServerError():
            return "once" if error.status == 424 else "no" if error.status in (501, 505) else "yes"
        case TLSError() | ProxyError():
            return "no"
        case ConnectError():
            return "no" if error.code == "unknown_name" else "yes"
        case DeadlineExceeded():
            return "yes" if error.kind in ("connect", "server") else "once" if error.kind == "first_byte" else "no"
        case IncompleteResponse():
            return "no" if error.code == "no_finish_reason" else "yes"
        case StreamInterrupted():
            return "yes"
        case TransportError() | Conflict() | MalformedResponse():
            return "once"
        case _:
            return "no"


def seconds_to_wait(error: AmbidexError, attempt: int, chance: float) -> float | None:
    """Before the next try after this one (from 1). None: the server asks for more than is waited."""
    asked = error.retry_after
    if asked:
        # Never less than asked; a little more, so that not all who were told the same come back at once.
        return None if asked > MAX_SERVER_DELAY else asked + min(0.1 * asked, 0.4) * chance
    backoff = THROTTLED if isinstance(error, (RateLimited, Overloaded, ModelLoading)) else TRANSIENT
    return backoff.seconds(attempt, chance)


class Budget:
    """Shared by all requests to one endpoint, so that its total failure is not made worse by tries: <= 1.1 a request.

    https://sre.google/sre-book/handling-overload/, "Deciding to Retry". Thread-safe.
    """

    SIZE = 10.0
    PER_SUCCESS = 0.1

    def __init__(self) -> None:
        self._left = self.SIZE
        self._lock = threading.Lock()

    def spend(self) -> bool:
        """Takes what one more try costs; whether it was there."""
        with self._lock:
            if self._left < 1.0:
                return False
            self._left -= 1.0
            return True

    def succeeded(self) -> None:
        with self._lock:
            self._left = min(self.SIZE, self._left + self.PER_SUCCESS)


_budgets: dict[tuple[str, str | None], Budget] = {}


def budget_of(address: str, model: str | None) -> Budget:
    """The budget of a base URL and a model: one in the process, however many backends ask there."""
    return _budgets.setdefault((address, model), Budget())
