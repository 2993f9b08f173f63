"""Many requests through one engine: each as if it were alone, in their order, whatever becomes of the others."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from ambidex import Finished, Greedy, Request, Sampling, TextDelta, acollect, collect
from ambidex.errors import AmbidexError, BackendClosed, DeadlineExceeded, Overloaded, ReaderStalled, Unsupported
from ambidex.reply import Reply
from ambidex_backends.local import LocalBackend
from ambidex_backends.local.model import Span

from .conftest import PATHS, OpenBackend

PROMPT = "the rain in the north"
SECONDS = 60.0
"""So long may a test wait for what comes in milliseconds on a quiet machine."""


def mixed(count: int) -> list[Request]:
    """Requests of several lengths and strategies."""
    return [
        Request(
            prompt=PROMPT + " and the wind" * (index % 7),
            max_tokens=4 + 5 * (index % 5),
            decoding=Greedy() if index % 3 == 0 else Sampling(temperature=1.3, seed=index),
            logprobs=0 if index % 4 == 0 else None,
            stop="ea" if index % 5 == 4 else (),
        )
        for index in range(count)
    ]


def endless(tokens: int = 200, **options: Any) -> Request:
    return Request(prompt=PROMPT, decoding=Greedy(min_tokens=tokens), max_tokens=tokens, **options)


def slowly(logits: Any, seen: Sequence[int]) -> Any:
    time.sleep(0.01)
    return logits


def slow_one(**options: Any) -> Request:
    decoding = Greedy(min_tokens=200, processors=(slowly,))
    return Request(prompt=PROMPT, decoding=decoding, max_tokens=200, **options)


def texts(outcomes: Sequence[Reply[Any] | AmbidexError]) -> list[object]:
    return [outcome.text if not isinstance(outcome, AmbidexError) else outcome for outcome in outcomes]


def wait_until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.005)


def is_idle(backend: LocalBackend) -> bool:
    return backend._runtime.engine._scheduler.idle


@pytest.mark.parametrize("kind", PATHS)
def test_more_requests_than_the_queue_holds_are_answered_in_their_order(kind: str, open_backend: OpenBackend) -> None:
    backend = open_backend(kind, max_batch=3, max_queue=2)
    requests = mixed(24)
    alone = [collect(backend.stream(request)).text for request in requests]
    assert len(set(alone)) > 10
    assert texts(backend.batch(requests)) == alone
    assert texts(asyncio.run(backend.abatch(requests))) == alone


def test_a_full_queue_is_refused_with_the_numbers(open_backend: OpenBackend) -> None:
    backend = open_backend(max_batch=1, max_queue=2)
    streams = [backend.stream(slow_one())]
    next(streams[0])
    streams += [backend.stream(endless(2)) for _ in range(2)]
    with pytest.raises(Overloaded, match=r"1 requests run and 2 wait \(max_batch=1, max_queue=2\)"):
        backend.stream(endless(2))
    streams[0].cancel()
    assert [collect(stream).finish_reason for stream in streams[1:]] == ["length", "length"]


def test_a_failing_request_does_not_disturb_the_others(open_backend: OpenBackend) -> None:
    def broken(logits: Any, seen: Sequence[int]) -> Any:
        raise RuntimeError("not today")

    backend = open_backend(max_batch=4)
    requests = mixed(8)
    alone = texts(backend.batch(requests))
    requests[2:2] = [
        Request(prompt=PROMPT, extra={"x": 1}),
        Request(prompt=PROMPT, decoding=Greedy(processors=(broken,))),
        slow_one(timeout=0.05),
    ]
    outcomes = backend.batch(requests)
    assert [type(outcome) for outcome in outcomes[2:3]] == [Unsupported]
    assert isinstance(outcomes[3], AmbidexError)
    assert "not today" in str(outcomes[3])
    assert isinstance(outcomes[4], DeadlineExceeded)
    assert texts([*outcomes[:2], *outcomes[5:]]) == alone


def test_a_time_limit_counts_while_waiting_too(open_backend: OpenBackend) -> None:
    backend = open_backend(max_batch=1)
    first = backend.stream(slow_one())
    next(first)
    with pytest.raises(DeadlineExceeded, match="still waiting for its turn"):
        collect(backend.stream(endless(5, timeout=0.1)))
    assert not any(isinstance(event, Finished) for event in [next(first)]), "the one that ran goes on"
    first.cancel()


def test_cancelling_what_waits_ends_it_at_once(open_backend: OpenBackend) -> None:
    backend = open_backend(max_batch=1)
    first = backend.stream(slow_one())
    next(first)
    second = backend.stream(endless())
    second.cancel()
    assert collect(second).finish_reason == "cancelled"
    first.cancel()
    assert collect(first).finish_reason == "cancelled"


@pytest.mark.parametrize("kind", PATHS)
def test_a_long_prompt_does_not_stop_running_answers(
    kind: str, open_backend: OpenBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = open_backend(kind, prefill_tokens=40)
    engine = backend._runtime.engine
    forward, passes = engine._model.forward, list[list[int]]()

    def recorded(spans: Sequence[Span]) -> Any:
        passes.append([len(span.ids) for span in spans])
        return forward(spans)

    monkeypatch.setattr(engine._model, "forward", recorded)
    running = backend.stream(slow_one())
    next(running)
    long = collect(backend.stream(Request(prompt=[5 + index % 300 for index in range(180)], max_tokens=2)))
    assert long.usage.input_tokens == 180
    running.cancel()
    collect(running)
    parts = [sizes for sizes in passes if any(size > 32 for size in sizes)]
    assert len(parts) >= 4
    assert all(1 in sizes for sizes in parts), "each part of the prompt goes with the running answer's next token"


def test_a_reader_that_stops_pauses_only_itself_and_may_go_on(
    open_backend: OpenBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ambidex_backends.local.outbox.CAPACITY", 8)
    backend = open_backend(max_batch=2)
    expected = collect(backend.stream(endless())).text
    idle_reader, others = backend.stream(endless()), [backend.stream(endless()) for _ in range(3)]
    assert [collect(stream).text for stream in others] == [expected] * 3
    job = backend._runtime.engine._scheduler._open[0]
    assert len(job.ids) < 100, "it waits for its reader"
    assert collect(idle_reader).text == expected


def test_a_reader_that_never_comes_back_is_given_up(open_backend: OpenBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ambidex_backends.local.outbox.CAPACITY", 8)
    backend = open_backend(reader_timeout=0.2)
    stream = backend.stream(endless())
    first = next(stream)
    assert isinstance(first, TextDelta)
    wait_until(lambda: is_idle(backend))
    with pytest.raises(ReaderStalled, match=r"0\.2 s.*reader_timeout") as caught:
        collect(stream)
    assert caught.value.limit == 0.2
    assert caught.value.partial is not None
    assert caught.value.partial.text.startswith(first.text)


def test_paused_answers_leave_their_places_to_others(
    open_backend: OpenBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ambidex_backends.local.outbox.CAPACITY", 4)
    backend = open_backend(max_batch=2)
    idle_readers = [backend.stream(endless()) for _ in range(2)]
    scheduler = backend._runtime.engine._scheduler
    wait_until(lambda: len(scheduler._stalled) == 2)
    assert collect(backend.stream(endless(3))).finish_reason == "length"
    for stream in idle_readers:
        stream.close()


def test_dropped_streams_end_their_answers(open_backend: OpenBackend) -> None:
    backend = open_backend()

    def drop() -> None:
        stream = backend.stream(slow_one())
        next(stream)

    drop()
    gc.collect()
    wait_until(lambda: is_idle(backend))

    async def drop_in_a_loop() -> None:
        stream = backend.astream(slow_one())
        await anext(stream)
        del stream
        gc.collect()
        while not is_idle(backend):
            await asyncio.sleep(0.005)

    asyncio.run(asyncio.wait_for(drop_in_a_loop(), SECONDS))


def test_answers_of_a_closed_loop_end(open_backend: OpenBackend) -> None:
    backend = open_backend()
    loop = asyncio.new_event_loop()

    async def begin() -> Any:
        stream = backend.astream(slow_one())
        await anext(stream)
        return stream

    stream = loop.run_until_complete(begin())
    loop.close()
    wait_until(lambda: is_idle(backend))
    del stream


def test_closing_during_a_batch_ends_it(open_backend: OpenBackend) -> None:
    backend = open_backend(max_batch=2, max_queue=2)
    outcomes: list[Reply[Any] | AmbidexError] = []
    thread = threading.Thread(target=lambda: outcomes.extend(backend.batch([slow_one()] * 9)))
    thread.start()
    wait_until(lambda: not is_idle(backend))
    backend.close()
    thread.join(SECONDS)
    assert [type(outcome) for outcome in outcomes] == [BackendClosed] * 9


def test_cancelling_an_async_batch_ends_its_answers(open_backend: OpenBackend) -> None:
    backend = open_backend(max_batch=2, max_queue=2)

    async def run() -> None:
        task = asyncio.ensure_future(backend.abatch([slow_one()] * 9))
        while is_idle(backend):
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    wait_until(lambda: is_idle(backend))


def test_many_tasks_and_threads_at_once(open_backend: OpenBackend) -> None:
    backend = open_backend(max_batch=4)
    requests = mixed(16)
    expected = texts(backend.batch(requests))
    in_threads: dict[int, str] = {}

    def ask(index: int) -> None:
        in_threads[index] = collect(backend.stream(requests[index])).text

    async def in_tasks() -> list[str]:
        replies = await asyncio.gather(*(acollect(backend.astream(request)) for request in requests))
        return [reply.text for reply in replies]

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(len(requests))]
    for thread in threads:
        thread.start()
    assert asyncio.run(in_tasks()) == expected
    for thread in threads:
        thread.join(SECONDS)
    assert [in_threads[index] for index in range(len(requests))] == expected


def test_the_model_gets_ready_between_requests_only(open_backend: OpenBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = open_backend("llama")
    engine = backend._runtime.engine
    calls: list[bool] = []

    def prepare() -> bool:
        calls.append(engine._scheduler.idle)
        return len(calls) < 3

    monkeypatch.setattr(engine._model, "prepare", prepare)
    long = backend.stream(slow_one())
    next(long)
    collect(backend.stream(endless(3)))
    assert not calls  # the other one goes on
    long.cancel()
    list(long)
    wait_until(lambda: len(calls) == 3)
    assert calls[0]


def test_a_request_does_not_wait_until_the_model_is_ready(
    open_backend: OpenBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = open_backend("llama")
    engine = backend._runtime.engine
    started = threading.Event()
    until = time.monotonic() + SECONDS

    def prepare() -> bool:
        started.set()
        time.sleep(0.001)
        return time.monotonic() < until

    monkeypatch.setattr(engine._model, "prepare", prepare)
    assert collect(backend.stream(endless(3))).usage.output_tokens == 3
    assert started.wait(SECONDS)
    assert collect(backend.stream(endless(3))).usage.output_tokens == 3
    assert time.monotonic() < until
