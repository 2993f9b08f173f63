"""What an agent's limits promise: a run stops before it exceeds them. Each test holds for both twins."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sdk.agent_twin import Counter, Twin, add, call, results

from ambidex import Agent, Assistant, AsyncAgent, Finished, Request, ToolCall, Usage, tool
from ambidex.agent_events import AgentStep
from ambidex.agent_limits import affordable_tokens, repeats
from ambidex.errors import InvalidRequest, LimitReached, Unsupported
from ambidex.reply import Choice, Reply
from ambidex.testing import ScriptedBackend, events_of

# -- tokens


def again(request: Request) -> Assistant:
    number = len(request.messages)
    return Assistant(call("add", str(number), a=number, b=2))


def total(usage: Usage) -> int:
    return (usage.input_tokens or 0) + (usage.output_tokens or 0)


@given(limit=st.integers(1, 300), words=st.integers(1, 60))
def test_max_total_tokens_are_never_exceeded(limit: int, words: int) -> None:
    for twin in (Twin(False), Twin(True)):
        backend = ScriptedBackend(
            lambda request: Assistant("word " * words, call("add", str(len(request.messages)), a=1, b=2))
        )
        with pytest.raises(LimitReached) as caught:
            twin.run(backend, tools=[add], max_total_tokens=limit, max_steps=5)
        result = caught.value.result
        assert result.stopped in ("max_total_tokens", "max_steps", "max_repeats")
        assert total(result.usage) <= limit
        assert total(result.usage) == total(sum((step.reply.usage for step in result.steps), Usage()))


def test_what_is_left_is_the_next_answer_s_max_tokens(twin: Twin) -> None:
    backend = ScriptedBackend([call("add", a=1, b=2), "three four five six"])
    result = twin.run(backend, tools=[add], max_total_tokens=20)
    first, second = backend.requests
    used = total(result.steps[0].reply.usage)
    assert first.max_tokens == 20 - (backend.count(first) or 0)
    assert second.max_tokens == 20 - used - (backend.count(second) or 0)
    assert total(result.usage) <= 20


def test_max_tokens_stays_where_it_is_less_than_what_is_left(twin: Twin) -> None:
    backend = ScriptedBackend(["one two three"])
    twin.run(backend, max_tokens=2, max_total_tokens=1000)
    assert backend.requests[0].max_tokens == 2


def test_a_large_budget_asks_for_no_answer_that_servers_refuse(twin: Twin) -> None:
    backend = ScriptedBackend(["ok"])
    twin.run(backend, max_total_tokens=1_000_000)
    assert backend.requests[0].max_tokens is None
    small = ScriptedBackend(["ok"], capabilities=dataclasses.replace(backend.capabilities, context_length=100))
    twin.run(small, max_total_tokens=1_000)
    assert small.requests[0].max_tokens is None  # the context ends the answer before the budget does
    twin.run(small := ScriptedBackend(["ok"], capabilities=small.capabilities), max_total_tokens=60)
    assert small.requests[0].max_tokens == 59


def test_a_prompt_that_does_not_fit_is_not_asked(twin: Twin) -> None:
    backend = ScriptedBackend(["never"])
    with pytest.raises(LimitReached, match="the next prompt has 4") as caught:
        twin.run(backend, "one two three four", max_total_tokens=4)
    assert (backend.requests, caught.value.result.stopped) == ([], "max_total_tokens")


class Uncounted(ScriptedBackend):
    """As servers are: the prompt's tokens are known only afterwards."""

    def count(self, request: Request, /) -> None:
        return None

    def _next_events(self, request: Request) -> Any:
        events: list[Any] = list(super()._next_events(request))
        usage = Usage(ScriptedBackend.count(self, request), events[-1].usage.output_tokens)
        return [*events[:-1], dataclasses.replace(events[-1], usage=usage)]


def test_where_nobody_counts_the_last_usage_says_how_long_the_prompt_is(twin: Twin) -> None:
    backend = Uncounted([call("add", a=1, b=2), "never"])
    with pytest.raises(LimitReached, match="max_total_tokens") as caught:
        twin.run(backend, tools=[add], max_total_tokens=9)
    used = total(caught.value.result.usage)
    assert used < 9 < 2 * used  # the conversation so far would have to be sent again
    assert len(backend.requests) == 1


# -- cost


def priced(request: Request, per_prompt_token: float, per_new_token: float, words: int) -> list[Any]:
    message = Assistant("word " * words, call("add", str(len(request.messages)), a=len(request.messages), b=2))
    prompt = sum(len(item.text.split()) for item in request.messages) or 1
    *events, finished = events_of(message, input_tokens=prompt, max_tokens=request.max_tokens)
    assert isinstance(finished, Finished)
    cost = prompt * per_prompt_token + (finished.usage.output_tokens or 0) * per_new_token
    return [*events, dataclasses.replace(finished, usage=dataclasses.replace(finished.usage, cost=cost))]


@given(
    limit=st.floats(0.5, 20),
    cheap=st.floats(0.0, 0.02),
    more=st.floats(1.0, 8.0),
    words=st.lists(st.integers(1, 30), min_size=9),
)
def test_max_cost_is_never_exceeded_once_the_first_step_fits(
    limit: float, cheap: float, more: float, words: list[int]
) -> None:
    backend = ScriptedBackend(lambda request: priced(request, cheap, cheap * more, words[len(backend.requests) % 9]))
    try:
        result = Agent(backend, tools=[add], max_cost=limit, max_steps=8).run("go")
    except LimitReached as error:
        result = error.result
    first = result.steps[0].reply.usage.cost or 0.0
    assert first > limit or (result.usage.cost or 0.0) <= limit * 1.000001 or len(result.steps) == 1


def test_max_cost_stops_before_it_is_exceeded(twin: Twin) -> None:
    backend = ScriptedBackend(lambda request: priced(request, 0.01, 0.02, 3))
    with pytest.raises(LimitReached, match="max_cost") as caught:
        twin.run(backend, tools=[add], max_cost=1.0)
    result = caught.value.result
    assert result.stopped == "max_cost"
    assert len(result.steps) > 1
    assert 0.5 < (result.usage.cost or 0.0) <= 1.0


def test_max_cost_where_no_cost_is_reported_is_refused(twin: Twin) -> None:
    backend = ScriptedBackend(again)
    with pytest.raises(Unsupported, match="max_cost"):
        twin.run(backend, tools=[add], max_cost=1.0)
    assert len(backend.requests) == 1
    assert twin.run(ScriptedBackend(["ok"]), max_cost=1.0).answer == "ok"  # nothing more is spent


def test_prices_are_bounded_by_what_was_paid() -> None:
    steps = [AgentStep(Reply((Choice(Assistant("x")),), Usage(100, 10, cost=1.0)))]
    assert affordable_tokens(1.0, steps, 0) == 0
    assert affordable_tokens(3.0, steps, 0) == 20  # at most 0.1 each
    assert affordable_tokens(3.0, steps, 110) == 10
    assert affordable_tokens(3.0, [], 10) is None


# -- calls


def test_max_tool_calls_stops_before_the_calls_that_are_too_many(twin: Twin) -> None:
    counter = Counter()
    backend = ScriptedBackend(
        lambda request: Assistant(call("bump", f"{len(request.messages)}a"), call("bump", f"{len(request.messages)}b"))
    )
    with pytest.raises(LimitReached, match="max_tool_calls") as caught:
        twin.run(backend, tools=[counter.bump], max_tool_calls=5, max_repeats=None)
    result = caught.value.result
    assert (counter.count, result.stopped) == (4, "max_tool_calls")
    assert len(results(result.messages)) == 4
    twin.run(ScriptedBackend(["ok"]), result.messages, tools=[counter.bump], max_tool_calls=2)
    assert counter.count == 6  # the two that waited


def test_the_same_call_with_the_same_result_again_and_again_is_stopped(twin: Twin) -> None:
    counter = Counter()
    backend = ScriptedBackend(lambda request: Assistant(call("bump", str(len(request.messages)))))
    with pytest.raises(LimitReached, match="max_repeats") as caught:
        twin.run(backend, tools=[counter.bump], max_steps=100)
    assert (caught.value.result.stopped, counter.count) == ("max_repeats", 8)
    with pytest.raises(LimitReached, match="max_steps"):
        twin.run(backend, tools=[counter.bump], max_steps=30, max_repeats=None)


def test_another_argument_or_another_result_is_no_repetition(twin: Twin) -> None:
    count = 0

    @tool
    def ticks(n: int) -> int:
        """Another result each time."""
        nonlocal count
        count += 1
        return count

    same = ScriptedBackend(lambda request: Assistant(call("ticks", str(len(request.messages)), n=1)))
    other = ScriptedBackend(again)
    for backend in (same, other):
        with pytest.raises(LimitReached, match="max_steps"):
            twin.run(backend, tools=[ticks, add], max_steps=10, max_repeats=3)


def test_repeats_are_counted_from_the_end() -> None:
    def step(*calls: ToolCall) -> AgentStep:
        return AgentStep(Reply((Choice(Assistant("x", *calls)),)))

    a, b = ToolCall("1", "add", {"a": 1, "b": 2}), ToolCall("1", "add", {"b": 2, "a": 1})
    c = ToolCall("1", "add", {"a": 1, "b": 3})
    assert [repeats(steps) for steps in ([], [step()], [step(a)], [step(c), step(a), step(b)], [step(a), step(c)])] == [
        *(0, 0, 1, 2, 1)
    ]


@pytest.mark.parametrize("kind", [Agent, AsyncAgent])
@pytest.mark.parametrize("option", ["max_cost", "max_tool_calls", "max_repeats"])
def test_wrong_limits_are_refused(kind: Any, option: str) -> None:
    with pytest.raises(InvalidRequest, match=option):
        kind(ScriptedBackend(), tools=[], **{option: 0})
