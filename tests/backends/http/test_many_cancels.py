"""Cancelled at any moment, in any way, as often as you like: the pool serves on and nothing is left behind.

The server runs in a process of its own. `-s` shows how the requests ended.
"""

from __future__ import annotations

import asyncio
import gc
import queue
import random
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.process_state import AVAILABLE, connections_to, descriptors

from ambidex.errors import AmbidexError
from ambidex.events import Finished
from ambidex.messages import User
from ambidex.request import Request
from ambidex.stream import AsyncEventStream, EventStream, acollect, collect
from ambidex_backends.endpoint import EndpointBackend

pytestmark = pytest.mark.skipif(not AVAILABLE, reason="counts descriptors and sockets in /proc")

FEW, MANY = 1_000, 50_000
"""Of each of the two kinds, sync and async."""

LEFT_BEHIND_SECONDS = 0.5
HI = Request([User("hi")], timeout=60)
AT_ONCE = 16
ENDS = {
    *("stop", "cancelled", "task cancelled", "closed", "broke out"),
    *("ConnectError", "StreamInterrupted", "IncompleteResponse", "DeadlineExceeded"),
}
"""What there is to be seen: never another error, nor a stream that ends in nothing."""

LONGEST_DELAY = 0.012


class StallingServer:
    """See `stalling_server.py`."""

    def __init__(self) -> None:
        script = Path(__file__).with_name("stalling_server.py")
        self.process = subprocess.Popen([sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def url(self, behaviour: str) -> str:
        return f"http://127.0.0.1:{self.port}/{behaviour}/v1#m"

    def busy(self) -> int:
        """Requests that it is still answering."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/count", timeout=10) as answer:
            return int(answer.read())

    def close(self) -> None:
        self.process.communicate(timeout=20)


@pytest.fixture
def server() -> Iterator[StallingServer]:
    started = StallingServer()
    yield started
    started.close()


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def check_nothing_is_left(server: StallingServer, threads: set[threading.Thread]) -> None:
    """Half a second after everything was closed."""
    assert within(LEFT_BEHIND_SECONDS, lambda: connections_to(server.port) == 0), connections_to(server.port)
    assert within(LEFT_BEHIND_SECONDS, lambda: server.busy() == 0), f"the server still answers {server.busy()}"
    assert within(LEFT_BEHIND_SECONDS, lambda: set(threading.enumerate()) <= threads), threading.enumerate()


# Async: from the task, from the stream, from another thread, by closing, by breaking out.

BEHAVIOURS = ("quick", "quick", "silent", "head", "half", "half", "drip", "cut", "none")


async def end_async(stream: AsyncEventStream, how: str, delay: float, cancellers: Cancellers) -> str:
    """Reads a stream that is ended after `delay`; in a word, how it went."""

    async def read() -> str:
        async for event in stream:
            if how == "break" and time.monotonic() > end:
                return "broke out"
            if isinstance(event, Finished):
                return str(event.choices[0].finish_reason)
        return "nothing"

    end = time.monotonic() + delay
    if how == "thread":
        cancellers.cancel(stream, delay)
        return await read()
    task = asyncio.ensure_future(read())
    await asyncio.wait([task], timeout=delay)
    if how == "task" or (how == "break" and not task.done()):
        await asyncio.wait([task], timeout=delay if how == "break" else 0)
        task.cancel()
    elif how == "stream":
        stream.cancel()
    elif how == "close":
        await stream.close()
        task.cancel()
        ended = await task
        return "closed" if ended == "nothing" else ended  # it was closed just between two events: there is no more
    return await task


async def cancel_async(server: StallingServer, count: int, seed: int) -> Counter[str]:
    draw = random.Random(seed)
    outcomes: Counter[str] = Counter()
    backends = {name: EndpointBackend(server.url(name)) for name in set(BEHAVIOURS) - {"none"}}
    backends["half"] = EndpointBackend(server.url("half"), max_concurrency=2)  # so that some wait for their place
    backends["none"] = EndpointBackend("http://127.0.0.1:9/v1#m")  # nobody listens there
    left = count

    async def worker() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            stream = backends[draw.choice(BEHAVIOURS)].astream(HI)
            how = draw.choice(("task", "task", "stream", "thread", "close", "break"))
            try:
                outcomes[await end_async(stream, how, draw.random() ** 3 * LONGEST_DELAY, cancellers)] += 1
            except asyncio.CancelledError:
                outcomes["task cancelled"] += 1
            except AmbidexError as error:
                outcomes[type(error).__name__] += 1
            finally:
                await stream.close()

    with Cancellers() as cancellers:
        while left > 0:
            part, left = left, min(left, 5000)
            rest = part - left
            await asyncio.wait_for(asyncio.gather(*(worker() for _ in range(AT_ONCE))), 600)
            left = rest
            replies = await asyncio.gather(*(acollect(backends["quick"].astream(HI)) for _ in range(AT_ONCE)))
            assert {reply.text for reply in replies} == {"piece " * 3}
    for _ in range(50):
        if len(asyncio.all_tasks()) == 1:
            break
        await asyncio.sleep(LEFT_BEHIND_SECONDS / 50)
    assert len(asyncio.all_tasks()) == 1, asyncio.all_tasks()
    assert backends["half"]._limiter._free == 2
    for backend in backends.values():
        await backend.aclose()
    return outcomes


# Sync: from another thread, by closing, by breaking out, by a deadline.


class Cancellers:
    """A thread that cancels streams some time later, perhaps long after they have ended."""

    def __init__(self) -> None:
        self._due: queue.Queue[tuple[float, EventStream | AsyncEventStream] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._run)

    def cancel(self, stream: EventStream | AsyncEventStream, delay: float) -> None:
        self._due.put((time.monotonic() + delay, stream))

    def _run(self) -> None:
        while (item := self._due.get()) is not None:
            time.sleep(max(0.0, item[0] - time.monotonic()))
            item[1].cancel()

    def __enter__(self) -> Cancellers:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._due.put(None)
        self._thread.join(30)


def end_sync(backend: EndpointBackend, how: str, delay: float, cancellers: Cancellers) -> str:
    request = Request([User("hi")], timeout=delay + 0.001) if how == "deadline" else HI
    with backend.stream(request) as stream:
        end = time.monotonic() + delay
        if how in ("thread", "break"):  # nothing wakes a reader that would break out, so another thread does
            cancellers.cancel(stream, delay * (1 if how == "thread" else 2))
        if how == "close":
            time.sleep(delay)
            return "closed"
        if how == "start":
            cancellers.cancel(stream, delay)
            stream.start()
            return "closed"
        for event in stream:
            if how == "break" and time.monotonic() > end:
                return "broke out"
            if isinstance(event, Finished):
                return str(event.choices[0].finish_reason)
    return "nothing"


def cancel_sync(server: StallingServer, count: int, seed: int) -> Counter[str]:
    outcomes: Counter[str] = Counter()
    failures: list[BaseException] = []
    backends = {name: EndpointBackend(server.url(name)) for name in set(BEHAVIOURS) - {"none"}}
    backends["half"] = EndpointBackend(server.url("half"), max_concurrency=2)
    backends["none"] = EndpointBackend("http://127.0.0.1:9/v1#m")

    def worker(number: int) -> None:
        draw = random.Random(seed + number)
        mine: Counter[str] = Counter()
        try:
            with Cancellers() as cancellers:
                for _ in range(count // 4):
                    behaviour = draw.choice(BEHAVIOURS)
                    how = draw.choice(("thread", "thread", "start", "close", "break", "deadline"))
                    try:
                        delay = draw.random() ** 3 * LONGEST_DELAY
                        mine[end_sync(backends[behaviour], how, delay, cancellers)] += 1
                    except AmbidexError as error:
                        mine[type(error).__name__] += 1
        except BaseException as problem:
            failures.append(problem)
        outcomes.update(mine)

    threads = [threading.Thread(target=worker, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(3600)
        assert not thread.is_alive()
    assert not failures, failures
    assert [collect(backends["quick"].stream(HI)).text for _ in range(10)] == ["piece " * 3] * 10
    assert backends["half"]._limiter._free == 2
    for backend in backends.values():
        backend.close()
    return outcomes


def ends_without_a_trace(server: StallingServer, run: Callable[[], Counter[str]], count: int) -> None:
    threads = set(threading.enumerate())
    before = descriptors()
    outcomes = run()
    print(dict(outcomes))
    assert sum(outcomes.values()) >= count - 4
    assert set(outcomes) <= ENDS
    assert outcomes["cancelled"] > count / 20
    check_nothing_is_left(server, threads)
    gc.collect()
    assert descriptors() <= before


def test_async(server: StallingServer) -> None:
    ends_without_a_trace(server, lambda: asyncio.run(cancel_async(server, FEW, seed=1)), FEW)


def test_sync(server: StallingServer) -> None:
    ends_without_a_trace(server, lambda: cancel_sync(server, FEW, seed=2), FEW)


@pytest.mark.nightly
def test_fifty_thousand_async(server: StallingServer) -> None:
    ends_without_a_trace(server, lambda: asyncio.run(cancel_async(server, MANY, seed=3)), MANY)


@pytest.mark.nightly
def test_fifty_thousand_sync(server: StallingServer) -> None:
    ends_without_a_trace(server, lambda: cancel_sync(server, MANY, seed=4), MANY)
