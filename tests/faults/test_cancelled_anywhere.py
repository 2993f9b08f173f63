"""A stream that is cancelled ends at once, wherever it waits, and leaves nothing: no socket, thread, task or place."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.faults.encounter import circumstances
from tests.leaks import no_task_left

from ambidex import EventStream, Request, User, acollect, collect
from ambidex.stream import AsyncEventStream
from ambidex.testing.faults import FAULTS, Exchange, FaultServer, Step
from ambidex_backends.endpoint import EndpointBackend

HI = Request([User("hi")], timeout=60)
AT_ONCE = 5.0
"""Seconds on a machine that is busy with other things. Each of these waits would be six times as long or more."""


def come_back(exchange: Exchange) -> None:
    exchange.reply(429, {"error": "slow down"}, {"retry-after": "50"})


@dataclass(frozen=True)
class Wait:
    """Where a request waits: the step that it meets, a fault of the catalogue where it is a name; options."""

    step: Step
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])


WAITS = {
    "for its turn": Wait("ok", {"max_per_minute": 1}),
    "for a place": Wait("ok", {"max_concurrency": 1}),
    "for the name": Wait("slow_name_server"),
    "for a connection": Wait("syn_dropped"),
    "for the handshake": Wait("tls_stall"),
    "for the head": Wait("no_answer"),
    "within the head": Wait("endless_headers"),
    "for the first event": Wait("stall_after_head"),
    "for the next event": Wait("stall"),
    "within a refusal": Wait(lambda exchange: exchange.begin(status=400)),
    "to try again": Wait(come_back),
}
LONG: dict[str, Any] = {"connect_timeout": 40.0, "first_event_timeout": 40.0, "idle_timeout": 40.0}


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


@contextmanager
def waiting_at(wait: Wait, server: FaultServer) -> Generator[EndpointBackend]:
    """A backend whose next request waits there."""
    fault = FAULTS.get(wait.step if isinstance(wait.step, str) else "", FAULTS["ok"])
    with circumstances(fault, server):
        url = server.url_of(wait.step)
        if fault.road == "name":
            url = url.replace("127.0.0.1", "slow.localhost")
        backend = EndpointBackend(url, **{**LONG, **wait.options})
        yield backend
        backend.close()


@contextmanager
def later(act: Callable[[], object]) -> Generator[None]:
    """Does it while the block waits."""
    timer = threading.Timer(0.15, act)
    timer.start()
    try:
        yield
    finally:
        timer.join()


def has_ended(stream: EventStream | AsyncEventStream, began: float) -> None:
    assert time.monotonic() - began < AT_ONCE
    assert stream.reply.finish_reason == "cancelled"


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_from_another_thread(wait: Wait, server: FaultServer) -> None:
    with waiting_at(wait, server) as backend:
        held = backend.stream(HI)
        if wait.options:
            next(held)
        stream = backend.stream(HI)
        began = time.monotonic()
        with later(stream.cancel):
            collect(stream)
        has_ended(stream, began)
        held.close()


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_an_async_stream_from_another_thread(wait: Wait, server: FaultServer) -> None:
    async def cancelled(backend: EndpointBackend) -> None:
        held = backend.astream(HI)
        if wait.options:
            await anext(held)
        stream = backend.astream(HI)
        began = time.monotonic()
        with later(stream.cancel):
            await acollect(stream)
        has_ended(stream, began)
        await held.close()
        await backend.aclose()
        await no_task_left()

    with waiting_at(wait, server) as backend:
        asyncio.run(cancelled(backend))


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_a_task(wait: Wait, server: FaultServer) -> None:
    async def cancelled(backend: EndpointBackend) -> None:
        held = backend.astream(HI)
        if wait.options:
            await anext(held)
        began = time.monotonic()
        task = asyncio.create_task(acollect(backend.astream(HI)))
        await asyncio.sleep(0.15)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - began < AT_ONCE
        await held.close()
        await backend.aclose()
        await no_task_left()

    with waiting_at(wait, server) as backend:
        asyncio.run(cancelled(backend))
