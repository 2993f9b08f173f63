"""How many requests are under way, and how many begin: first come, first served, for threads and tasks alike."""

from __future__ import annotations

import asyncio
import random
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ambidex import errors
from ambidex_backends.http.cancelling import Cancelling
from ambidex_backends.http.limiter import BURST_SECONDS, Limiter


def test_without_limits_nobody_waits() -> None:
    limiter = Limiter()
    for _ in range(1000):
        limiter.enter(0.0, Cancelling())
    assert limiter.delay(1.0) == 0.0


def test_who_finds_no_place_in_time_is_told_which_limit_it_was() -> None:
    limiter = Limiter(max_concurrency=1)
    limiter.enter(0.0, Cancelling())
    began = time.monotonic()
    with pytest.raises(errors.DeadlineExceeded, match="max_concurrency") as caught:
        limiter.enter(0.05, Cancelling())
    assert 0.04 < time.monotonic() - began < 5
    assert caught.value.kind == "pool"
    limiter.leave()
    limiter.enter(0.0, Cancelling())  # who gave up takes no place


def test_threads_and_tasks_share_the_places() -> None:
    limiter, lock = Limiter(max_concurrency=3), threading.Lock()
    inside, most = 0, 0

    def count(step: int) -> None:
        nonlocal inside, most
        with lock:
            inside += step
            most = max(most, inside)

    def thread() -> None:
        for _ in range(20):
            limiter.enter(60, Cancelling())
            count(1)
            time.sleep(0.0005)
            count(-1)
            limiter.leave()

    async def task() -> None:
        for _ in range(20):
            await limiter.aenter(60, Cancelling())
            count(1)
            await asyncio.sleep(0.0005)
            count(-1)
            limiter.leave()

    async def tasks() -> None:
        await asyncio.gather(*(task() for _ in range(6)))

    threads = [threading.Thread(target=thread) for _ in range(6)]
    for item in threads:
        item.start()
    asyncio.run(tasks())
    for item in threads:
        item.join()
    assert (inside, most) == (0, 3)


def test_first_come_first_served() -> None:
    async def run() -> list[int]:
        limiter, order = Limiter(max_concurrency=1), list[int]()
        await limiter.aenter(1, Cancelling())

        async def wait(number: int) -> None:
            await limiter.aenter(60, Cancelling())
            order.append(number)
            limiter.leave()

        waiting = [asyncio.create_task(wait(number)) for number in range(5)]
        await asyncio.sleep(0)
        limiter.leave()
        await asyncio.gather(*waiting)
        return order

    assert asyncio.run(run()) == [0, 1, 2, 3, 4]


def test_cancelled_waiters_lose_no_place() -> None:
    async def run() -> None:
        limiter, chance = Limiter(max_concurrency=2), random.Random(3)

        async def use() -> None:
            await limiter.aenter(60, Cancelling())
            try:
                await asyncio.sleep(chance.random() / 1000)
            finally:
                limiter.leave()

        for _ in range(40):
            tasks = [asyncio.create_task(use()) for _ in range(12)]
            await asyncio.sleep(chance.random() / 500)
            for task in tasks:
                if chance.random() < 0.6:
                    task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for _ in range(2):
            await limiter.aenter(0, Cancelling())  # both are free
        with pytest.raises(errors.DeadlineExceeded):
            await limiter.aenter(0, Cancelling())

    asyncio.run(run())


@given(per_minute=st.floats(1, 6000), gaps=st.lists(st.floats(0, 3), min_size=1, max_size=200))
def test_no_more_begin_than_are_allowed(per_minute: float, gaps: list[float]) -> None:
    limiter, now, begun = Limiter(max_per_minute=per_minute), 1000.0, list[float]()
    for gap in gaps:
        now += gap
        begun.append(now + limiter.delay(now))
    burst = max(1.0, BURST_SECONDS * per_minute / 60)
    for first, begin in enumerate(begun):
        seconds = begun[-1] - begin
        assert len(begun) - first <= burst + seconds * per_minute / 60 + 1 + 1e-6
    assert begun == sorted(begun)
