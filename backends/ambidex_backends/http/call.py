"""One request's time limits, and the handle that ends it from another thread.

httpx's own timeouts bound the gap between two reads, so that a server which trickles bytes holds its caller for ever.
Here every wait on the network first asks the `Call` how long it may still take (`connection.py` sees to that): the
total counts from the beginning, and what is idle is measured per event, not per byte.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from ambidex.decoding import check_number
from ambidex.errors import DeadlineExceeded, DeadlineKind, Phase

from .cancelling import Cancelling


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds, beside the total that each request brings.

    connect      from the first look-up of the name to the end of the TLS handshake
    first_event  until the first event of the answer (a long prompt on a slow machine takes its time)
    idle         between two events; comments that only keep the connection alive do not count
    """

    connect: float = 10.0
    first_event: float = 300.0
    idle: float = 120.0

    def __post_init__(self) -> None:
        for name in ("connect", "first_event", "idle"):
            check_number(getattr(self, name), f"{name}_timeout", above=0.0)


class Call(Cancelling):
    """The state of one exchange on the network. Thread-safe where another thread has business: `request` to end it.

    phase, sent, received   how far it came
    streams                 its answer has begun, and is a stream
    is_new_connection       it was opened for this exchange
    proxied, tunnels        it goes over a proxy; through a tunnel that the proxy is asked for first
    proxy_over_tls          the proxy itself is reached over TLS
    server_says_retry       what the answer's `x-should-retry` says
    """

    def __init__(self, timeouts: Timeouts, seconds: float, began: float | None = None) -> None:
        """`seconds` is the limit for all of it since `began` (`time.monotonic`; None: now)."""
        super().__init__()
        now = time.monotonic()
        self.phase: Phase = "dns"
        self.sent = False
        self.streams = False
        self.is_new_connection = False
        self.proxied = False
        self.tunnels = False
        self.proxy_over_tls = False
        self.received = False
        self.server_says_retry: bool | None = None
        self._reaches_server = True
        self._secures_proxy = False
        self._timeouts = timeouts
        self._began = now if began is None else began
        self._limits: dict[DeadlineKind, float] = {"total": seconds, "connect": timeouts.connect}
        self._ends: dict[DeadlineKind, float] = {"total": self._began + seconds, "connect": now + timeouts.connect}
        self._socket: Any = None

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._began

    @property
    def lost_idle_connection(self) -> bool:
        """Whether it went over a connection kept from before which had ended unnoticed: the server saw nothing."""
        return self.sent and not self.received and not self.is_new_connection

    def connects(self) -> None:
        """A new connection is made."""
        self.is_new_connection = True
        self._reaches_server = not self.tunnels
        self._secures_proxy = self.tunnels and self.proxy_over_tls

    def exchanges(self) -> None:
        """Bytes of HTTP travel: from here on the wait is for the answer, unless they only ask a proxy for a tunnel."""
        if self._reaches_server and self._ends.pop("connect", None) is not None:
            self.expect("first_byte", self._timeouts.first_event)

    @contextmanager
    def securing(self) -> Generator[None]:
        """During a TLS handshake. What was sent before it was no part of the request."""
        self.phase = "tls"
        self.sent = self.received = False
        yield
        self._reaches_server, self._secures_proxy = not self._secures_proxy, False

    def expect_event(self, first: bool) -> None:
        """Now begins the wait for an event; the caller's own time between two does not count as idle."""
        if not first:
            self._ends.pop("first_byte", None)
            self.expect("idle", self._timeouts.idle)

    def expect(self, kind: DeadlineKind, seconds: float) -> None:
        self._limits[kind] = seconds
        self._ends[kind] = time.monotonic() + seconds

    def remaining(self) -> float:
        """Seconds that the next wait may take; 0 or less: none are left."""
        return min(self._ends.values()) - time.monotonic()

    def seconds(self, error: type[Exception]) -> float:
        """The same. Raises `error` if none are left."""
        seconds = self.remaining()
        if seconds <= 0:
            raise error
        return seconds

    def expired(self) -> DeadlineExceeded:
        """The error for a wait that ended without anything: which limit it was."""
        kind = min(self._ends, key=lambda name: self._ends[name])
        limit = self._limits[kind]
        return DeadlineExceeded(f"{_WHAT_PASSED[kind]} {limit:g} s. {_WHAT_TO_DO[kind]}", kind=kind, limit=limit)

    def holds(self, connection: Any) -> None:
        """Until `ends` it may be shut, which ends what waits for it."""
        with self._lock:
            self._socket = connection
            if self.is_requested:
                _shut(connection)

    def begins(self, connection: Any, phase: Phase) -> None:
        """A read or write, until `ends`; afterwards the socket may serve others."""
        self.exchanges()
        self.phase = phase
        self.sent = self.sent or phase == "write"
        self.holds(connection)

    def ends(self) -> None:
        with self._lock:
            self._socket = None

    def request(self) -> None:
        """Ends every wait of this call at once. From any thread."""
        with self._lock:
            self.is_requested = True
            if self._socket is not None:
                _shut(self._socket)
        super().request()


def _shut(connection: Any) -> None:
    """Both directions, on a duplicate: works alike for plain, TLS and event-loop sockets, and races with no reader."""
    with suppress(OSError, ValueError):
        duplicate = socket.fromfd(connection.fileno(), socket.AF_INET, socket.SOCK_STREAM)
        try:
            duplicate.shutdown(socket.SHUT_RDWR)
        finally:
            duplicate.close()


_WHAT_PASSED: dict[DeadlineKind, str] = {
    "connect": "No connection within",
    "first_byte": "The server did not begin to answer within",
    "idle": "The server sent nothing for",
    "total": "The request was not done after",
}
_WHAT_TO_DO: dict[DeadlineKind, str] = {
    "connect": "Check the address and the network, or give a longer connect_timeout.",
    "first_byte": "It may be overloaded or loading a model: try again, or give a longer first_event_timeout.",
    "idle": "What came is in .partial; try again, or give a longer idle_timeout.",
    "total": "What came is in .partial; ask for less (max_tokens), or give a longer timeout.",
}
