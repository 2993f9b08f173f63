"""The keys and values of one sequence: appending, cutting, copying, joining."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from ambidex_backends.local.cache import FIRST_CAPACITY, KVCache

LAYERS = 2


def append(cache: KVCache, ids: list[int]) -> None:
    """As a forward pass does it, with the id as the entry at each position."""
    for layer in range(LAYERS):
        states = torch.tensor(ids, dtype=torch.float32).view(1, 1, -1, 1).expand(1, 2, -1, 3)
        cache.update(states, -states, layer)
    cache.ids.extend(ids)


def filled(ids: list[int]) -> KVCache:
    cache = KVCache()
    append(cache, ids)
    return cache


def held(cache: KVCache) -> list[int]:
    assert all(layer.length == cache.length for layer in cache.layers)
    keys, values = cache.layers[-1].keys, cache.layers[-1].values
    assert keys is not None
    assert values is not None
    assert torch.equal(keys[:, :, : cache.length], -values[:, :, : cache.length])
    found = [int(value) for value in keys[0, 0, : cache.length, 0]]
    assert found == cache.ids
    return found


@given(st.lists(st.integers(1, 200), min_size=1, max_size=6), st.data())
def test_appending_cutting_and_copying_keep_the_positions(sizes: list[int], data: st.DataObject) -> None:
    cache, expected = KVCache(), list[int]()
    for size in sizes:
        new = list(range(len(expected), len(expected) + size))
        append(cache, new)
        expected += new
        assert held(cache) == expected
    keep = data.draw(st.integers(1, len(expected)))
    copy = cache.fork()
    copy.truncate(keep)
    append(cache, [7])
    assert held(copy) == expected[:keep]
    cache.truncate(keep)
    append(cache, [9])
    assert held(cache) == [*expected[:keep], 9]
    assert held(copy) == expected[:keep]


def test_growing_keeps_what_was_there() -> None:
    cache = filled(list(range(FIRST_CAPACITY)))
    append(cache, [1])
    assert held(cache) == [*range(FIRST_CAPACITY), 1]


@given(st.lists(st.integers(1, 300), min_size=1, max_size=4), st.integers(1, 2000))
def test_slices_joined_are_the_cache_again(sizes: list[int], room: int) -> None:
    ids = list(range(sum(sizes)))
    cache = filled(ids)
    ends = [sum(sizes[: index + 1]) for index in range(len(sizes))]
    parts = [cache.slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]
    joined = KVCache.joined(ids, parts, max(room, len(ids)))
    append(cache, [5])
    assert held(joined) == ids
    append(joined, [6])
    assert held(joined) == [*ids, 6]


def test_what_a_failed_pass_left_is_cut_off() -> None:
    cache = filled([1, 2, 3])
    states = torch.ones(1, 2, 4, 3)
    cache.update(states, states, 0)
    assert cache.length == 3
    cache.truncate(cache.length)
    assert held(cache) == [1, 2, 3]
