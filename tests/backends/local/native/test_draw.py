"""The kernels draw the token that PyTorch's own operations give."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ambidex_backends.local.native.draw import draw
from ambidex_backends.local.native.library import kernels
from ambidex_backends.local.noise import drawn
from ambidex_backends.local.peak import peak


@pytest.fixture(scope="module", autouse=True)
def _library() -> None:
    kernels()


@given(
    count=st.integers(1, 3000),
    spread=st.sampled_from([0.0, 0.01, 1.0, 5.0, 50.0, 3000.0]),
    shift=st.sampled_from([0.0, -40.0, 1e4]),
    order=st.sampled_from(["as drawn", "rising", "falling", "mostly excluded"]),
    key=st.integers(0, 2**64 - 1),
)
def test_the_same_token_is_drawn(count: int, spread: float, shift: float, order: str, key: int) -> None:
    scores = torch.randn(count, generator=torch.Generator().manual_seed(key % 1000)) * spread + shift
    if order == "mostly excluded":
        scores[torch.arange(count) % 7 != key % 7 % count] = float("-inf")
    elif order != "as drawn":
        scores = scores.sort(descending=order == "falling").values
    assert draw(scores, key) == drawn(scores, key)


@given(
    count=st.integers(1, 200),
    special=st.lists(st.sampled_from([math.nan, math.inf, -math.inf, 3.0, 3.0]), max_size=4),
    seed=st.integers(0, 1000),
    excluded=st.booleans(),
)
def test_the_greatest_score_is_found(count: int, special: list[float], seed: int, excluded: bool) -> None:
    source = torch.Generator().manual_seed(seed)
    scores = torch.full((count,), -math.inf) if excluded else torch.randn(count, generator=source)
    for value in special:
        scores[int(torch.randint(count, (1,), generator=source))] = value
    assert peak(scores) == (int(scores.argmax()) if math.isfinite(float(scores.max())) else None)
    assert peak(scores.flip(0)[:1]) == (0 if math.isfinite(float(scores[-1])) else None)
    assert peak(scores.bfloat16().float()) == peak(scores.bfloat16())  # the second without the kernels


def test_nothing_is_drawn_where_all_is_excluded() -> None:
    assert draw(torch.full((40,), float("-inf")), 1) is None


def test_what_is_drawn_follows_the_softmax() -> None:
    scores = torch.tensor([0.0, 1.0, 2.0, float("-inf"), -1.0])
    counts = torch.zeros(5)
    for key in range(20000):
        token = draw(scores, key * 0x9E3779B97F4A7C15 % 2**64)
        assert token is not None
        counts[token] += 1
    assert (counts / counts.sum() - torch.softmax(scores, -1)).abs().max() < 0.015
