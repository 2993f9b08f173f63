"""Storms of cancels and crowds of readers leave no thread, no memory and no reader that waits; failures are typed."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from tests.leaks import nothing_left
from tests.process_state import AVAILABLE, memory

from ambidex import Greedy, Request, Sampling, acollect, collect
from ambidex.errors import (
    AmbidexError,
    BackendClosed,
    ContextLengthExceeded,
    DeadlineExceeded,
    EngineError,
    NonFiniteLogits,
    OutOfMemory,
)
from ambidex_backends.local import LocalBackend
from ambidex_backends.local.model import Span

from .conftest import PATHS, OpenBackend

PROMPT = "the rain in the north"
SECONDS = 120.0
"""So long may a storm take on a busy machine before its readers count as hung."""


def some_request(draw: random.Random, **options: Any) -> Request:
    tokens = draw.randrange(1, 60)
    strategy = Greedy(min_tokens=tokens) if draw.random() < 0.5 else Sampling(seed=draw.randrange(99))
    prompt = [draw.randrange(5, 380) for _ in range(draw.randrange(1, 150))]
    return Request(prompt=prompt, decoding=strategy, max_tokens=tokens, **options)


def give_up_somehow(backend: LocalBackend, draw: random.Random) -> None:
    """One request that is left in one of the ways in which programs leave requests."""
    after, how = draw.randrange(8), draw.randrange(6)
    if how == 5:
        request = some_request(draw, timeout=0.001 + draw.random() / 50)
        try:
            collect(backend.stream(request))
        except DeadlineExceeded:
            return
        return
    stream = backend.stream(some_request(draw))
    for _ in range(after):
        next(stream, None)
    if how == 0:
        stream.cancel()
        assert collect(stream).finish_reason is not None
    elif how == 1:
        stream.close()
    elif how == 2:
        canceller = threading.Thread(target=stream.cancel)
        canceller.start()
        for _ in stream:
            pass
        canceller.join()
    elif how == 3:
        del stream
    else:
        collect(stream)


async def give_up_a_task(backend: LocalBackend, draw: random.Random) -> None:
    task = asyncio.ensure_future(acollect(backend.astream(some_request(draw))))
    await asyncio.sleep(draw.random() / 50)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return


def storm(backend: LocalBackend, seed: int, count: int) -> None:
    """`count` requests from 6 threads and 6 tasks; everyone comes back."""
    errors: list[BaseException] = []

    def in_thread(number: int) -> None:
        draw = random.Random(f"{seed} {number}")
        try:
            for _ in range(count // 12):
                give_up_somehow(backend, draw)
        except BaseException as error:
            errors.append(error)

    async def in_task(number: int) -> None:
        draw = random.Random(f"{seed} task {number}")
        for _ in range(count // 12):
            await give_up_a_task(backend, draw)

    async def in_tasks() -> None:
        await asyncio.wait_for(asyncio.gather(*(in_task(number) for number in range(6))), SECONDS)

    threads = [threading.Thread(target=in_thread, args=(number,), daemon=True) for number in range(6)]
    for thread in threads:
        thread.start()
    asyncio.run(in_tasks())
    for thread in threads:
        thread.join(SECONDS)
        assert not thread.is_alive(), "a reader hangs"
    assert not errors, errors
    until = time.monotonic() + SECONDS
    while not backend._runtime.engine._scheduler.idle:
        assert time.monotonic() < until, "a request was left in the engine"
        time.sleep(0.01)


def settled_memory() -> int:
    gc.collect()
    return memory()


@pytest.mark.parametrize("count", [120, pytest.param(1000, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("kind", ["llama", "gpt_oss", "lfm2"])
def test_random_cancels_leave_nothing(kind: str, count: int, open_backend: OpenBackend) -> None:
    expected = None
    backend = open_backend(kind, cache_bytes=1_000_000)  # loading starts a thread of tqdm's
    with nothing_left(seconds=10):
        question = Request(prompt=PROMPT, max_tokens=20, decoding=Greedy(min_tokens=20))
        for seed in range(3):
            storm(backend, seed, count)
            expected = expected or collect(backend.stream(question)).text
        before = settled_memory() if AVAILABLE else 0
        storm(backend, 3, count)
        assert collect(backend.stream(question)).text == expected, "and it answers as it did"
        after = settled_memory() if AVAILABLE else 0
        assert after - before <= before * 0.01
        backend.close()


@pytest.mark.parametrize("count", [40, pytest.param(200, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("kind", PATHS)
def test_a_crowd_of_readers_is_answered(kind: str, count: int, open_backend: OpenBackend) -> None:
    draw = random.Random(0)
    requests = [some_request(draw) for _ in range(count)]
    backend = open_backend(kind)
    with nothing_left(seconds=10):
        replies: dict[int, str | AmbidexError] = {}

        def ask(index: int) -> None:
            try:
                replies[index] = collect(backend.stream(requests[index])).text
            except AmbidexError as error:
                replies[index] = error

        threads = [threading.Thread(target=ask, args=(index,), daemon=True) for index in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SECONDS)
            assert not thread.is_alive(), "a reader hangs"
        for index in draw.sample(range(count), 8):
            assert replies[index] == collect(backend.stream(requests[index])).text
        assert not [reply for reply in replies.values() if isinstance(reply, AmbidexError)]
        backend.close()


@contextmanager
def forward_of(backend: LocalBackend, change: Callable[[Sequence[Span], Callable[..., Any]], Any]) -> Generator[None]:
    """The model's passes go through `change(spans, forward)`."""
    model: Any = backend._runtime.engine._model
    forward = model.forward
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "forward", lambda spans: change(spans, forward))
        yield


@pytest.mark.parametrize("kind", [*PATHS, "lfm2"])
@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), OutOfMemory),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), OutOfMemory),
        (ValueError("the kernel broke"), EngineError),
    ],
)
def test_one_requests_failure_is_its_own(
    kind: str, failure: Exception, expected: type[AmbidexError], open_backend: OpenBackend
) -> None:
    backend = open_backend(kind, max_batch=5)
    requests = [Request(prompt=[9 + index] * 7, max_tokens=12, decoding=Greedy(min_tokens=12)) for index in range(5)]
    alone = [collect(backend.stream(request)).text for request in requests]
    unlucky = [111, *range(60, 100)]

    def fails_for_one(spans: Sequence[Span], forward: Callable[..., Any]) -> Any:
        if any(list(span.ids) == unlucky for span in spans):
            raise failure
        return forward(spans)

    with forward_of(backend, fails_for_one):
        outcomes = backend.batch([*requests[:2], Request(prompt=unlucky, max_tokens=12), *requests[2:]])
    failed = outcomes.pop(2)
    assert type(failed) is expected
    assert [outcome.text for outcome in outcomes if not isinstance(outcome, AmbidexError)] == alone
    assert [collect(backend.stream(request)).text for request in requests] == alone, "the engine goes on"


@pytest.mark.parametrize("kind", PATHS)
def test_logits_that_are_no_numbers_end_one_answer(kind: str, open_backend: OpenBackend) -> None:
    backend = open_backend(kind)
    request = Request(prompt=PROMPT, max_tokens=12, decoding=Greedy(min_tokens=12))
    expected = collect(backend.stream(request)).text
    steps = 0

    def broken_at_the_fourth(spans: Sequence[Span], forward: Callable[..., Any]) -> Any:
        nonlocal steps
        steps += 1
        logits = forward(spans)
        return [row * float("nan") for row in logits] if steps == 4 else logits

    with forward_of(backend, broken_at_the_fourth), pytest.raises(NonFiniteLogits, match="step 3") as caught:
        collect(backend.stream(request))
    assert caught.value.partial is not None
    assert expected.startswith(caught.value.partial.text)
    assert collect(backend.stream(request)).text == expected


def test_a_prompt_that_is_too_long_is_refused_and_the_others_go_on(open_backend: OpenBackend) -> None:
    backend = open_backend()
    outcomes = backend.batch([Request(prompt=PROMPT, max_tokens=2), Request(prompt=[5] * 300)])
    assert not isinstance(outcomes[0], AmbidexError)
    assert isinstance(outcomes[1], ContextLengthExceeded)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_is_told_to_connect_again_and_can_end() -> None:
    program = """
import os, sys, threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)
from ambidex import Greedy, Request, collect, connect
from ambidex.errors import ConfigError
backend = connect("local:pocket", device="cpu")
long = Request(prompt="the", max_tokens=400, decoding=Greedy(min_tokens=400))
stream = backend.stream(long)
next(stream)
child = os.fork()
if child == 0:
    try:
        backend.stream(long)
    except ConfigError as error:
        print("told" if "connect again" in str(error) else error, flush=True)
    stream.cancel()
    stream.close()
    backend.close()
    sys.exit(0)
_, status = os.waitpid(child, 0)
stream.cancel()
print(os.waitstatus_to_exitcode(status), collect(stream).finish_reason)
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=SECONDS, check=False)
    assert run.stdout.split() == ["told", "0", "cancelled"], run.stderr


@pytest.mark.parametrize("ending", ["", "sys.exit(3)", "raise RuntimeError('enough')"])
def test_a_program_may_end_while_it_is_answered(ending: str) -> None:
    program = f"""
import sys, threading
from contextlib import suppress
from ambidex import Greedy, Request, collect, connect
from ambidex.errors import BackendClosed
backend = connect("local:pocket", device="cpu")
request = Request(prompt="the", max_tokens=400, decoding=Greedy(min_tokens=400))
streams = [backend.stream(request) for _ in range(4)]
next(streams[0])

def read():
    with suppress(BackendClosed):
        list(streams[1])

threading.Thread(target=read, daemon=True).start()
{ending}
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=SECONDS, check=False)
    assert run.returncode == {"": 0, "sys.exit(3)": 3}.get(ending, 1), run.stderr
    assert ("enough" in run.stderr) == ("enough" in ending)
    assert "Fatal" not in run.stderr
    assert run.stderr.count("Traceback") == ("enough" in ending), run.stderr


def test_closing_from_several_threads_while_it_answers(open_backend: OpenBackend) -> None:
    backend = open_backend()
    stream = backend.stream(Request(prompt=PROMPT, max_tokens=200, decoding=Greedy(min_tokens=200)))
    next(stream)
    threads = [threading.Thread(target=backend.close) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
        assert not thread.is_alive()
    with pytest.raises(BackendClosed):
        collect(stream)
