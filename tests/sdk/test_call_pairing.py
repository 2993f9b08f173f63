"""Calls and results belong together by id, and come in the order of the calls."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ambidex import Assistant, InvalidToolCall, Part, ToolCall, ToolResult, User
from ambidex.call_pairing import paired, pending_calls, with_unique_ids
from ambidex.errors import InvalidRequest, PendingToolCalls

ids = st.sampled_from(["", "a", "b", "a_2", "call_1", "call"])


def call(id: str) -> ToolCall:
    return ToolCall(id, "f", {})


@given(st.lists(ids.map(call) | ids.map(lambda id: InvalidToolCall(id, "f", "{", "cut")) | st.just("text"), max_size=8))
def test_ids_become_unique_and_nothing_else_changes(parts: list[str | Part]) -> None:
    before = Assistant(*parts)
    after = with_unique_ids(before)
    new_ids = [part.id for part in after.parts if isinstance(part, (ToolCall, InvalidToolCall))]
    old_ids = [part.id for part in before.parts if isinstance(part, (ToolCall, InvalidToolCall))]
    assert all(new_ids)
    assert len(set(new_ids)) == len(new_ids)
    assert [type(part) for part in after.parts] == [type(part) for part in before.parts]
    for at, (old, new) in enumerate(zip(old_ids, new_ids, strict=True)):
        if old and old not in old_ids[:at]:
            assert new == old  # the first one keeps its id
    assert with_unique_ids(after) is after


HISTORY = (User("go"), Assistant(call("1"), InvalidToolCall("2", "", "{", "cut"), call("3")))


def result(id: str, name: str = "f") -> ToolResult:
    return ToolResult(id, name, "done")


def test_results_come_in_the_order_of_the_calls() -> None:
    assert paired(HISTORY, [result("3"), result("1")]) == (result("1"), result("3"))
    assert paired(HISTORY, [result("3"), result("2", "any"), result("1")])[1] == result("2", "any")


def test_the_calls_without_a_result_are_pending() -> None:
    assert pending_calls(HISTORY) == (call("1"), call("3"))
    assert pending_calls((*HISTORY, result("1"))) == (call("3"),)
    assert pending_calls((*HISTORY, result("1"), result("3"))) == ()
    assert pending_calls((*HISTORY, Assistant("never mind"))) == ()
    assert pending_calls(()) == ()
    assert paired((*HISTORY, result("1")), [result("3")]) == (result("3"),)


@pytest.mark.parametrize(
    ("results", "says"),
    [
        ([result("4")], "No call '4' waits.*'1', '2', '3'"),
        ([result("1"), result("1"), result("3")], "given two results"),
        ([result("1", "g"), result("3")], "was to 'f', the result is of 'g'"),
    ],
)
def test_results_that_belong_to_nothing_are_refused(results: list[ToolResult], says: str) -> None:
    with pytest.raises(InvalidRequest, match=says):
        paired(HISTORY, results)


@pytest.mark.parametrize("results", [[], [result("1")], [result("2", "g")]])
def test_a_call_left_without_a_result_is_named(results: list[ToolResult]) -> None:
    with pytest.raises(PendingToolCalls, match="f \\(id '3'\\)"):
        paired(HISTORY, results)
