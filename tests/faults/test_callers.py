"""The rows of the catalogue that are about what callers do: cancelling, leaving, sharing, odd keys and texts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.faults.encounter import KEY
from tests.leaks import no_task_left, sockets

from ambidex import Request, TextDelta, User, acollect, collect
from ambidex.errors import AmbidexError, ConfigError
from ambidex.testing.faults import FAULTS, FaultServer
from ambidex_backends.endpoint import EndpointBackend

HI = Request([User("hi")], timeout=20)
WHOLE = FAULTS["ok"].expected.text

ELSEWHERE = {
    "fork": "test_a_forked_child_has_connections_of_its_own",
    "two_event_loops": "test_a_backend_serves_one_event_loop_after_the_other",
    "temporary_client": "test_a_stream_outlives_its_backends_name",
    "closed_client": "test_a_closed_backend_says_so",
}
"""Rows that have their test in tests/backends/http/test_cancel_and_close.py."""


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


def test_each_of_these_rows_has_its_test() -> None:
    there = (Path(__file__).parents[1] / "backends" / "http" / "test_cancel_and_close.py").read_text(encoding="utf-8")
    for fault in FAULTS.values():
        if fault.road in ("client", "many"):
            assert f"test_{fault.name}" in globals() or f"def {ELSEWHERE[fault.name]}(" in there, fault.name


def test_many_at_a_time(server: FaultServer) -> None:
    backend = EndpointBackend(server.url_of("ok"))
    with ThreadPoolExecutor(50) as threads:
        replies = list(threads.map(lambda _: collect(backend.stream(HI)).text, range(50)))
    assert replies == [WHOLE] * 50

    async def together() -> list[str]:
        replies = await asyncio.gather(*(acollect(backend.astream(HI)) for _ in range(50)))
        await backend.aclose()
        return [reply.text for reply in replies]

    assert asyncio.run(together()) == [WHOLE] * 50


def test_two_threads(server: FaultServer) -> None:
    backend = EndpointBackend(server.url_of("ok"))
    with ThreadPoolExecutor(2) as threads:
        several = [threads.submit(lambda: [collect(backend.stream(HI)).text for _ in range(20)]) for _ in range(2)]
        assert [one.result() for one in several] == [[WHOLE] * 20] * 2
    backend.close()


@pytest.mark.parametrize("key", [f"{KEY}\nx", f"{KEY}\r\nhost: elsewhere"])
def test_key_with_newline(server: FaultServer, key: str) -> None:
    refused(server, key)


def test_key_not_ascii(server: FaultServer) -> None:
    refused(server, f"{KEY}é")


def refused(server: FaultServer, key: str) -> None:
    """When it is given, without being shown, and with nothing sent."""
    with pytest.raises(ConfigError, match="api_key") as caught:
        EndpointBackend(server.url_of("ok"), api_key=key)
    assert "CANARY" not in str(caught.value) + repr(vars(caught.value))
    assert server.requests == []


def test_lone_surrogate(server: FaultServer) -> None:
    assert sent(server, "a\ud83d") == "a\ufffd"


def test_surrogate_pair(server: FaultServer) -> None:
    assert sent(server, "a\ud83d\ude00") == "a😀"


def sent(server: FaultServer, content: str) -> str:
    backend = EndpointBackend(server.url_of("ok"))
    assert collect(backend.stream(Request([User(content)]))).text == WHOLE
    backend.close()
    text: str = server.requests[0].json["messages"][0]["content"]
    return text


def wait_for_open(expected: int, before: set[str]) -> None:
    """Until so many sockets more are open than before; at most half a second."""
    until = time.monotonic() + 0.5
    while len(sockets() - before) > expected and time.monotonic() < until:
        time.sleep(0.005)
    assert len(sockets() - before) <= expected


def test_cancel_mid_stream(server: FaultServer) -> None:
    backend = EndpointBackend(server.url_of("cancel_mid_stream"))
    before = sockets()
    with ThreadPoolExecutor(1) as threads:
        stream = backend.stream(HI)
        assert next(stream) == TextDelta("Hel")
        reading = threads.submit(collect, stream)
        time.sleep(0.1)
        stream.cancel()
        reply = reading.result(10)
    assert (reply.text, reply.finish_reason) == ("Hel", "cancelled")
    wait_for_open(0, before)

    async def cancelled() -> None:
        stream = backend.astream(HI)
        assert await anext(stream) == TextDelta("Hel")
        task = asyncio.ensure_future(acollect(stream))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert stream.reply.text == "Hel"
        await backend.aclose()
        await no_task_left()

    asyncio.run(cancelled())


def test_leave_the_loop(server: FaultServer) -> None:
    backend = EndpointBackend(server.url_of("leave_the_loop"))
    before = sockets()
    for _ in range(20):
        for event in backend.stream(HI):
            assert event == TextDelta("Hel")
            break
    wait_for_open(0, before)

    async def left() -> None:
        for _ in range(20):
            async with backend.astream(HI) as stream:
                async for event in stream:
                    assert event == TextDelta("Hel")
                    break
        await no_task_left()
        await backend.aclose()

    asyncio.run(left())


def test_what_is_left_is_found(server: FaultServer) -> None:
    """The check of leaks itself: an open stream is one, until it is closed."""
    backend = EndpointBackend(server.url_of("leave_the_loop"))
    before = sockets()
    stream = backend.stream(HI)
    assert next(stream) == TextDelta("Hel")
    assert len(sockets() - before) >= 2  # the client's end and, in the same process, the server's
    stream.close()
    backend.close()
    wait_for_open(0, before)


def test_a_budget_bounds_what_a_dead_server_is_asked(server: FaultServer) -> None:
    """Sixty requests to a server that always fails: at most ten tries more than requests."""
    backend = EndpointBackend(server.url_of("hung_up"), timeout=20)
    with ThreadPoolExecutor(12) as threads:

        def fails(_: int) -> bool:
            try:
                collect(backend.stream(HI))
            except AmbidexError:
                return True
            return False

        assert all(threads.map(fails, range(60)))
    backend.close()
    assert 60 < server.posts <= 70
