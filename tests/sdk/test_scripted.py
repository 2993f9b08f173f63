"""`ScriptedBackend` streams what is written down, as a model would."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ambidex import (
    Assistant,
    Finished,
    Image,
    InvalidToolCall,
    Reasoning,
    Request,
    Text,
    TextDelta,
    ToolCall,
    ToolCalled,
    User,
    acollect,
    collect,
)
from ambidex.errors import BackendClosed, ConfigError, IncompleteResponse, RateLimited
from ambidex.events import ToolCallFailed
from ambidex.testing import ScriptedBackend, events_of

HELLO = Request([User("hello there")])
texts = st.text(min_size=1, max_size=40).filter(lambda text: Text(text).text == text)
json_texts = st.text(max_size=20)
parts = (
    texts.map(Text)
    | texts.map(Reasoning)
    | st.builds(ToolCall, st.just("1"), st.just("f"), st.dictionaries(texts, st.integers(), max_size=2))
    | st.builds(InvalidToolCall, st.just("2"), st.just("f"), json_texts, st.just("cut"))
)


def merged(message: Assistant) -> list[Any]:
    """The parts, neighbours of one kind joined: a stream does not show where one ends and the next begins."""
    joined: list[Any] = []
    for part in message.parts:
        if joined and isinstance(part, (Text, Reasoning)) and type(joined[-1]) is type(part):
            joined[-1] = type(part)(joined[-1].text + part.text)
        else:
            joined.append(part)
    return joined


@given(st.lists(parts, max_size=5).map(lambda items: Assistant(*items)))
def test_a_message_comes_out_as_it_went_in(message: Assistant) -> None:
    stream = ScriptedBackend([message]).stream(HELLO)
    assert collect(stream).message == Assistant(*merged(message))


@given(st.lists(parts, max_size=4).map(lambda items: Assistant(*items)), st.integers(1, 30))
def test_max_tokens_cuts_after_that_many_pieces(message: Assistant, limit: int) -> None:
    whole, cut = events_of(message), events_of(message, max_tokens=limit)
    finished = cut[-1]
    assert isinstance(finished, Finished)
    tokens = finished.usage.output_tokens or 0
    assert tokens <= limit
    if cut == whole:
        assert finished.choices[0].finish_reason != "length"
    else:
        assert (finished.choices[0].finish_reason, tokens) == ("length", limit)
        assert cut[:-2] == whole[: len(cut) - 2]
    calls = finished.choices[0].message
    ended = [event.call for event in cut if isinstance(event, (ToolCalled, ToolCallFailed))]
    assert ended == [part for part in calls.parts if isinstance(part, (ToolCall, InvalidToolCall))]


def test_every_kind_of_reply() -> None:
    call = ToolCall("1", "add", {"a": 1})
    backend = ScriptedBackend(
        ["text", call, Assistant("both", call), lambda request: request.messages[-1].text, events_of(Assistant("raw"))]
    )
    replies = [collect(backend.stream(HELLO)) for _ in range(5)]
    assert [reply.text for reply in replies] == ["text", "", "both", "hello there", "raw"]
    assert [reply.finish_reason for reply in replies] == ["stop", "tool_calls", "tool_calls", "stop", "stop"]
    assert backend.requests == [HELLO] * 5


def test_one_function_answers_everything() -> None:
    backend = ScriptedBackend(lambda request: str(len(backend.requests)))
    assert [collect(backend.stream(HELLO)).text for _ in range(3)] == ["1", "2", "3"]


def test_errors_are_raised_where_they_stand() -> None:
    error = RateLimited("slow", retry_after=1.0)
    backend = ScriptedBackend([error, [TextDelta("so "), error], [TextDelta("so ")]])
    with pytest.raises(RateLimited):
        collect(backend.stream(HELLO))
    stream = backend.stream(HELLO)
    assert next(stream) == TextDelta("so ")
    with pytest.raises(RateLimited):
        next(stream)
    with pytest.raises(IncompleteResponse):
        collect(backend.stream(HELLO))


def test_stop_cuts_before_the_text() -> None:
    backend = ScriptedBackend(lambda request: Assistant("One. Two. Three.", ToolCall("1", "f", {})))
    reply = collect(backend.stream(Request([User("a")], stop=["Three", "Two"])))
    assert (reply.text, reply.finish_reason, reply.stop_sequence) == ("One. ", "stop", "Two")
    assert reply.tool_calls == ()


def test_a_request_beyond_the_script_says_so() -> None:
    backend = ScriptedBackend(["a"])
    collect(backend.stream(HELLO))
    with pytest.raises(ConfigError, match="has 1 replies; this is request 2"):
        backend.stream(HELLO)


def test_a_closed_backend_answers_nothing() -> None:
    backend = ScriptedBackend(["a"])
    backend.close()
    backend.close()
    with pytest.raises(BackendClosed):
        backend.stream(HELLO)


@pytest.mark.parametrize("replies", ["text", [Assistant(Image(b""))]])
def test_what_cannot_be_played_is_refused(replies: Any) -> None:
    with pytest.raises(ConfigError):
        ScriptedBackend(replies).stream(HELLO)


@pytest.mark.anyio
async def test_async_plays_the_same() -> None:
    script: list[Any] = [Assistant(Reasoning("Hm."), "One two.", ToolCall("1", "add", {"a": 1})), "b"]
    one, two = ScriptedBackend(script), ScriptedBackend(script)
    for _ in script:
        assert [event async for event in two.astream(HELLO)] == list(one.stream(HELLO))
    with pytest.raises(ConfigError):
        await acollect(two.astream(HELLO))
    await two.aclose()
    assert two.closed


def test_tokens_are_counted_as_they_are_streamed() -> None:
    backend = ScriptedBackend(["One two three."])
    reply = collect(backend.stream(HELLO))
    assert (backend.count(HELLO), reply.usage.input_tokens, reply.usage.output_tokens) == (2, 2, 3)
    assert backend.count(Request(prompt=[1, 2, 3])) == 3
    assert backend.count(Request(prompt="One two")) == 2


def test_testing_needs_no_pytest() -> None:
    code = "import sys, ambidex.testing, ambidex.testing.conformance; assert 'pytest' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
