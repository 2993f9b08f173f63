"""What a step computes: running answers always go on, prompts share a budget, and none is forgotten."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ambidex_backends.local.job import Job
from ambidex_backends.local.model import CELL
from ambidex_backends.local.prefill import LEAST, SHORT, STALL_SECONDS, Prefill, shares


@dataclass
class Work:
    """As much of a job as the shares depend on."""

    pending: int
    computed: int = 0

    def take(self, size: int) -> None:
        self.pending -= size
        self.computed += size


def jobs(*work: Work) -> list[Job]:
    return cast("list[Job]", list(work))


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=20), st.integers(20, 4096))
def test_shares_use_the_budget_and_nobody_is_left_out(wanted: list[int], budget: int) -> None:
    given_ = shares(wanted, budget)
    assert sum(given_) == min(sum(wanted), budget)
    assert all(1 <= part <= asked for part, asked in zip(given_, wanted, strict=True))
    unsatisfied = [part for part, asked in zip(given_, wanted, strict=True) if part < asked]
    assert max(unsatisfied, default=0) - min(unsatisfied, default=0) <= 1, "those who want more get equal parts"
    assert all(part <= min(unsatisfied, default=part) + 1 for part in given_)


@given(
    st.lists(st.integers(1, 3000), min_size=1, max_size=12),
    st.integers(1, 1000),
    st.booleans(),
    st.floats(1e-5, 1e-1),
)
def test_every_prompt_is_done_in_bounded_time_and_answers_go_on_at_each_step(
    prompts: list[int], budget: int, deterministic: bool, seconds_per_id: float
) -> None:
    prefill = Prefill(budget, deterministic=deterministic)
    work = [Work(length) for length in prompts]
    answer = Work(1)
    steps, bound = 0, sum(prompts) // min(budget, LEAST) + 2 * len(prompts) + sum(prompts) // CELL
    while unfinished := [item for item in work if item.pending]:
        sizes = prefill.sizes(jobs(answer, *unfinished))
        assert sizes[0] == 1, "the running answer is advanced in every step"
        large = [size for size in sizes if size > SHORT]
        assert sum(large) <= max(budget, CELL if deterministic else LEAST)
        prefill.took(seconds_per_id * sum(sizes), sizes)
        for item, size in zip(unfinished, sizes[1:], strict=True):
            if deterministic and size:
                assert item.computed // CELL == (item.computed + size - 1) // CELL, "within one cell"
                assert (item.computed + size) % CELL == 0 or size == item.pending
            item.take(size)
        steps += 1
        assert steps <= bound


def test_a_prompt_beside_answers_takes_no_longer_than_a_stall() -> None:
    prefill = Prefill(4096)
    assert prefill.sizes(jobs(Work(1), Work(10_000)))[1] == 4096, "nothing is known yet"
    prefill.took(4.096, [1, 4096])  # a millisecond each
    assert prefill.sizes(jobs(Work(1), Work(10_000)))[1] == pytest.approx(STALL_SECONDS / 0.001, abs=2)
    assert prefill.sizes(jobs(Work(10_000))) == [4096], "nobody waits: the whole budget"


def test_a_short_prompt_does_not_wait_for_long_ones() -> None:
    prefill = Prefill(512)
    long, short = [Work(100_000) for _ in range(4)], Work(100)
    steps = 0
    while short.pending:
        for item, size in zip([*long, short], prefill.sizes(jobs(*long, short)), strict=True):
            item.take(size)
        steps += 1
    assert steps == 1


@pytest.mark.parametrize("budget", [1, 64, 100])
def test_with_a_small_budget_prompts_take_turns(budget: int) -> None:
    prefill = Prefill(budget)
    work: list[Any] = [Work(1000) for _ in range(5)]
    for _ in range(5):
        for item, size in zip(work, prefill.sizes(jobs(*work)), strict=True):
            item.take(size)
    assert all(item.computed for item in work)
