"""Whatever a request does, the engine's thread goes on or is followed by another: nobody waits for ever."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from ambidex import Greedy, Request, collect
from ambidex.errors import EngineError, InvalidRequest
from ambidex_backends.local import LocalBackend

from .conftest import OpenBackend

PROMPT = "the rain in the north"
SECONDS = 60.0
"""So long may a test wait for what comes in milliseconds on a quiet machine."""


def outcome(call: Callable[[], Any]) -> Any:
    """What it returns or raises; fails where it hangs."""
    outcomes: list[Any] = []

    def run() -> None:
        try:
            outcomes.append(call())
        except BaseException as error:
            outcomes.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(SECONDS)
    assert outcomes, "nobody answered"
    return outcomes[0]


def answer(backend: LocalBackend, processor: Callable[[Any, Sequence[int]], Any] | None = None) -> Any:
    decoding = Greedy(processors=() if processor is None else (processor,))
    return outcome(lambda: collect(backend.stream(Request(prompt=PROMPT, max_tokens=4, decoding=decoding))).text)


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError])
def test_what_no_except_exception_catches_ends_its_request_alone(
    error: type[BaseException], open_backend: OpenBackend
) -> None:
    backend = open_backend()
    before = answer(backend)

    def processor(logits: Any, seen: Sequence[int]) -> Any:
        raise error("x")

    failed = answer(backend, processor)
    assert isinstance(failed, EngineError)
    assert error.__name__ in failed.message
    assert answer(backend) == before


def test_a_thread_that_dies_ends_its_jobs_and_another_follows(
    open_backend: OpenBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = open_backend()
    before = answer(backend)

    def broken(*_: object) -> None:
        raise SystemExit("the loop itself broke")

    with monkeypatch.context() as patch:
        patch.setattr(backend._runtime.engine._prefill, "sizes", broken)
        failed = answer(backend)
    assert isinstance(failed, EngineError)
    assert "the loop itself broke" in failed.message
    assert answer(backend) == before


@pytest.mark.parametrize("ask", ["score", "stream", "batch"])
def test_a_processor_that_asks_its_own_backend_is_refused(ask: str, open_backend: OpenBackend) -> None:
    backend = open_backend()
    asking: dict[str, Callable[[], object]] = {
        "score": lambda: backend.score("the wind"),
        "stream": lambda: collect(backend.stream(Request(prompt=PROMPT, max_tokens=1))),
        "batch": lambda: backend.batch([Request(prompt=PROMPT, max_tokens=1)]),
    }

    def processor(logits: Any, seen: Sequence[int]) -> Any:
        asking[ask]()
        return logits

    failed = answer(backend, processor)
    assert isinstance(failed, EngineError)
    assert "ask another backend" in failed.message
    assert isinstance(answer(backend), str)


def test_limits_beyond_what_a_thread_can_wait(open_backend: OpenBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ambidex_backends.local.outbox.CAPACITY", 8)
    backend = open_backend(reader_timeout=1e300)
    decoding = Greedy(min_tokens=40)
    unread = backend.stream(Request(prompt=PROMPT, max_tokens=40, decoding=decoding, timeout=1e300))
    until = time.monotonic() + SECONDS
    while not backend._runtime.engine._scheduler._stalled:  # from here on the thread has nothing to do but wait
        assert time.monotonic() < until
        time.sleep(0.005)
    assert isinstance(answer(backend), str)
    assert outcome(lambda: collect(unread).usage.output_tokens) == 40


def test_an_endless_wait_for_readers_is_refused(open_backend: OpenBackend) -> None:
    for seconds in (float("inf"), 10**400):
        with pytest.raises(InvalidRequest, match="reader_timeout must be a finite number"):
            open_backend(reader_timeout=seconds)
