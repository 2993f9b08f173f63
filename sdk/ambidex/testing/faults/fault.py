"""What a fault is: what the server does, and what a client should make of it; and the table they are entered in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, TypeVar

from ambidex.errors import AmbidexError

from .chunks import Chunk
from .exchange import Exchange

Behaviour: TypeAlias = "Callable[[Exchange], Step | None]"
"""Does what it likes with one request; a step that it returns is played next."""

Step: TypeAlias = "str | Behaviour | Early | Iterable[Chunk]"
"""What to do with one request: a fault by its name, a function, or the chunks of a good answer (a list, so
that it can be given again)."""

Door: TypeAlias = Literal[
    "plain",
    "refused",
    "dropped",
    "silent",
    "no_tls",
    "tls",
    "tls_expired",
    "tls_wrong_host",
    "tls_self_signed",
    "tls_unknown_authority",
]
"""Where a client knocks: HTTP; a port that refuses; one that drops what comes; one that accepts and says nothing; HTTP
where the address says https; TLS with a good certificate or with one that must not be trusted."""

Retry: TypeAlias = Literal["never", "once", "again", "free"]
"""once: at most one more attempt; again: as often as attempts, budget and time allow; free: without costing one."""

Road: TypeAlias = Literal["ask", "upload", "second", "many", "client", "name", "proxy"]
"""How a client comes to meet it: by any request; by a large one; by the second on one connection; by many at a time; by
what the client itself does; by how its host's name is looked up; behind a proxy."""


@dataclass(frozen=True, slots=True)
class Early:
    """A behaviour that comes before the request's body is read."""

    behaviour: Behaviour


@dataclass(frozen=True, slots=True)
class Expected:
    """What a client should make of a fault that stays.

    error   the type of the error; None: a correct answer
    fields  of the error
    text    of the answer, or of the partial answer that the error holds; None: any
    calls   of the answer, as 'name {"argument": 1}'
    invalid calls of the answer that must never run, by their names
    retry   whether it is tried again, as long as nothing was delivered
    """

    error: type[AmbidexError] | None = None
    fields: Mapping[str, Any] = field(default_factory=dict[str, Any])
    text: str | None = ""
    calls: tuple[str, ...] = ()
    invalid: tuple[str, ...] = ()
    retry: Retry = "never"


@dataclass(frozen=True, slots=True)
class Fault:
    """One row of the catalogue.

    number    of the row; variants share it
    name      by which a `FaultServer` plays it
    does      what happens, in a sentence
    behaviour what the server does
    expected  of a client that asked for a stream
    plain     of one that asked for one JSON object, where the fault says something about that
    door      where the server listens
    road      how a client comes to meet it
    limits    the client's time limits under which it shows soon: options of our remote backends, in seconds
    """

    number: int
    name: str
    does: str
    behaviour: Step
    expected: Expected
    plain: Expected | None = None
    door: Door = "plain"
    road: Road = "ask"
    limits: Mapping[str, float] = field(default_factory=dict[str, float])


FAULTS: dict[str, Fault] = {}
"""Every fault by its name, in the order of the rows."""


def enter(fault: Fault) -> None:
    """Adds a row to the table."""
    if fault.name in FAULTS:
        raise ValueError(f"there are two faults {fault.name!r}")
    FAULTS[fault.name] = fault


F = TypeVar("F", bound="Callable[[Exchange], Step | None]")


def fault(number: int, expected: Expected, *, early: bool = False, **fields: Any) -> Callable[[F], F]:
    """Enters a function as the behaviour of a fault that is named and described as it is."""

    def enters(behaviour: F) -> F:
        does = " ".join((behaviour.__doc__ or "").split())
        step: Step = Early(behaviour) if early else behaviour
        enter(Fault(number, behaviour.__name__, does, step, expected, **fields))
        return behaviour

    return enters
