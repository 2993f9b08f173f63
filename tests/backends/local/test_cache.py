"""The KV cache and the store of prefixes: appending, cutting, copying, finding, and the memory bound."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from ambidex_backends.local.cache import FIRST_CAPACITY, KVCache, PrefixStore

LAYERS = 2


def filled(ids: list[int]) -> KVCache:
    """A cache whose entry at each position is the id there."""
    cache = KVCache()
    append(cache, ids)
    return cache


def append(cache: KVCache, ids: list[int]) -> None:
    for layer in range(LAYERS):
        states = torch.tensor(ids, dtype=torch.float32).view(1, 1, -1, 1).expand(1, 2, -1, 3)
        cache.update(states, -states, layer)


def held(cache: KVCache) -> list[int]:
    keys, values = cache.layers[-1].keys, cache.layers[-1].values
    assert keys is not None
    assert values is not None
    assert torch.equal(keys[:, :, : cache.length], -values[:, :, : cache.length])
    return [int(value) for value in keys[0, 0, : cache.length, 0]]


@given(st.lists(st.integers(1, 200), min_size=1, max_size=6), st.data())
def test_appending_cutting_and_copying_keep_the_positions(sizes: list[int], data: st.DataObject) -> None:
    cache, expected = KVCache(), list[int]()
    for size in sizes:
        new = list(range(len(expected), len(expected) + size))
        append(cache, new)
        expected += new
        assert held(cache) == expected
    keep = data.draw(st.integers(1, len(expected)))
    copy = cache.copy(keep)
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


def test_a_continued_entry_is_handed_over() -> None:
    store = PrefixStore(1 << 30)
    cache = filled([1, 2, 3])
    store.put([1, 2, 3], cache)
    assert store.take([1, 2, 3, 4]) is cache
    assert len(store) == 0


def test_a_shared_beginning_is_copied_and_the_entry_stays() -> None:
    store = PrefixStore(1 << 30)
    store.put([1, 2, 3, 4, 5], filled([1, 2, 3, 4, 5]))
    taken = store.take([1, 2, 9, 9])
    assert taken is not None
    assert held(taken) == [1, 2]
    again = store.take([1, 2, 3, 4, 5, 6])
    assert again is not None
    assert held(again) == [1, 2, 3, 4, 5]


def test_the_last_id_is_always_left_to_compute() -> None:
    store = PrefixStore(1 << 30)
    store.put([1, 2, 3], filled([1, 2, 3]))
    taken = store.take([1, 2, 3])
    assert taken is not None
    assert held(taken) == [1, 2]


def test_the_longest_prefix_wins_and_nothing_common_gives_none() -> None:
    store = PrefixStore(1 << 30)
    store.put([1, 2], filled([1, 2]))
    store.put([1, 3, 4], filled([1, 3, 4]))
    assert store.take([8, 9]) is None
    taken = store.take([1, 3, 4, 5])
    assert taken is not None
    assert held(taken) == [1, 3, 4]


@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=5), max_size=12), st.integers(0, 6))
def test_the_budget_holds(prompts: list[list[int]], entries: int) -> None:
    budget = entries * filled([0]).nbytes
    store = PrefixStore(budget)
    for ids in prompts:
        store.put(ids, filled(ids))
        assert store.nbytes <= budget
    for ids in prompts:
        taken = store.take([*ids, 9])
        if taken is not None:
            assert held(taken) == ids[: taken.length]
