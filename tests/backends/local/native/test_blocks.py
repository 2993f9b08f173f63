"""Blocks of keys and values: whatever sequences do, each reads what it wrote, and memory stays within its bounds."""

from __future__ import annotations

import mmap
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ambidex_backends.local.native.blocks import BLOCK, SLAB_BYTES, BlockCache, BlockPool


def pool_of(kept: int) -> BlockPool:
    return BlockPool(BLOCK, torch.float32, kept * BLOCK * 4)


def write(cache: BlockCache, ids: list[int]) -> None:
    """What a forward pass does: each position's number is its id."""
    cache.reserve(len(ids))
    for position, id in enumerate(ids, start=cache.length):
        cache._blocks[position // BLOCK].memory[position % BLOCK] = id
    cache.append(ids)


def held(cache: BlockCache) -> list[int]:
    numbers = [cache._blocks[position // BLOCK].memory[position % BLOCK] for position in range(cache.length)]
    return [int(number) for number in numbers]


@settings(deadline=None)
@given(st.data(), st.integers(0, 6))
def test_every_sequence_reads_what_it_wrote(data: st.DataObject, budget: int) -> None:
    pool = pool_of(budget)
    caches: list[BlockCache] = []
    small = st.lists(st.integers(1, 2), min_size=1, max_size=40)  # two ids: prefixes are shared often
    for _ in range(data.draw(st.integers(1, 25))):
        action = data.draw(st.sampled_from(["open", "open", "write", "fork", "cut", "close"]))
        if action == "open" or not caches:
            ids = data.draw(small)
            cache = BlockCache.find(pool, ids)
            assert cache.ids == ids[: cache.length]
            assert cache.length < len(ids)
            write(cache, ids[cache.length :])
            caches.append(cache)
            continue
        cache = data.draw(st.sampled_from(caches))
        if action == "write":
            write(cache, data.draw(small))
        elif action == "fork":
            caches.append(cache.fork())
        elif action == "cut":
            cache.truncate(data.draw(st.integers(0, cache.length)))
        else:
            cache.close()
            caches.remove(cache)
        for one in caches:
            assert held(one) == one.ids
        used = {id(block) for one in caches for block in one._blocks}
        assert pool.kept <= budget
        assert len(used) + pool.kept + len(pool._free) == pool.allocated
    for cache in caches:
        cache.close()
    pool.clear()
    assert pool.allocated == 0


def test_forks_share_memory_until_they_differ() -> None:
    pool = pool_of(0)
    cache = BlockCache(pool)
    write(cache, [1] * 3 * BLOCK + [2])
    forks = [cache.fork() for _ in range(5)]
    used = pool.allocated - len(pool._free)
    assert used == 4
    for number, fork in enumerate(forks):
        write(fork, [number + 3])
    assert pool.allocated - len(pool._free) == used + len(forks)
    assert held(cache)[-1] == 2
    assert [held(fork)[-1] for fork in forks] == [3, 4, 5, 6, 7]


def test_what_was_used_least_recently_goes_first() -> None:
    pool = pool_of(2)
    for first in (1, 2, 3):
        cache = BlockCache.find(pool, [first] * (BLOCK + 1))
        write(cache, [first] * BLOCK)
        cache.close()
    assert BlockCache.find(pool, [1] * (BLOCK + 1)).length == 0
    assert BlockCache.find(pool, [3] * (BLOCK + 1)).length == BLOCK


def test_what_is_kept_makes_room_for_what_is_used() -> None:
    numbers = SLAB_BYTES // 8 // 4  # of float32: a slab is eight blocks
    pool = BlockPool(numbers, torch.float32, 6 * numbers * 4)
    for first in range(1, 9):
        cache = BlockCache(pool)
        write(cache, [first] * 4 * BLOCK)
        assert pool.allocated <= 6
        cache.close()
    assert pool.kept == pool.allocated == 6
    greedy = BlockCache(pool)
    write(greedy, [9] * 10 * BLOCK)  # more than the budget, since it is in use
    assert pool.kept == 0
    assert held(greedy) == [9] * 10 * BLOCK


def test_memory_is_ready_for_as_many_blocks_as_were_filled_before() -> None:
    numbers = SLAB_BYTES // 8 // 4  # of float32: a slab is eight blocks
    pool = BlockPool(numbers, torch.float32, 70 * numbers * 4)
    assert not pool.prepare()
    assert pool.allocated == 0
    cache = BlockCache(pool)
    write(cache, [1] * 20 * BLOCK)
    assert pool.allocated == 24
    assert pool.prepare()  # in pieces
    assert not pool.prepare()
    assert (pool.allocated, len(pool._free)) == (40, 20)
    assert not pool.prepare()  # nothing was filled meanwhile
    assert pool.allocated == 40
    write(cache, [1] * 20 * BLOCK)
    assert pool.allocated == 40
    while pool.prepare():
        pass
    assert (pool.allocated, len(pool._free)) == (64, 24)  # twenty, in slabs of eight
    write(cache, [1] * 24 * BLOCK)
    while pool.prepare():
        pass
    assert pool.allocated == 70  # no more than the budget
    assert held(cache) == cache.ids


def test_nothing_is_got_ready_where_memory_was_short() -> None:
    numbers = SLAB_BYTES // 8 // 4
    pool = BlockPool(numbers, torch.float32, 100 * numbers * 4)
    first, second = BlockCache(pool), BlockCache(pool)
    write(first, [1] * 4 * BLOCK)
    assert not pool.prepare()
    write(second, [2] * 30 * BLOCK)
    held_by_all = pool.allocated
    pool.clear()  # since there was no memory left for a third one
    second.close()
    assert not pool.prepare()
    assert pool.allocated == held_by_all


def test_blocks_that_come_and_go_are_not_got_ready() -> None:
    """As in a beam search: each step copies blocks and gives others back."""
    numbers = SLAB_BYTES // 8 // 4
    pool = BlockPool(numbers, torch.float32, 1000 * numbers * 4)
    cache = BlockCache(pool)
    write(cache, [1] * BLOCK)
    for _ in range(100):
        fork = cache.fork()
        write(fork, [2])
        fork.truncate(0)
    while pool.prepare():
        pass
    assert pool.allocated == 8


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux what is in memory")
def test_memory_that_is_ready_was_written_to() -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * mmap.PAGESIZE

    numbers = 16 << 20 >> 2
    pool = BlockPool(numbers, torch.float32, 10 * numbers * 4)
    cache = BlockCache(pool)
    write(cache, [1] * 4 * BLOCK)
    before = resident()
    while pool.prepare():
        pass
    assert resident() - before > 4 * pool.block_bytes * 0.9


def test_memory_that_cannot_be_had_ahead_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left() -> None:
        raise MemoryError

    pool = pool_of(8)
    cache = BlockCache(pool)
    write(cache, [1] * 8 * BLOCK)
    monkeypatch.setattr(pool, "_most_kept", 100)
    with monkeypatch.context() as patched:
        patched.setattr(pool, "_allocate", none_left)
        assert not pool.prepare()
    write(cache, [2])
    assert held(cache) == cache.ids


def test_going_on_where_a_text_ended_copies_nothing() -> None:
    pool = pool_of(8)
    cache = BlockCache(pool)
    write(cache, [1, 2, 3])
    cache.close()
    again = BlockCache.find(pool, [1, 2, 3, 4])
    block = again._blocks[0]
    write(again, [4])
    assert again._blocks[0] is block
    assert held(again) == [1, 2, 3, 4]
