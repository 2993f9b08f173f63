"""`resolver`: what look-ups of names give, for a while."""

from __future__ import annotations

import socket
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias

LookUp: TypeAlias = Sequence[str] | Literal["unknown", "down", "slow"]
"""Addresses; or: there is no such name; the name server fails for now; it does not answer."""


@contextmanager
def resolver(names: Mapping[str, LookUp]) -> Generator[None]:
    """Replaces `socket.getaddrinfo`, on which asyncio stands too, for these names; others are looked up as ever.

        with resolver({"two.localhost": ["::1", "127.0.0.1"], "nowhere.localhost": "unknown"}):
            ...

    A look-up that is "slow" lasts until the block ends. One block at a time.
    """
    original, over = socket.getaddrinfo, threading.Event()

    def look_up(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        found = names.get(name)
        match found:
            case None:
                return original(host, port, *args, **options)
            case "unknown":
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            case "down":
                raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
            case "slow":
                over.wait()
                raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
            case _:
                return [answer for address in found for answer in original(address, port, *args, **options)]

    socket.getaddrinfo = look_up
    try:
        yield
    finally:
        over.set()
        socket.getaddrinfo = original
