"""What each kind of server is sent, and what it is not asked because it would read past it."""

from __future__ import annotations

import copy
import json
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ambidex.decoding import Decoding, Greedy, Sampling
from ambidex.errors import InvalidRequest, Unsupported
from ambidex.messages import Assistant, Image, Message, Reasoning, Text, ToolCall, ToolResult, Url, User
from ambidex.request import NamedTool, Request
from ambidex.tools import Tool
from ambidex_backends.http.dialect import (
    DIALECTS,
    LLAMACPP,
    OLLAMA,
    OPENAI,
    OURS,
    PROVIDER_DIALECTS,
    ROUTER,
    SELF_HOSTED,
    SGLANG,
    TGI,
    VLLM,
    Dialect,
    DialectName,
)
from ambidex_backends.http.request_body import chat_body, completion_body, depends_on_dialect, encoded

TOOL = Tool("f", "d", {"type": "object", "properties": {}})
SCHEMA = {"type": "integer"}


def body(dialect: Dialect, model: str = "m", **options: Any) -> dict[str, Any]:
    messages = options.pop("messages", [User("hi")])
    return json.loads(encoded(chat_body(Request(messages, **options), model, dialect)))  # type: ignore[no-any-return]


def test_every_dialect_has_its_name() -> None:
    assert tuple(DIALECTS) == get_args(DialectName)
    assert all(dialect.name == name for name, dialect in DIALECTS.items())
    assert all(dialect.name == name for name, dialect in PROVIDER_DIALECTS.items())


def test_a_plain_chat_is_the_same_everywhere() -> None:
    bodies = [
        body(dialect, decoding=Sampling(0.5, top_p=0.9, seed=1), stop="x", logprobs=3, tools=[TOOL])
        for dialect in DIALECTS.values()
    ]
    assert all(made == bodies[0] for made in bodies)


@pytest.mark.parametrize(
    ("dialect", "form"),
    [
        (VLLM, {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}),
        (SGLANG, {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}),
        (OLLAMA, {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}),
        (ROUTER, {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}),
        (LLAMACPP, {"type": "json_object", "schema": SCHEMA}),
        (TGI, {"type": "json_object", "value": SCHEMA}),
        (DIALECTS["together"], {"type": "json_schema", "schema": SCHEMA}),
        (DIALECTS["fireworks-ai"], {"type": "json_object", "schema": SCHEMA}),
        (DIALECTS["cohere"], {"type": "json_object", "schema": SCHEMA}),
        (DIALECTS["hf-inference"], {"type": "json_object", "value": SCHEMA}),
        (DIALECTS["groq"], {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}),
    ],
)
def test_the_form_of_structured_output(dialect: Dialect, form: dict[str, Any]) -> None:
    assert body(dialect, output=int)["response_format"] == form


@pytest.mark.parametrize(
    ("dialect", "decoding", "sent"),
    [
        (VLLM, Sampling(top_k=0, min_p=0.1), {"top_k": -1, "min_p": 0.1}),
        (SGLANG, Sampling(top_k=3, min_tokens=2), {"top_k": 3, "min_tokens": 2}),
        (LLAMACPP, Greedy(repetition_penalty=1.1), {"repeat_penalty": 1.1, "repeat_last_n": -1, "temperature": 0.0}),
        (LLAMACPP, Sampling(top_k=0, typical_p=0.9), {"top_k": 0, "typical_p": 0.9}),
        (OURS, Greedy(banned=("x",), no_repeat_ngram=2), {"banned": ["x"], "no_repeat_ngram": 2, "temperature": 0.0}),
        (TGI, Sampling(frequency_penalty=0.5), {"frequency_penalty": 0.5}),
    ],
)
def test_sampling_in_the_servers_spelling(dialect: Dialect, decoding: Decoding, sent: dict[str, Any]) -> None:
    assert body(dialect, decoding=decoding) == {**body(dialect), **sent}


@pytest.mark.parametrize(
    ("dialect", "options", "param"),
    [
        (OPENAI, {"decoding": Sampling(top_k=3)}, "top_k"),
        (OLLAMA, {"decoding": Sampling(top_k=3)}, "top_k"),
        (OLLAMA, {"decoding": Sampling(logit_bias={1: 2})}, "logit_bias"),
        (OLLAMA, {"tools": [TOOL], "tool_choice": "required"}, "tool_choice"),
        (OLLAMA, {"tools": [TOOL], "tool_choice": "none"}, "tool_choice"),
        (OLLAMA, {"tools": [TOOL], "parallel_tool_calls": False}, "parallel_tool_calls"),
        (OLLAMA, {"messages": [User(Image(Url("https://x.test/a.png")))]}, "images"),
        (LLAMACPP, {"decoding": Sampling(min_tokens=3)}, "min_tokens"),
        (LLAMACPP, {"tools": [TOOL], "tool_choice": NamedTool("f")}, "tool_choice"),
        (TGI, {"decoding": Sampling(presence_penalty=0.5)}, "presence_penalty"),
        (TGI, {"decoding": Sampling(top_k=5)}, "top_k"),
        (TGI, {"reasoning": True}, "reasoning"),
        (TGI, {"reasoning": "low"}, "reasoning"),
        (TGI, {"logprobs": 6}, "logprobs"),
        (TGI, {"tools": [TOOL], "output": int}, "output"),
        (VLLM, {"decoding": Greedy(banned=("x",))}, "banned"),
        (VLLM, {"decoding": Sampling(typical_p=0.5)}, "typical_p"),
    ],
)
def test_what_a_server_would_read_past_is_unsupported(dialect: Dialect, options: dict[str, Any], param: str) -> None:
    with pytest.raises(Unsupported) as caught:
        body(dialect, **options)
    assert caught.value.param == param
    assert dialect.title in str(caught.value)


def test_pictures_in_the_request_need_no_address() -> None:
    picture = Image(b"\x89PNG\r\n\x1a\n0", media_type="image/png")
    assert body(OLLAMA, messages=[User(picture)])["messages"][0]["content"][0]["type"] == "image_url"


@pytest.mark.parametrize(
    ("dialect", "reasoning", "sent"),
    [
        (SGLANG, False, {"chat_template_kwargs": {"enable_thinking": False}}),
        (LLAMACPP, True, {"chat_template_kwargs": {"enable_thinking": True}}),
        (LLAMACPP, "high", {"chat_template_kwargs": {"reasoning_effort": "high"}}),
        (OLLAMA, False, {"reasoning_effort": "none"}),
        (OLLAMA, "low", {"reasoning_effort": "low"}),
    ],
)
def test_reasoning_asked_for(dialect: Dialect, reasoning: Any, sent: dict[str, Any]) -> None:
    assert body(dialect, reasoning=reasoning) == {**body(dialect), **sent}


EARLIER: list[Message] = [
    User("a"),
    Assistant(Reasoning("first"), ToolCall("call_1", "f", {})),
    ToolResult("call_1", "f", "1"),
    Assistant("b"),
    User("c"),
    Assistant(Reasoning("second"), ToolCall("call_2", "f", {})),
    ToolResult("call_2", "f", "2"),
]


@pytest.mark.parametrize(
    ("dialect", "model", "field", "sent"),
    [
        (VLLM, "m", "reasoning", ["first", "second"]),
        (VLLM, "m", "reasoning_content", ["first", "second"]),
        (SGLANG, "m", "reasoning_content", ["first", "second"]),
        (SGLANG, "m", "reasoning", []),
        (LLAMACPP, "m", "reasoning_content", ["first", "second"]),
        (OLLAMA, "m", "reasoning", ["first", "second"]),
        (TGI, "m", "reasoning_content", []),
        (OPENAI, "gpt-5", "reasoning_content", []),
        (ROUTER, "mistralai/Mistral-Small-3.2-24B-Instruct-2506", "reasoning_content", []),
        (ROUTER, "moonshotai/Kimi-K2-Thinking", "reasoning_content", ["second"]),
        (DIALECTS["novita"], "deepseek/deepseek-v3.2", "reasoning_content", ["second"]),
        (ROUTER, "deepseek-ai/DeepSeek-R1", "reasoning_content", []),
    ],
)
def test_reasoning_sent_back(dialect: Dialect, model: str, field: str, sent: list[str]) -> None:
    messages = body(dialect, model, messages=EARLIER)["messages"]
    assert [message[field] for message in messages if field in message] == sent


def test_raw_prompts() -> None:
    with pytest.raises(Unsupported, match="chat template"):
        completion_body(Request(prompt="a"), "m", OLLAMA)
    with pytest.raises(Unsupported, match="token ids"):
        completion_body(Request(prompt=[1, 2]), "m", TGI)
    assert completion_body(Request(prompt="a"), "m", TGI)["prompt"] == "a"


# Requests go out as they were given.

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(codec="utf-8"), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
schemas = st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=6), json_values, max_size=4).map(
    lambda more: {
        "type": "object",
        "properties": {"x": {"type": ["string", "null"], "default": None, "examples": [None]}},
        **{k: v for k, v in more.items() if k not in ("type", "properties", "$defs", "definitions")},
    }
)


@given(schema=schemas, extra=json_values, dialect=st.sampled_from([*DIALECTS.values()]))
def test_schemas_nulls_and_their_order_arrive_as_given(schema: dict[str, Any], extra: Any, dialect: Dialect) -> None:
    before = copy.deepcopy(schema)
    tool = Tool("f", "d", schema)
    request = Request(
        [User("hi"), Assistant(ToolCall("abcdefghi", "f", {"x": None}))], tools=[tool], extra={"own": extra}
    )
    sent = encoded(chat_body(request, "m", dialect)).decode()
    arrived = json.loads(sent)
    assert json.dumps(arrived["tools"][0]["function"]["parameters"]) == json.dumps(schema)
    assert arrived["messages"][1]["content"] is None
    assert json.loads(arrived["messages"][1]["tool_calls"][0]["function"]["arguments"]) == {"x": None}
    assert json.dumps(arrived["own"]) == json.dumps(extra)
    assert list(arrived)[-1] == "own"
    assert schema == before == tool.parameters


# When a server's kind has to be known.

decodings = st.none() | st.builds(
    Sampling,
    temperature=st.none() | st.just(0.5),
    top_k=st.sampled_from([None, 0, 5]),
    min_p=st.sampled_from([None, 0.1]),
    seed=st.sampled_from([None, 1]),
    typical_p=st.sampled_from([None, 0.5]),
    repetition_penalty=st.sampled_from([None, 1.1]),
    presence_penalty=st.sampled_from([None, 0.1]),
    frequency_penalty=st.sampled_from([None, 0.1]),
    logit_bias=st.sampled_from([None, {1: 1.0}]),
    min_tokens=st.sampled_from([None, 2]),
    banned=st.sampled_from([(), ("x",)]),
)
histories = st.lists(
    st.sampled_from(
        [
            User("hi"),
            User("see", Image(Url("https://x.test/a.png"))),
            User("see", Image(Url("data:image/png;base64,AA=="))),
            Assistant(Text("a")),
            Assistant(Reasoning("hm"), "a"),
            Assistant(ToolCall("call_1", "f", {})),
            Assistant(ToolCall("functions.f:0", "f", {})),
            ToolResult("call_1", "f", "1"),
            ToolResult("functions.f:0", "f", "1"),
        ]
    ),
    min_size=1,
    max_size=4,
)
options = st.fixed_dictionaries(
    {},
    optional={
        "decoding": decodings,
        "output": st.just(int),
        "reasoning": st.sampled_from([True, False, "low"]),
        "logprobs": st.sampled_from([0, 5, 6]),
        "parallel_tool_calls": st.booleans(),
        "tool_choice": st.sampled_from(["auto", "none", "required", NamedTool("f")]),
        "max_tokens": st.just(3),
        "stop": st.just("x"),
    },
)


@settings(max_examples=300)
@given(messages=histories, options=options, model=st.sampled_from(["m", "Mistral-7B", "Kimi-K2"]))
def test_a_kind_that_need_not_be_known_makes_no_difference(
    messages: list[Message], options: dict[str, Any], model: str
) -> None:
    request = Request(messages, tools=[TOOL], **options)
    if not depends_on_dialect(request, model):
        bodies = [chat_body(request, model, dialect) for dialect in SELF_HOSTED]
        assert all(made == bodies[0] for made in bodies)


@pytest.mark.parametrize(
    ("options", "depends"),
    [
        ({}, False),
        (
            {"tools": [TOOL], "decoding": Sampling(0.7, top_p=0.9, seed=3, frequency_penalty=0.1), "max_tokens": 5},
            False,
        ),
        ({"messages": [User("a"), Assistant(ToolCall("call_1", "f", {})), ToolResult("call_1", "f", "1")]}, False),
        ({"logprobs": 5}, False),
        ({"decoding": Greedy()}, False),
        ({"output": int}, True),
        ({"decoding": Sampling(top_k=5)}, True),
        ({"messages": EARLIER}, True),
        ({"messages": [User("a"), Assistant(ToolCall("functions.f:0", "f", {}))]}, True),
    ],
)
def test_when_the_kind_has_to_be_known(options: dict[str, Any], depends: bool) -> None:
    messages = options.pop("messages", [User("hi")])
    assert depends_on_dialect(Request(messages, **options), "m") is depends


def test_extra_is_merged_last_and_checked_in_every_dialect() -> None:
    for dialect in DIALECTS.values():
        assert list(body(dialect, extra={"own": None}))[-1] == "own"
        with pytest.raises(InvalidRequest, match="response_format"):
            body(dialect, extra={"response_format": {}})
