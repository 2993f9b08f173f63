"""Chunks of OpenAI-compatible servers as events: tolerant where servers differ, exact where it counts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ambidex.errors import (
    AmbidexError,
    APIError,
    ContextLengthExceeded,
    IncompleteResponse,
    InvalidRequest,
    LimitExceeded,
    MalformedResponse,
    Overloaded,
    RateLimited,
    ServerError,
)
from ambidex.events import Event, Finished, ReasoningDelta, TextDelta, TokenScored, ToolCallDelta, ToolCallStarted
from ambidex.messages import Assistant, InvalidToolCall, Reasoning, Text, ToolCall
from ambidex.reply import Timings
from ambidex_backends.http.chunks import ChunkReader
from ambidex_backends.http.sse import ServerSentEvent
from ambidex_backends.http.tool_names import ToolNames, to_wire

ODD_NAME = "weather.today in °C"


def read(
    *items: Any, done: bool = True, names: tuple[str, ...] = (ODD_NAME,), **options: Any
) -> tuple[list[Event], Finished]:
    """The events of a stream of these values (a str is sent as it is, an (event, data) pair by its name)."""
    reader = ChunkReader(ToolNames(names), model="asked", **options)
    events: list[Event] = []
    for item in [*items, *(["[DONE]"] if done else [])]:
        name, data = item if isinstance(item, tuple) else ("message", item)
        events += reader.feed(ServerSentEvent(name, data if isinstance(data, str) else json.dumps(data)))
    events += reader.end(Timings(), "req-1")
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert [type(event) for event in events].count(Finished) == 1
    return events, finished


def delta(finish: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}


def call(index: int | None = 0, *, id: Any = None, name: Any = None, arguments: Any = None) -> dict[str, Any]:
    piece: dict[str, Any] = {"function": {"name": name, "arguments": arguments}}
    if index is not None:
        piece["index"] = index
    if id is not None:
        piece["id"] = id
    return delta(tool_calls=[piece])


END = delta("tool_calls")


def message(*items: Any) -> Assistant:
    return read(*items)[1].choices[0].message


def tool_calls(*items: Any) -> list[tuple[str, Any]]:
    return [(part.name, part.arguments) for part in message(*items).tool_calls]


def test_text_with_usage_behind_the_finish_reason() -> None:
    usage = {
        "prompt_tokens": 7,
        "completion_tokens": 2,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 1},
    }
    events, finished = read(
        {**delta(role="assistant", content=""), "model": "answered", "id": "c-1", "usage": None},
        delta(content="Hel"),
        delta(content="lo"),
        delta("stop"),
        {"choices": [], "usage": usage},
    )
    assert [event.text for event in events if isinstance(event, TextDelta)] == ["Hel", "lo"]
    choice = finished.choices[0]
    assert choice.message == Assistant("Hello")
    assert (choice.finish_reason, choice.raw_finish_reason) == ("stop", "stop")
    assert (finished.usage.input_tokens, finished.usage.output_tokens) == (7, 2)
    assert (finished.usage.cached_tokens, finished.usage.reasoning_tokens, finished.usage.cost) == (4, 1, None)
    assert (finished.model, finished.request_id) == ("answered", "req-1")


@pytest.mark.parametrize("done", [True, False])
def test_complete_means_a_finish_reason_with_or_without_done(done: bool) -> None:
    assert read(delta(content="a"), delta("stop"), done=done)[1].choices[0].finish_reason == "stop"
    with pytest.raises(IncompleteResponse):
        read(delta(content="a"), done=done)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("stop", "stop"),
        ("eos_token", "stop"),
        ("length", "length"),
        ("content_filter", "content_filter"),
        ("abort", "other"),
    ],
)
def test_finish_reasons_keep_the_servers_word(raw: str, expected: str) -> None:
    choice = read(delta(content="a"), delta(raw))[1].choices[0]
    assert (choice.finish_reason, choice.raw_finish_reason) == (expected, raw)


def test_stop_with_calls_means_tool_calls_and_tool_calls_without_any_is_other() -> None:
    assert read(call(id="1", name="f", arguments="{}"), delta("stop"))[1].choices[0].finish_reason == "tool_calls"
    assert read(delta(content="a"), delta("tool_calls"))[1].choices[0].finish_reason == "other"


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
def test_reasoning_under_either_name(field: str) -> None:
    events, finished = read(delta(**{field: "hm"}), delta(**{field: "m"}), delta(content="a"), delta("stop"))
    assert [event.text for event in events if isinstance(event, ReasoningDelta)] == ["hm", "m"]
    assert finished.choices[0].message == Assistant(Reasoning("hmm"), Text("a"))


def test_both_reasoning_names_count_once() -> None:
    assert message(delta(reasoning="hm", reasoning_content="hm"), delta("stop")).reasoning == "hm"


@pytest.mark.parametrize(
    "odd",
    [
        {"choices": []},
        {"choices": None},
        {"object": "keepalive"},
        {"choices": [{"index": 0, "delta": None, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {"content": None, "tool_calls": None}}]},
        {"choices": [{"delta": {"content": "", "tool_calls": []}, "unknown": {"a": 1}}], "usage": None},
        "",
    ],
)
def test_what_says_nothing_is_passed_over(odd: Any) -> None:
    assert message(odd, delta(content="a"), odd, delta("stop"), odd) == Assistant("a")


def test_a_whole_message_in_place_of_deltas() -> None:
    whole = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "all"}, "finish_reason": "stop"}]}
    assert message(whole) == Assistant("all")


def test_content_as_parts_and_raw_completions() -> None:
    assert message(delta(content=[{"type": "text", "text": "a"}]), delta("stop")) == Assistant("a")
    assert message({"choices": [{"index": 0, "text": "b", "finish_reason": "stop"}]}) == Assistant("b")


def test_the_stop_text_that_was_met() -> None:
    ended = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "stop_reason": "\n\n"}]}
    assert read(delta(content="a"), ended)[1].choices[0].stop_sequence == "\n\n"


def test_halves_of_a_character_in_two_chunks() -> None:
    halves = [
        '{"choices":[{"index":0,"delta":{"content":"a\\ud83d"}}]}',
        '{"choices":[{"index":0,"delta":{"content":"\\ude00"}}]}',
    ]
    events, finished = read(*halves, delta("stop"))
    assert finished.choices[0].message.text == "a\U0001f600"
    assert all(event.text.encode() for event in events if isinstance(event, TextDelta))
    assert message(halves[0], delta("stop")).text == "a\ufffd"


# Tool calls, as servers write them.

WANTED = [("f", {"x": 1}), ("g", {"y": "z"})]


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param(
            [
                call(0, id="a", name="f", arguments=""),
                call(0, arguments='{"x"'),
                call(0, arguments=": 1}"),
                call(1, id="b", name="g", arguments=""),
                call(1, arguments='{"y": "z"}'),
            ],
            id="as OpenAI does",
        ),
        pytest.param(
            [
                call(0, id="a", name="f", arguments='{"x"'),
                call(1, id="b", name="g", arguments='{"y": '),
                call(0, arguments=": 1}"),
                call(1, arguments='"z"}'),
            ],
            id="interleaved",
        ),
        pytest.param(
            [
                call(0, id="a", name="f", arguments='{"x"'),
                call(0, id="a", name="f", arguments=": 1}"),
                call(1, id="b", name="g", arguments='{"y": '),
                call(1, id="b", name="g", arguments='"z"}'),
            ],
            id="id and name repeated",
        ),
        pytest.param(
            [
                call(0, id="a", name="f", arguments='{"x"'),
                call(0, id="", name="", arguments=": 1}"),
                call(1, id="b", name="g", arguments='{"y": "z"}'),
                call(1, id="", name=None, arguments=""),
            ],
            id="empty id and name in continuations",
        ),
        pytest.param(
            [call(0, name="f", arguments={"x": 1}), call(1, name="g", arguments={"y": "z"})], id="objects, no ids"
        ),
        pytest.param(
            [
                call(None, id="a", name="f", arguments='{"x"'),
                call(None, arguments=": 1}"),
                call(None, id="b", name="g", arguments='{"y": "z"}'),
            ],
            id="no index",
        ),
        pytest.param(
            [
                call(None, id="a", name="f", arguments='{"x"'),
                call(None, id="b", name="g", arguments='{"y": '),
                call(None, id="a", arguments=": 1}"),
                call(None, id="b", arguments='"z"}'),
            ],
            id="no index, interleaved by id",
        ),
        pytest.param(
            [call(None, name="f", arguments='{"x": 1}'), call(None, name="g", arguments='{"y": "z"}')],
            id="no index, no id",
        ),
        pytest.param(
            [call(0, id="a", name="f", arguments='{"x": 1}'), call(0, id="b", name="g", arguments='{"y": "z"}')],
            id="one index for all",
        ),
        pytest.param(
            [
                delta(
                    tool_calls=[
                        {"index": i, "id": str(i), "function": {"name": n, "arguments": json.dumps(a)}}
                        for i, (n, a) in enumerate(WANTED)
                    ]
                )
            ],
            id="all in one delta",
        ),
        pytest.param(
            [call(0, name="f", arguments='"{\\"x\\": 1}"'), call(1, name="g", arguments='{"y": "z"}')],
            id="encoded twice",
        ),
    ],
)
def test_tool_calls_however_they_are_written(chunks: list[Any]) -> None:
    events, finished = read(*chunks, END)
    made = finished.choices[0].message.tool_calls
    assert [(part.name, part.arguments) for part in made] == WANTED
    assert len({part.id for part in made}) == 2
    assert all(part.id for part in made)
    started = [event for event in events if isinstance(event, ToolCallStarted)]
    assert [(event.index, event.name) for event in started] == [(0, "f"), (1, "g")]
    for part, begun in zip(made, started, strict=True):
        assert part.id == begun.id
        if not part.repaired:
            pieces = [event.json for event in events if isinstance(event, ToolCallDelta) and event.index == begun.index]
            assert json.loads("".join(pieces)) == part.arguments


def test_two_calls_of_one_tool_without_index_or_id() -> None:
    pieces = [call(None, name="f", arguments='{"x": 1}'), call(None, name="f", arguments='{"x": 2}')]
    assert tool_calls(*pieces, END) == [("f", {"x": 1}), ("f", {"x": 2})]


def test_two_tools_without_arguments_index_or_id() -> None:
    chunks = [call(None, name="now"), call(None, name="later"), END]
    made = read(*chunks, names=("now", "later"))[1].choices[0].message.tool_calls
    assert [part.name for part in made] == ["now", "later"]


def test_a_name_in_pieces_or_growing() -> None:
    assert tool_calls(call(name="get_"), call(name="weather", arguments="{}"), END) == [("get_weather", {})]
    assert tool_calls(call(name="get_"), call(name="get_weather", arguments="{}"), END) == [("get_weather", {})]


@pytest.mark.parametrize("arguments", ["", None, "null", "{}", " "])
def test_no_arguments(arguments: str | None) -> None:
    assert tool_calls(call(id="1", name="now", arguments=arguments), END) == [("now", {})]


def test_the_older_function_call() -> None:
    chunks = [delta(function_call={"name": "f", "arguments": '{"x":'}), delta(function_call={"arguments": "1}"})]
    assert tool_calls(*chunks, delta("function_call")) == [("f", {"x": 1})]


def test_names_are_mapped_back() -> None:
    assert tool_calls(call(name=to_wire(ODD_NAME), arguments="{}"), END) == [(ODD_NAME, {})]


def test_ids_that_a_server_gives_twice_are_made_unique() -> None:
    made = message(call(0, id="a", name="f", arguments="{}"), call(1, id="a", name="g", arguments="{}"), END).tool_calls
    assert made[0].id == "a"
    assert made[1].id not in ("", "a")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ('{"x": 1', "JSON"),
        ('{"x": 1}{"x": 1}', "Extra data"),
        ('{"x": 1, "x": 2}', "twice"),
        ('{"x": NaN}', "NaN"),
        ('{"x": "\\ud83d"}', "surrogate"),
        ("[1]", "no object but a list"),
        ("{'x': 1}", "JSON"),
        ("[" * 100 + "]" * 100, "deeper"),
    ],
)
def test_malformed_arguments_are_kept_and_never_a_call(arguments: str, says: str) -> None:
    finished = read(call(id="1", name="f", arguments=arguments), END)[1]
    (part,) = finished.choices[0].message.parts
    assert isinstance(part, InvalidToolCall)
    assert (part.id, part.name, part.raw) == ("1", "f", arguments)
    assert says in part.problem


@pytest.mark.parametrize("arguments", ["", '{"x": "2'])
def test_cut_by_length_inside_a_call(arguments: str) -> None:
    choice = read(
        call(0, id="1", name="f", arguments='{"a": 1}'), call(1, id="2", name="g", arguments=arguments), delta("length")
    )[1].choices[0]
    assert choice.finish_reason == "length"
    whole, cut = choice.message.parts
    assert isinstance(whole, ToolCall)
    assert isinstance(cut, InvalidToolCall)
    assert "length" in cut.problem


def test_a_call_without_a_name_is_invalid() -> None:
    (part,) = message(call(id="1", arguments="{}"), END).parts
    assert isinstance(part, InvalidToolCall)


def test_too_many_calls_are_refused() -> None:
    with pytest.raises(LimitExceeded, match="128"):
        read(*(call(number, name="f", arguments="{}") for number in range(200)), END)


@given(
    st.lists(
        st.tuples(st.sampled_from(["f", "g"]), st.dictionaries(st.text(), st.integers() | st.text())),
        min_size=1,
        max_size=4,
    ),
    st.data(),
)
def test_however_arguments_are_cut_the_calls_are_the_same(
    wanted: list[tuple[str, dict[str, Any]]], data: st.DataObject
) -> None:
    chunks: list[Any] = []
    for index, (name, arguments) in enumerate(wanted):
        encoded = json.dumps(arguments, ensure_ascii=data.draw(st.booleans()))
        chunks.append(call(index, id=f"id{index}", name=name, arguments=""))
        cuts = sorted(data.draw(st.lists(st.integers(0, len(encoded)), max_size=5)))
        for start, end in zip([0, *cuts], [*cuts, len(encoded)], strict=True):
            chunks.append(call(index, arguments=encoded[start:end]))
    expected = [(name, json.loads(json.dumps(arguments))) for name, arguments in wanted]
    try:
        json.dumps(expected, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return  # hypothesis drew half a character, which is refused above
    assert tool_calls(*chunks, END) == expected


CUT = call(id="1", name="f", arguments='{"x": "lo')


@pytest.mark.parametrize("raw", ["tool_calls", "stop", "length"])
@pytest.mark.parametrize(
    ("used", "limit", "met"), [(8, 8, True), (9, 8, True), (7, 8, False), (8, None, False), (None, 8, False)]
)
def test_a_rewritten_finish_reason_shows_by_the_count(raw: str, used: int | None, limit: int | None, met: bool) -> None:
    counts = {"choices": [], "usage": {"completion_tokens": used}}
    choice = read(CUT, delta(raw), counts, max_tokens=limit)[1].choices[0]
    (part,) = choice.message.parts
    assert isinstance(part, InvalidToolCall)
    assert "cut off" in part.problem
    assert ("length limit" in part.problem) is (met or raw == "length")
    assert choice.finish_reason == ("length" if met or raw == "length" else "tool_calls")
    assert choice.raw_finish_reason == raw


def test_a_whole_call_at_the_limit_is_a_call() -> None:
    counts = {"choices": [], "usage": {"completion_tokens": 8}}
    choice = read(call(id="1", name="f", arguments="{}"), END, counts, max_tokens=8)[1].choices[0]
    assert (choice.finish_reason, len(choice.message.tool_calls)) == ("tool_calls", 1)


@pytest.mark.parametrize(
    "pieces",
    [
        [call(0, id="1", name="f", arguments='{"x": 1}')],
        [call(0, id="1", name="f", arguments=""), call(0, arguments='{"x"'), call(0, arguments=": 1}")],
        [call(0, id="1", name="f", arguments="{}")],
    ],
)
@given(data=st.data())
def test_a_delta_sent_twice_makes_no_call_that_runs_on_something_else(pieces: list[Any], data: st.DataObject) -> None:
    """Twice a piece of arguments: no call. Twice the beginning: the same call."""
    twice = data.draw(st.integers(0, len(pieces) - 1))
    sent = [*pieces[: twice + 1], *pieces[twice:], END]
    parts = message(*sent).parts
    assert len(parts) == 1
    arguments = pieces[twice]["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"]
    assert isinstance(parts[0], InvalidToolCall if arguments else ToolCall)


def test_done_without_a_finish_reason_is_enough_for_those_who_say_so() -> None:
    _, finished = read(delta(content="a"), done_is_enough=True)
    choice = finished.choices[0]
    assert (choice.finish_reason, choice.raw_finish_reason) == ("stop", None)
    assert read(call(id="1", name="f", arguments="{}"), done_is_enough=True)[1].choices[0].finish_reason == "tool_calls"
    with pytest.raises(IncompleteResponse):
        read(delta(content="a"), done=False, done_is_enough=True)


@pytest.mark.parametrize(
    "counts",
    [
        {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2, "reasoning_tokens": 1}},
        {"choices": [], "x_groq": {"usage": {"prompt_tokens": 7, "completion_tokens": 2, "reasoning_tokens": 1}}},
        {
            "choices": [
                {"index": 0, "delta": {}, "usage": {"prompt_tokens": 7, "completion_tokens": 2, "reasoning_tokens": 1}}
            ]
        },
    ],
)
def test_the_counts_in_other_places(counts: dict[str, Any]) -> None:
    usage = read(delta(content="a"), delta("stop"), counts)[1].usage
    assert (usage.input_tokens, usage.output_tokens, usage.reasoning_tokens) == (7, 2, 1)


def test_reasoning_as_parts_of_the_content() -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    made = message(delta(content=[thinking]), delta(content=[{"type": "text", "text": "a"}]), delta("stop"))
    assert made == Assistant(Reasoning("hm"), Text("a"))


def test_a_refusal_is_the_answers_text() -> None:
    assert message(delta(content=None, refusal="I will not."), delta("stop")) == Assistant("I will not.")


# Log probabilities.


def test_scores_of_chats() -> None:
    top = [{"token": "a", "logprob": -0.1, "bytes": [97]}, {"token": "b", "logprob": -3, "bytes": None}]
    content = [{"token": "a", "logprob": -0.1, "bytes": [97], "top_logprobs": top}, {"token": "x", "logprob": None}]
    scored = {
        "choices": [{"index": 0, "delta": {"content": "a"}, "logprobs": {"content": content}, "finish_reason": "stop"}]
    }
    events, finished = read(scored)
    (event,) = [event for event in events if isinstance(event, TokenScored)]
    assert (event.logprob.text, event.logprob.bytes, event.logprob.logprob, event.logprob.source) == (
        "a",
        b"a",
        -0.1,
        "provider",
    )
    assert [(other.text, other.bytes, other.logprob) for other in event.logprob.top] == [
        ("a", b"a", -0.1),
        ("b", b"b", -3.0),
    ]
    assert finished.choices[0].logprobs == (event.logprob,)


def test_scores_of_completions() -> None:
    scores = {"tokens": ["a", "b"], "token_logprobs": [None, -1.5], "top_logprobs": [None, {"c": -9, "b": -1.5}]}
    choice = read({"choices": [{"text": "ab", "logprobs": scores, "finish_reason": "stop"}]})[1].choices[0]
    assert choice.logprobs is not None
    (score,) = choice.logprobs
    assert (score.text, score.logprob, [other.text for other in score.top]) == ("b", -1.5, ["b", "c"])


# Errors inside the stream.


@pytest.mark.parametrize(
    ("data", "kind", "says"),
    [
        ({"error": "Model is overloaded", "error_type": "overloaded"}, Overloaded, "Model is overloaded"),
        (
            {"error": {"message": "Input validation error", "http_status_code": 422}},
            InvalidRequest,
            "Input validation error",
        ),
        ({"error": {"message": "slow down", "type": "rate_limit_exceeded", "code": None}}, RateLimited, "slow down"),
        ({"error": {"message": "no", "code": 429}}, RateLimited, "no"),
        ({"error": {"message": "boom", "type": "server_error"}}, ServerError, "boom"),
        ({"error": "unspecific"}, ServerError, "unspecific"),
        (
            {"object": "error", "message": "too long: maximum context length is 10 tokens", "code": 400},
            ContextLengthExceeded,
            "10",
        ),
        ({"message": "went wrong"}, ServerError, "went wrong"),
        ({"detail": [{"loc": ["body", "n"], "msg": "bad"}]}, ServerError, "body.n: bad"),
        (("error", {"type": "error", "error": {"type": "overloaded_error", "message": "later"}}), Overloaded, "later"),
        (("error", '"just text"'), ServerError, "just text"),
        (
            {
                "choices": [
                    {"index": 0, "delta": {}, "finish_reason": "error", "error": {"message": "died", "code": 502}}
                ]
            },
            ServerError,
            "died",
        ),
        ({"choices": [], "error": {"message": "beside choices"}}, ServerError, "beside choices"),
    ],
)
def test_errors_inside_the_stream(data: Any, kind: type[AmbidexError], says: str) -> None:
    with pytest.raises(kind, match=says) as caught:
        read(delta(content="a"), data)
    assert isinstance(caught.value, APIError)
    assert caught.value.in_stream


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ("{broken", MalformedResponse),
        ('{"error": broken}', MalformedResponse),
        ("[1]", MalformedResponse),
        ('{"choices": [1]}', MalformedResponse),
        ('{"choices": [{"delta": "a"}]}', MalformedResponse),
        ('{"choices": [{"index": 1, "delta": {"content": "a"}}]}', MalformedResponse),
        ('{"usage": {"prompt_tokens": NaN}}', MalformedResponse),
        ('{"a":' * 100_000, LimitExceeded),
        ('{"a": ' + "9" * 5000 + "}", MalformedResponse),
    ],
)
def test_what_cannot_be_read_is_refused(data: str, kind: type[AmbidexError]) -> None:
    with pytest.raises(kind):
        read(delta(content="a"), data)
