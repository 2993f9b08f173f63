"""Names to addresses within a time limit: the system's own look-up has none, so it runs in a thread of its own."""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import TypeAlias

FIRST_ADDRESS_SECONDS = 1.0
"""For each address of a name but the last: a dead first one must not use up the time for connecting."""

Permit: TypeAlias = "Callable[[str], None]"
"""Asked about each numeric address of a name before a connection to any of them is begun; raises what refuses it."""


def anywhere(address: str) -> None:
    """The server of a backend may be wherever it is: whoever wrote the program chose it."""


def look_up(host: str, port: int) -> Future[list[str]]:
    """The addresses of `host`, each once, in the system's order. Fails with `OSError` (`socket.gaierror`).

    `give_up` ends the wait for it.
    """
    found: Future[list[str]] = Future()
    found.set_running_or_notify_cancel()  # from here on it cannot be cancelled, only be no longer waited for
    if _is_address(host):
        found.set_result([host])
        return found

    def work() -> None:
        try:
            answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            addresses = list(dict.fromkeys(str(answer[4][0]) for answer in answers))
        except BaseException as problem:
            _fail(found, problem)
        else:
            with suppress(InvalidStateError):
                found.set_result(addresses)

    # A daemon, and no pool's: nobody can stop a look-up, so nobody may have to wait for it either.
    threading.Thread(target=work, name="ambidex-dns", daemon=True).start()
    return found


def give_up(found: Future[list[str]]) -> None:
    """Nobody waits for this look-up any more. From any thread."""
    _fail(found, TimeoutError())


def _fail(found: Future[list[str]], problem: BaseException) -> None:
    with suppress(InvalidStateError):  # it ended in something else before
        found.set_exception(problem)


def seconds_for(number: int, of: int, left: float) -> float:
    """How long to try address `number` (from 0) of so many, with `left` seconds for all that remain."""
    return left if number == of - 1 else min(FIRST_ADDRESS_SECONDS, left / (of - number))


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
