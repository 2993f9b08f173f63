"""What is kept for later prompts: found by its ids, kept once, within the budget, always the right ones."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ambidex_backends.local import prefix_tree
from ambidex_backends.local.cache import KVCache
from ambidex_backends.local.prefix_tree import Block, PrefixTree

BLOCK = 4
PLENTY = 1 << 40


@pytest.fixture(autouse=True, scope="module")
def small_blocks() -> object:
    """Blocks of four ids."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prefix_tree, "BLOCK", BLOCK)
        yield


def fingerprint(ids: list[int]) -> float:
    """What stands for the keys and values at the last of `ids`: as they do, it depends on all of them."""
    return float(hash(tuple(ids)) % 1_000_003)


def compute(cache: KVCache, ids: list[int]) -> None:
    """A forward pass over `ids`."""
    for layer in range(2):
        rows = [fingerprint([*cache.ids, *ids[: index + 1]]) for index in range(len(ids))]
        states = torch.tensor(rows).view(1, 1, -1, 1)
        cache.update(states, -states, layer)
    cache.ids.extend(ids)


def is_right(cache: KVCache, ids: list[int]) -> bool:
    """Whether the cache holds what computing its ids anew would give."""
    fresh = KVCache()
    compute(fresh, ids[: cache.length])
    pairs = zip(cache.layers, fresh.layers, strict=True) if cache.length else ()
    return cache.ids == ids[: cache.length] and all(
        torch.equal(a.keys[:, :, : cache.length], b.keys[:, :, : cache.length])
        and torch.equal(a.values[:, :, : cache.length], b.values[:, :, : cache.length])
        for a, b in pairs
        if a.keys is not None and a.values is not None and b.keys is not None and b.values is not None
    )


def run(tree: PrefixTree, ids: list[int], chunk: int = 3) -> int:
    """A sequence from its opening to its end; how many ids were found."""
    cache = tree.open(ids)
    found = cache.length
    while cache.length < len(ids):
        part = ids[cache.length : cache.length + chunk]
        compute(cache, part)
        tree.keep(cache, computed=len(part))
    tree.keep(cache, computed=0, ended=True)
    tree.close(cache)
    return found


def blocks(block: Block) -> list[Block]:
    below = [child for siblings in block.children.values() for child in siblings]
    return [*below, *(deeper for child in below for deeper in blocks(child))]


def check(tree: PrefixTree) -> None:
    kept = [block for root in tree._roots for block in blocks(root)]
    assert set(kept) == set(tree._recent)
    assert len(kept) == len(set(kept)) == len(tree)
    assert tree.nbytes == sum(block.nbytes for block in kept)
    paths = [(id(block.parent), block.ids) for block in kept]
    assert len(paths) == len(set(paths)), "nothing is kept twice"
    assert all(len(block.ids) == BLOCK or not block.children for block in kept)


IDS = st.lists(st.integers(0, 1), min_size=1, max_size=20)


@given(
    st.lists(st.tuples(st.sampled_from(["open", "step", "cut", "end", "clear"]), st.integers(0, 9), IDS), max_size=40),
    st.sampled_from([0, 40, 200, PLENTY]),
)
def test_whatever_was_kept_and_evicted_what_is_found_is_right(
    actions: list[tuple[str, int, list[int]]], budget: int
) -> None:
    tree = PrefixTree(budget)
    live: list[tuple[KVCache, list[int]]] = []
    for action, number, ids in actions:
        if action == "open":
            cache = tree.open(ids)
            assert cache.length < len(ids)
            assert is_right(cache, ids)
            live.append((cache, ids))
        elif action == "clear":
            tree.clear()
        elif live:
            cache, wanted = live[number % len(live)]
            if action == "step":
                compute(cache, ids[:3])
                tree.keep(cache, computed=len(ids[:3]))
            elif action == "cut":
                cache.truncate(number)
            else:
                tree.keep(cache, computed=0, ended=True)
                tree.close(cache)
                live.remove((cache, wanted))
        check(tree)
        assert tree.nbytes <= budget
    for _, _, ids in actions:
        assert is_right(tree.open(ids), ids)


@given(st.lists(IDS, min_size=1, max_size=8), st.lists(IDS, max_size=4))
def test_with_room_the_longest_common_beginning_is_found(past: list[list[int]], later: list[list[int]]) -> None:
    tree = PrefixTree(PLENTY)
    for ids in past:
        run(tree, ids)
    for ids in [*past, *later]:
        longest = max(
            next((i for i, (a, b) in enumerate(zip(old, ids, strict=False)) if a != b), min(len(old), len(ids)))
            for old in past
        )
        assert tree.open(ids).length == min(longest, len(ids) - 1)


def test_the_turns_of_a_chat_are_kept_once() -> None:
    tree = PrefixTree(PLENTY)
    turns = [list(range(10 * turn + 7)) for turn in range(1, 11)]
    found = [run(tree, ids) for ids in turns]
    assert found == [0, *(len(ids) for ids in turns[:-1])]
    assert len(tree) == -(-len(turns[-1]) // BLOCK), "no more than the last turn's own blocks"


def test_chats_that_begin_alike_share_their_beginning() -> None:
    tree = PrefixTree(PLENTY)
    system = list(range(100, 140))
    for chat in range(20):
        assert run(tree, [*system, chat, chat, chat, chat]) == (40 if chat else 0)
    assert len(tree) == 40 // BLOCK + 20


def test_a_beginning_is_found_while_it_is_still_in_use() -> None:
    tree = PrefixTree(PLENTY)
    first = tree.open([1, 2, 3, 4, 5, 6, 7, 8, 9])
    compute(first, [1, 2, 3, 4, 5, 6])
    tree.keep(first, computed=6)
    assert tree.open([1, 2, 3, 4, 5, 6, 7]).length == 4, "whole blocks"


def test_what_is_in_use_counts_and_the_least_recently_used_go_first() -> None:
    one = KVCache()
    compute(one, [1])
    block_bytes = one.nbytes // 256 * BLOCK
    tree = PrefixTree(one.nbytes + 3 * block_bytes)
    for start in (10, 20, 30, 40):
        run(tree, [start, start + 1, start + 2, start + 3])
    assert len(tree) == 3 or tree.nbytes <= tree._budget
    found = [tree.open([start, start + 1, start + 2, start + 3, 0]).length for start in (10, 40)]
    assert found == [0, 4]


def test_whole_cells_are_found_only_as_one_pass_computed_them() -> None:
    tree = PrefixTree(PLENTY, whole_cells=True)
    run(tree, list(range(11)), chunk=BLOCK)
    assert tree.open(list(range(20))).length == 8, "not the rest"
    run(tree, list(range(50, 61)), chunk=1)
    assert tree.open(list(range(50, 70))).length == 0, "decoded one by one"
    run(tree, list(range(20)), chunk=BLOCK)
    assert tree.open(list(range(30))).length == 20
    assert tree.open([*range(6), 99, 98]).length == 4
