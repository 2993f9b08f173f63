"""`FaultServer`: a chat server on real sockets that breaks as it is told to."""

from __future__ import annotations

import difflib
import functools
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, Self, cast

from ambidex.errors import ConfigError

from .catalogue import FAULTS
from .certificates import Certificates
from .chunks import MODEL, Chunk
from .exchange import Exchange, Received
from .fault import Door, Early, Fault, Step

_BACKLOG = 512


class Route:
    """One address of a `FaultServer`, and what it does with the requests that come there: the steps in their order,
    the last one for ever."""

    def __init__(self, server: FaultServer, name: str, steps: tuple[Step, ...], door: Door) -> None:
        self.name, self.steps = name, steps
        self.door: Door = door
        self._server = server
        self._played = 0
        self._lock = threading.Lock()

    @property
    def base_url(self) -> str:
        """For clients that take a base URL: "http://127.0.0.1:<port>/<name>/v1"."""
        return f"{self._server.address(self.door)}/{self.name}/v1"

    @property
    def url(self) -> str:
        """For `connect`: the base URL with a model's name behind it."""
        return f"{self.base_url}#{MODEL}"

    @property
    def requests(self) -> list[Received]:
        """What came to this address."""
        return [item for item in self._server.requests if item.path.startswith(f"/{self.name}/")]

    @property
    def posts(self) -> int:
        """How many requests came that ask a model."""
        return sum(item.method == "POST" for item in self.requests)

    def next_step(self) -> Step:
        with self._lock:
            step = self.steps[min(self._played, len(self.steps) - 1)]
            self._played += 1
            return step


def no_route(exchange: Exchange) -> None:
    """404."""
    exchange.reply(404, {"error": {"message": f"no route {exchange.path}"}})


class FaultServer:
    """A chat server on loopback that speaks OpenAI's wire, and breaks it wherever a test wants.

        with FaultServer() as server:
            chat = Chat(server.url_of("cut_mid_chunk"))                # a fault of the catalogue, every time
            chat = Chat(server.url_of("status_500", "ok"))             # the first attempt fails, the second does not
            chat = Chat(server.url_of(text("Hel", "lo")))              # chunks of a good answer
            chat = Chat(server.url_of(lambda exchange: exchange.reset()))

    Every call gives a new address, so that one server serves all tests at the same time; `route` gives the address
    with its own list of requests. A step may be a function of the `Exchange`: what it does with the connection is done,
    and a step that it returns is played, so that `lambda exchange: "reset_mid_stream" if random() < 0.05 else "ok"` is
    a server with five percent of faults.

    otherwise    the step for requests to other addresses
    host         the address to listen at; loopback, for there is no protection
    requests     every request in the order in which their heads were read, from all addresses
    connections  how many connections were accepted

    It has one thread per connection; closing it closes every connection and waits for the threads. Faults of TLS need
    trustme (`MissingExtra` without it), and a client that trusts `certificate_authority`.
    """

    def __init__(self, otherwise: Step = no_route, *, host: str = "127.0.0.1") -> None:
        self.requests: list[Received] = []
        self.connections = 0
        self._host = host
        self._otherwise = otherwise
        self._stop = threading.Event()
        self._lock = threading.RLock()
        self._routes: dict[str, Route] = {}
        self._doors: dict[Door, socket.socket] = {}
        self._threads: list[threading.Thread] = []
        self._sockets: set[socket.socket] = set()
        self._scratch: tempfile.TemporaryDirectory[str] | None = None

    def url_of(self, *steps: Step) -> str:
        """An address for `connect`, `Chat` and `Agent` at which requests meet `steps` in turn, the last one for ever.

        Raises `ConfigError` for a fault that the catalogue does not have, and for steps that need different ports.
        """
        return self.route(*steps).url

    def route(self, *steps: Step) -> Route:
        """The same, with what is needed to look at it: `.url`, `.base_url`, `.requests`, `.posts`."""
        if not steps:
            raise ConfigError("A route needs a step: the name of a fault, a function or the chunks of an answer.")
        doors: set[Door] = {fault.door for step in steps if (fault := _named(step)) is not None}
        doors.discard("plain")
        if len(doors) > 1:
            raise ConfigError(f"One address cannot have the faults of different ports: {', '.join(sorted(doors))}.")
        label = steps[0] if isinstance(steps[0], str) else "script"
        with self._lock:
            door: Door = doors.pop() if doors else "plain"
            route = Route(self, f"{len(self._routes)}-{label}", steps, door)
            self._routes[route.name] = route
        return route

    @property
    def posts(self) -> int:
        """How many requests came that ask a model, to all addresses."""
        return sum(item.method == "POST" for item in self.requests)

    @cached_property
    def certificate_authority(self) -> str:
        """A PEM file that a client of `https` faults has to trust, for instance as SSL_CERT_FILE."""
        self._scratch = tempfile.TemporaryDirectory(prefix="ambidex-faults-")
        file = Path(self._scratch.name) / "authority.pem"
        self._certificates.write_authority(file)
        return str(file)

    def address(self, door: Door = "plain") -> str:
        """ "http://127.0.0.1:<port>" of a port that behaves like this; opened when first asked for."""
        with self._lock:
            if self._stop.is_set():
                raise ConfigError("This server is closed.")
            if door not in self._doors:
                self._doors[door] = self._open(door)
            scheme = "https" if door in ("silent", "no_tls") or door.startswith("tls") else "http"
            host = f"[{self._host}]" if ":" in self._host else self._host
            return f"{scheme}://{host}:{self._doors[door].getsockname()[1]}"

    def close(self) -> None:
        """Ends every connection, and waits until nothing runs any more."""
        with self._lock:
            self._stop.set()
            for listener in self._doors.values():
                with suppress(OSError):
                    listener.shutdown(socket.SHUT_RDWR)
                listener.close()
            for connection in self._sockets:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            threads = list(self._threads)
        for thread in threads:
            thread.join(10)
        for connection in self._sockets:
            connection.close()
        self._sockets.clear()
        if self._scratch is not None:
            self._scratch.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @cached_property
    def _certificates(self) -> Certificates:
        return Certificates()

    def _open(self, door: Door) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        if door == "refused":  # the port is ours, so that nobody else listens there, and we do not either
            unused = socket.socket(family)
            unused.bind((self._host, 0))
            return unused
        if door == "dropped":
            listener, *waiting = dropping(self._host)
            self._sockets.update(waiting)
            return listener
        context = self._certificates.context(door) if door.startswith("tls") else None
        listener = socket.create_server((self._host, 0), family=family, backlog=_BACKLOG)
        self._start(lambda: self._accept(listener, context, silent=door == "silent"))
        return listener

    def _start(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, name="ambidex-faults", daemon=True)
        self._threads = [*(other for other in self._threads if other.is_alive()), thread]
        thread.start()

    def _accept(self, listener: socket.socket, context: ssl.SSLContext | None, *, silent: bool) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                if self._stop.is_set():
                    connection.close()
                    return
                number, self.connections = self.connections, self.connections + 1
                self._sockets.add(connection)
                work = _wait_for_the_end if silent else functools.partial(self._serve, context, number)
                self._start(functools.partial(self._hold, connection, work))

    def _hold(self, connection: socket.socket, work: Callable[[socket.socket], None]) -> None:
        """Does `work` with a connection, and lets go of it. That the client has gone is no error."""
        try:
            with suppress(OSError), connection:
                work(connection)
        finally:
            with self._lock:
                self._sockets.discard(connection)

    def _serve(self, context: ssl.SSLContext | None, number: int, connection: socket.socket) -> None:
        """All requests of one connection, until somebody ends it."""
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is None:
            self._answer(connection, number)
            return
        with context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False) as encrypted:
            with self._lock:  # what was there is empty now
                self._sockets.add(encrypted)
            self._hold(encrypted, lambda _: self._answer(encrypted, number))

    def _answer(self, connection: socket.socket, number: int) -> None:
        with connection.makefile("rb") as reader:
            place = 0
            while not self._stop.is_set() and (head := _read_head(reader)) is not None:
                exchange = Exchange(
                    connection, reader, self._stop, *head, at=time.monotonic(), connection=number, place=place
                )
                step = self._step_for(exchange)
                if not isinstance(step, Early):
                    exchange.read_body()
                with self._lock:
                    self.requests.append(exchange)
                _play(step, exchange)
                if exchange.over or exchange.headers.get("connection", "").lower() == "close":
                    return
                place += 1

    def _step_for(self, exchange: Exchange) -> Step:
        route = self._routes.get(exchange.path.split("/", 2)[1] if exchange.path.startswith("/") else "")
        return _resolved(self._otherwise if route is None else route.next_step())


def dropping(host: str, port: int = 0) -> list[socket.socket]:
    """A port that drops what comes: a listener whose queue, which nobody serves, is full of the other sockets."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=0)
    queue = [socket.socket(family) for _ in range(2)]
    for waiting in queue:
        waiting.setblocking(False)
        waiting.connect_ex(listener.getsockname())
    return [listener, *queue]


def _named(step: Step) -> Fault | None:
    if not isinstance(step, str):
        return None
    if step not in FAULTS:
        near = difflib.get_close_matches(step, FAULTS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"There is no fault {step!r}.{hint} ambidex.testing.faults.FAULTS has them all.")
    return FAULTS[step]


def _resolved(step: Step) -> Step:
    fault = _named(step)
    return step if fault is None else fault.behaviour


def _play(step: Step | None, exchange: Exchange) -> None:
    while step is not None:
        step = _resolved(step)
        if isinstance(step, Early):
            step = step.behaviour
        if callable(step):
            step = step(exchange)
        else:
            exchange.answer(cast("Iterable[Chunk]", step))
            return


def _read_head(reader: BinaryIO) -> tuple[str, str, dict[str, str]] | None:
    """Method, path and headers of the next request; None when there is none, or what comes is no HTTP."""
    first = reader.read(1)
    if not first.isalpha():  # a TLS handshake, which need not hold an end of line
        return None
    method, _, rest = (first + reader.readline()).decode("latin-1").partition(" ")
    path, _, version = rest.partition(" ")
    if not version.startswith("HTTP/"):
        return None
    headers: dict[str, str] = {}
    while line := reader.readline().strip():
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    return method, path, headers


def _wait_for_the_end(connection: socket.socket) -> None:
    while connection.recv(4096):
        pass
