"""A backend that failed rests; then one request tries it."""

from __future__ import annotations

import threading

from ambidex.circuit import LONGEST_REST, Circuit


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_what_works_is_asked() -> None:
    circuit = Circuit(10, Clock())
    assert circuit.admits()
    circuit.answered()
    assert circuit.admits()
    assert circuit.rests_until is None


def test_after_a_failure_it_rests_for_the_cooldown() -> None:
    clock = Clock()
    circuit = Circuit(10, clock)
    circuit.failed()
    assert not circuit.admits()
    clock.now += 9.99
    assert not circuit.admits()
    clock.now += 0.01
    assert circuit.admits()


def test_after_the_rest_one_request_tries_and_the_others_wait_for_it() -> None:
    clock = Clock()
    circuit = Circuit(10, clock)
    circuit.failed()
    clock.now += 10
    assert [circuit.admits() for _ in range(3)] == [True, False, False]
    circuit.answered()
    assert [circuit.admits() for _ in range(3)] == [True, True, True]


def test_a_failed_try_is_another_rest() -> None:
    clock = Clock()
    circuit = Circuit(10, clock)
    circuit.failed()
    clock.now += 10
    assert circuit.admits()
    clock.now += 5
    circuit.failed()
    clock.now += 9
    assert not circuit.admits()
    clock.now += 1
    assert circuit.admits()


def test_a_try_that_never_comes_back_blocks_nobody_for_longer_than_a_cooldown() -> None:
    clock = Clock()
    circuit = Circuit(10, clock)
    circuit.failed()
    clock.now += 10
    assert circuit.admits()
    clock.now += 10
    assert circuit.admits()


def test_the_server_may_ask_for_more_rest_but_not_for_any() -> None:
    clock = Clock()
    circuit = Circuit(10, clock)
    circuit.failed(retry_after=30)
    assert circuit.rests_until == clock.now + 30
    circuit.failed(retry_after=1)
    assert circuit.rests_until == clock.now + 10
    circuit.failed(retry_after=1e9)
    assert circuit.rests_until == clock.now + LONGEST_REST


def test_no_cooldown_is_no_rest() -> None:
    circuit = Circuit(0, Clock())
    circuit.failed()
    assert circuit.admits()
    assert circuit.admits()


def test_of_many_threads_one_tries() -> None:
    clock = Clock()
    circuit = Circuit(10, clock)
    for _ in range(20):
        circuit.failed()
        clock.now += 10
        start, admitted = threading.Barrier(8), list[bool]()

        def ask(start: threading.Barrier = start, admitted: list[bool] = admitted) -> None:
            start.wait()
            admitted.append(circuit.admits())

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert admitted.count(True) == 1
