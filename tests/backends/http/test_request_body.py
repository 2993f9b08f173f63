"""A request as the body that is sent: faithful, complete, and refused where the wire has no place for something."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pytest

from ambidex.decoding import Beams, Decoding, Greedy, Sampling
from ambidex.errors import InvalidRequest, Unsupported
from ambidex.messages import Assistant, Message, Reasoning, System, ToolCall, ToolResult, User
from ambidex.request import NamedTool, Request, Special
from ambidex.tools import Tool
from ambidex_backends.http.dialect import OPENAI, ROUTER, VLLM, Dialect
from ambidex_backends.http.request_body import chat_body, completion_body, encoded
from ambidex_backends.http.tool_names import ToolNames, to_wire

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": ["string", "null"], "default": None}, "n": {"$ref": "#/$defs/n"}},
    "$defs": {"n": {"type": "integer", "title": "N"}},
    "additionalProperties": False,
}
WEATHER = Tool("weather", "Forecast.", SCHEMA)


def body(dialect: Dialect = VLLM, **options: Any) -> dict[str, Any]:
    made = chat_body(Request([User("hi")], **options), "org/m", dialect)
    return json.loads(encoded(made))  # type: ignore[no-any-return]  # an object, by what encoded() is given


def test_the_smallest_body_has_the_model_first() -> None:
    assert encoded(chat_body(Request([User("hé")]), "org/m", VLLM)).decode().startswith('{"model":"org/m","messages":[')
    assert body() == {
        "model": "org/m",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_schemas_are_sent_as_they_are() -> None:
    before = copy.deepcopy(SCHEMA)
    sent = body(tools=[WEATHER])["tools"]
    assert sent == [
        {"type": "function", "function": {"name": "weather", "description": "Forecast.", "parameters": SCHEMA}}
    ]
    assert before == SCHEMA


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("none", "none"),
        ("required", "required"),
        (NamedTool("weather"), {"type": "function", "function": {"name": "weather"}}),
    ],
)
def test_tool_choice(choice: Any, sent: Any) -> None:
    made = body(tools=[WEATHER], tool_choice=choice, parallel_tool_calls=False)
    assert made["tool_choice"] == sent
    assert made["parallel_tool_calls"] is False
    assert "tool_choice" not in body(tools=[WEATHER])


@pytest.mark.parametrize("name", ["a.b", "wetter in Köln?", "x" * 100, "工具", "-ok_1"])
def test_names_are_legal_on_the_wire_everywhere_and_come_back(name: str) -> None:
    odd = Tool(name, "d", {"type": "object", "properties": {}})
    history: list[Message] = [User("hi"), Assistant(ToolCall("1", name, {})), ToolResult("1", name, "ok")]
    made = chat_body(Request(history, tools=[odd], tool_choice=NamedTool(name)), "m", VLLM)
    legal = made["tools"][0]["function"]["name"]
    assert legal.replace("-", "_").replace("_", "a").isalnum()
    assert legal.isascii()
    assert len(legal) <= 64
    assert made["tool_choice"]["function"]["name"] == legal
    assert made["messages"][1]["tool_calls"][0]["function"]["name"] == legal
    assert made["messages"][2]["name"] == legal
    assert ToolNames((name,)).original(legal) == name


def test_names_that_look_alike_stay_apart() -> None:
    names = ("a.b", "a_b", "a b", "a.b" + "x" * 90, "a.b" + "x" * 91)
    assert len({to_wire(name) for name in names}) == len(names)


@pytest.mark.parametrize(
    ("decoding", "sent"),
    [
        (Greedy(), {"temperature": 0.0}),
        (
            Sampling(0.7, 40, 0.9, min_p=0.05, seed=3, repetition_penalty=1.1, logit_bias={5: -100}),
            {
                "temperature": 0.7,
                "top_k": 40,
                "top_p": 0.9,
                "min_p": 0.05,
                "seed": 3,
                "repetition_penalty": 1.1,
                "logit_bias": {"5": -100},
            },
        ),
        (
            Sampling(frequency_penalty=0.5, presence_penalty=-0.5, min_tokens=3),
            {"frequency_penalty": 0.5, "presence_penalty": -0.5, "min_tokens": 3},
        ),
        (Sampling(), {}),
    ],
)
def test_decoding(decoding: Decoding, sent: dict[str, Any]) -> None:
    assert body(decoding=decoding) == {**body(), **sent}


def test_limits_and_scores() -> None:
    made = body(stop="END", max_tokens=5, logprobs=0)
    assert (made["stop"], made["max_tokens"], made["logprobs"], made["top_logprobs"]) == (["END"], 5, True, 0)
    assert body(OPENAI, max_tokens=5)["max_completion_tokens"] == 5


@pytest.mark.parametrize(
    ("dialect", "reasoning", "sent"),
    [
        (VLLM, True, {"chat_template_kwargs": {"enable_thinking": True}}),
        (VLLM, False, {"chat_template_kwargs": {"enable_thinking": False}}),
        (VLLM, "high", {"reasoning_effort": "high"}),
        (ROUTER, False, {"reasoning_effort": "none"}),
        (OPENAI, True, {"reasoning_effort": "medium"}),
    ],
)
def test_reasoning(dialect: Dialect, reasoning: Any, sent: dict[str, Any]) -> None:
    assert body(dialect, reasoning=reasoning) == {**body(dialect), **sent}


def test_earlier_reasoning_is_sent_back_where_the_dialect_has_a_field() -> None:
    request = Request([User("hi"), Assistant(Reasoning("hm"), "yes"), User("more")])
    assert chat_body(request, "m", VLLM)["messages"][1]["reasoning_content"] == "hm"
    assert chat_body(request, "m", ROUTER)["messages"][1] == {"role": "assistant", "content": "yes"}


@dataclass
class City:
    name: str
    people: int | None = None


def test_output_is_a_json_schema() -> None:
    sent = body(output=City)["response_format"]
    assert sent["type"] == "json_schema"
    schema = sent["json_schema"]["schema"]
    assert schema["required"] == ["name"]
    assert schema["properties"]["people"]["default"] is None
    with pytest.raises(InvalidRequest, match="output"):
        body(output=object())


@pytest.mark.parametrize(
    "options",
    [
        {"decoding": Beams(2)},
        {"decoding": Greedy(processors=(lambda logits, seen: logits,))},
        {"decoding": Greedy(banned=("x",))},
        {"decoding": Greedy(no_repeat_ngram=2)},
        {"decoding": Greedy(contrast=0.5)},
        {"decoding": Sampling(typical_p=0.5)},
        {"trace": True},
        {"n": 2},
    ],
)
@pytest.mark.parametrize("make", [chat_body, completion_body])
def test_what_the_wire_does_not_have_is_unsupported(options: dict[str, Any], make: Any) -> None:
    given: dict[str, Any] = {"messages": [User("hi")]} if make is chat_body else {"prompt": "hi"}
    with pytest.raises(Unsupported) as caught:
        make(Request(**given, **options), "m", VLLM)
    assert caught.value.status is None
    fields = {"processors", "banned", "no_repeat_ngram", "contrast", "typical_p"}
    assert caught.value.param in {"decoding", "trace", "n", *fields}


@pytest.mark.parametrize(
    ("name", "decoding"),
    [
        ("top_k", Sampling(top_k=1)),
        ("min_p", Sampling(min_p=1)),
        ("repetition_penalty", Greedy(repetition_penalty=1)),
        ("min_tokens", Greedy(min_tokens=1)),
    ],
)
def test_openais_dialect_has_its_own_fields_only(name: str, decoding: Decoding) -> None:
    with pytest.raises(Unsupported, match=name) as caught:
        body(OPENAI, decoding=decoding)
    assert caught.value.param == name
    assert body(OPENAI, extra={name: 1})[name] == 1


def test_extra_is_merged_last_and_never_overrides() -> None:
    made = body(extra={"cache_salt": "x", "nested": {"a": None}})
    assert list(made)[-2:] == ["cache_salt", "nested"]
    assert made["nested"] == {"a": None}
    for clash in ("model", "messages", "stream", "temperature", "tools", "n", "max_tokens", "response_format"):
        with pytest.raises(InvalidRequest, match=clash):
            body(extra={clash: 1})
    with pytest.raises(InvalidRequest):
        body(reasoning=True, extra={"chat_template_kwargs": {}})


def test_what_json_cannot_hold_is_refused() -> None:
    for value in (float("nan"), {1, 2}, object(), "\ud800"):
        with pytest.raises(InvalidRequest):
            body(extra={"x": value})
    assert body(extra={"x": MappingProxyType({"a": 1})})["x"] == {"a": 1}


def test_raw_prompts() -> None:
    made = completion_body(Request(prompt="Once", max_tokens=3, stop="\n", logprobs=2), "m", VLLM)
    assert (made["prompt"], made["max_tokens"], made["stop"], made["logprobs"]) == ("Once", 3, ["\n"], 2)
    assert completion_body(Request(prompt=[1, 2]), "m", VLLM)["prompt"] == [1, 2]
    assert completion_body(Request(prompt=[Special("<s>"), "a"]), "m", VLLM)["prompt"] == "<s>a"
    with pytest.raises(Unsupported):
        completion_body(Request(prompt=[1, "a"]), "m", VLLM)


@pytest.mark.parametrize("options", [{"tools": [WEATHER]}, {"output": City}, {"reasoning": True}])
def test_raw_prompts_have_no_chat_options(options: dict[str, Any]) -> None:
    with pytest.raises(Unsupported):
        completion_body(Request(prompt="a", **options), "m", VLLM)


def test_system_messages_and_tool_turns() -> None:
    request = Request(
        [System("be"), User("hi"), Assistant(ToolCall("1", "f", {"x": 1})), ToolResult("1", "f", "bad", is_error=True)]
    )
    assert chat_body(request, "m", VLLM)["messages"] == [
        {"role": "system", "content": "be"},
        {"role": "user", "content": "hi"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}],
        },
        {"role": "tool", "tool_call_id": "1", "name": "f", "content": "Error: bad"},
    ]
