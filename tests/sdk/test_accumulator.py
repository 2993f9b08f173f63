"""However an answer is cut into events, the same reply comes of it."""

from __future__ import annotations

import dataclasses
import itertools
import pickle

from hypothesis import given
from hypothesis import strategies as st

from ambidex import (
    Assistant,
    Choice,
    Event,
    Finished,
    InvalidToolCall,
    Reasoning,
    ReasoningDelta,
    Reply,
    Restarted,
    Text,
    TextDelta,
    Timings,
    TokenLogprob,
    TokenScored,
    ToolCall,
    ToolCallDelta,
    ToolCalled,
    ToolCallStarted,
    Usage,
    ValueDelta,
)
from ambidex.accumulator import Accumulator
from ambidex.events import ToolCallFailed


def folded(*events: Event) -> Accumulator:
    accumulator = Accumulator()
    for event in events:
        accumulator.add(event)
    return accumulator


@given(st.lists(st.tuples(st.sampled_from([TextDelta, ReasoningDelta]), st.text(max_size=3)), max_size=8))
def test_pieces_are_joined_in_their_order(pieces: list[tuple[type[TextDelta] | type[ReasoningDelta], str]]) -> None:
    message = folded(*(kind(text) for kind, text in pieces)).choice().message
    assert message.text == "".join(text for kind, text in pieces if kind is TextDelta)
    assert message.reasoning == "".join(text for kind, text in pieces if kind is ReasoningDelta)
    assert len(message.parts) <= len(list(itertools.groupby(pieces, key=lambda piece: piece[0])))


CALL = ToolCall("1", "add", {"a": 1}, '{"a": 1}')


def test_parts_stand_in_the_order_in_which_they_began() -> None:
    accumulator = folded(
        ReasoningDelta("Hm"),
        ReasoningDelta(".", signature="proof"),
        TextDelta("I "),
        TextDelta("add."),
        ToolCallStarted(0, "1", "add"),
        ToolCallStarted(1, "2", "add"),
        ToolCallDelta(1, '{"b'),
        ToolCallDelta(0, '{"a": 1}'),
        ToolCalled(CALL, index=0),
    )
    assert accumulator.choice("length", raw="max_tokens").message.parts == (
        Reasoning("Hm.", "proof"),
        Text("I add."),
        CALL,
        InvalidToolCall("2", "add", '{"b', "the call was cut off before it was complete"),
    )
    assert accumulator.choice("length", raw="max_tokens").raw_finish_reason == "max_tokens"


def test_a_failed_call_is_kept_as_it_was_said() -> None:
    failed = InvalidToolCall("1", "add", "{", "no JSON")
    choice = folded(ToolCallStarted(0, "1", "add"), ToolCallDelta(0, "{"), ToolCallFailed(failed)).choice()
    assert choice.message.parts == (failed,)


def test_choices_are_kept_apart() -> None:
    accumulator = folded(TextDelta("a"), TextDelta("b", choice=1), TextDelta("c"), Restarted("", choice=1))
    assert [choice.message.text for choice in accumulator.choices()] == ["ac"]
    accumulator.add(TextDelta("d", choice=1))
    assert [choice.message.text for choice in accumulator.choices()] == ["ac", "d"]


def test_scored_tokens_are_the_choice_s_logprobs() -> None:
    token = TokenLogprob("a", b"a", 5, -0.5, (TokenLogprob("b", b"b", 6, -1.0),))
    assert folded(TextDelta("a"), TokenScored(token)).choice().logprobs == (token,)
    assert folded(TextDelta("a")).choice().logprobs is None


def test_finished_is_the_last_word() -> None:
    finished = Finished((Choice(Assistant("b"), "stop"),), Usage(1), Timings(total=1), model="m", value=[1])
    reply = folded(TextDelta("a"), ValueDelta([0]), finished).reply()
    assert reply == Reply(finished.choices, Usage(1), Timings(total=1), "m", value=[1])
    assert folded(TextDelta("a"), ValueDelta([0])).reply().value == [0]


def test_a_cancelled_end_keeps_what_the_source_said() -> None:
    accumulator = folded(TextDelta("a"))
    finished = Finished((Choice(Assistant("a"), "stop"),), Usage(3, 1))
    assert accumulator.cancelled() == Finished((Choice(Assistant("a"), "cancelled"),))
    assert accumulator.cancelled(finished) == dataclasses.replace(
        finished, choices=(Choice(Assistant("a"), "cancelled"),)
    )


# -- Reply and what is in it


def test_the_short_properties_mean_the_first_choice() -> None:
    first = Choice(Assistant(Reasoning("r"), "t", CALL), "tool_calls", (), 0.5, "stop")
    reply = Reply((first, Choice(Assistant("other"), "stop")))
    assert (reply.text, reply.reasoning, reply.tool_calls) == ("t", "r", (CALL,))
    assert (reply.finish_reason, reply.stop_sequence, reply.logprobs) == ("tool_calls", "stop", ())
    assert reply.message == first.message


def test_a_reply_is_picklable() -> None:
    token = TokenLogprob("a", b"a", 5, -0.5)
    message = Assistant("t", CALL, InvalidToolCall("2", "a", "{", "cut"))
    reply = Reply((Choice(message, "length", (token,)),), Usage(1, 2), Timings(total=1.0), "m", "r", {"v": 1})
    assert pickle.loads(pickle.dumps(reply)) == reply


counts = st.none() | st.integers(0, 100)
usages = st.builds(Usage, counts, counts, counts, counts)


@given(usages, usages, usages)
def test_usage_adds_up_and_what_nobody_reported_stays_unknown(a: Usage, b: Usage, c: Usage) -> None:
    assert (a + b) + c == a + (b + c)
    assert a + Usage() == a
    total = a + b
    assert total.input_tokens == (
        None if a.input_tokens is b.input_tokens is None else (a.input_tokens or 0) + (b.input_tokens or 0)
    )
