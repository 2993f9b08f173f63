"""Ids of calls on their way to each target: legal there, apart from each other, with their results."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ambidex.messages import Assistant, Message, ToolCall, ToolResult, User
from ambidex_backends.http.call_ids import LEGAL, CallIds
from ambidex_backends.http.dialect import OPENAI, ROUTER, VLLM, Dialect
from ambidex_backends.http.model_family import OTHERS, family_of
from ambidex_backends.http.wire_messages import wire_messages

TARGETS: list[tuple[str, Dialect, str]] = [
    ("mistralai/Mistral-Small-3.2-24B-Instruct-2506", ROUTER, r"[a-zA-Z0-9]{9}"),
    ("gpt-5", OPENAI, r"[a-zA-Z0-9_-]{1,40}"),
    ("moonshotai/Kimi-K2-Thinking:groq", ROUTER, r"functions\.[a-zA-Z0-9_-]{1,64}:\d+"),
    ("Qwen/Qwen3-8B", VLLM, r"[^\s\"']{1,128}"),
]

ids = st.sampled_from(
    ["functions.f:0", "functions.g:1", "call_0", "call_1", "chatcmpl-tool-0f3a", "abcdefghi", "a" * 60, "ü|<x>", "1"]
) | st.text(min_size=1, max_size=50)
names = st.sampled_from(["f", "g", "weather.today in °C"])
turns = st.lists(st.lists(st.tuples(ids, names), min_size=1, max_size=3), max_size=5)


def history(calls: list[list[tuple[str, str]]]) -> list[Message]:
    """One answer with calls and its results per turn; the results say which call they belong to."""
    messages: list[Message] = [User("hi")]
    for turn, made in enumerate(calls):
        messages.append(Assistant(*(ToolCall(call_id, name, {}) for call_id, name in made)))
        messages += [
            ToolResult(call_id, name, f"{turn}.{place}") for place, (call_id, name) in enumerate(made) if call_id
        ]
    return messages


def pairs(items: list[dict[str, Any]]) -> list[tuple[str, list[str]]]:
    """Each call's id, and what its results say, in a history made by `history`."""
    answers: list[tuple[str, list[str]]] = []
    for item in items:
        for call in item.get("tool_calls", ()):
            answers.append((call["id"], []))
        if item["role"] == "tool":
            next(said for call_id, said in reversed(answers) if call_id == item["tool_call_id"]).append(item["content"])
    return answers


@pytest.mark.parametrize(("model", "dialect", "pattern"), TARGETS)
@given(calls=turns)
def test_every_call_has_a_legal_id_of_its_own_and_keeps_its_result(
    model: str, dialect: Dialect, pattern: str, calls: list[list[tuple[str, str]]]
) -> None:
    messages = history(calls)
    sent = wire_messages(messages, model, dialect)
    found = pairs(sent)
    assert all(re.fullmatch(pattern, call_id) for call_id, _ in found)
    assert len({call_id for call_id, _ in found}) == len(found)
    expected = [[f"{turn}.{place}"] for turn, made in enumerate(calls) for place in range(len(made))]
    assert [said for _, said in found] == expected
    assert messages == history(calls)  # the conversation keeps the ids that it has


@pytest.mark.parametrize(("model", "dialect", "pattern"), TARGETS)
@given(calls=turns, more=turns)
def test_ids_stay_as_the_history_grows(
    model: str, dialect: Dialect, pattern: str, calls: list[list[tuple[str, str]]], more: list[list[tuple[str, str]]]
) -> None:
    short, long = wire_messages(history(calls), model, dialect), wire_messages(history(calls + more), model, dialect)
    assert long[: len(short)] == short


@pytest.mark.parametrize(("model", "dialect", "pattern"), TARGETS)
@given(data=st.data())
def test_legal_ids_that_differ_stay_as_they_are(
    model: str, dialect: Dialect, pattern: str, data: st.DataObject
) -> None:
    form = family_of(model).call_ids or dialect.call_ids
    given_ids = data.draw(st.lists(st.from_regex(LEGAL[form], fullmatch=True), unique=True, max_size=4))
    names_of = [call_id[len("functions.") :].partition(":")[0] if form == "kimi" else "f" for call_id in given_ids]
    made = [list(zip(given_ids, names_of, strict=True))] if given_ids else []
    assert [call_id for call_id, _ in pairs(wire_messages(history(made), model, dialect))] == given_ids


def test_kimis_ids_count_through_the_conversation_and_name_the_tool_of_the_wire() -> None:
    calls = [[("call_a", "f"), ("call_b", "weather.today")], [("functions.f:0", "f")]]
    sent = wire_messages(history(calls), "moonshotai/Kimi-K2-Instruct", ROUTER)
    first, second, third = (call_id for call_id, _ in pairs(sent))
    assert first == "functions.f:0"
    assert re.fullmatch(r"functions\.weather_today_[0-9a-f]{8}:1", second)
    assert third == "functions.f:2"


def test_a_result_without_its_call_has_a_legal_id_too() -> None:
    ids_of = CallIds("nine")
    assert re.fullmatch("[0-9a-f]{9}", ids_of.result("call_gone", "f"))


@pytest.mark.parametrize(
    ("model", "form"),
    [
        ("mistralai/Mixtral-8x7B-Instruct-v0.1:cheapest", "nine"),
        ("Devstral-Small-2507", "nine"),
        ("moonshotai/Kimi-K2-Instruct-0905", "kimi"),
        ("moonshotai/Kimi-Dev-72B", None),
        ("Qwen/Qwen3-32B", None),
    ],
)
def test_families_by_name(model: str, form: str | None) -> None:
    assert family_of(model).call_ids == form


def test_who_wants_its_reasoning_back() -> None:
    wanting = ["deepseek-ai/DeepSeek-V3.2", "MiniMaxAI/MiniMax-M2", "zai-org/GLM-4.6:novita", "moonshotai/Kimi-K2.5"]
    assert all(family_of(model).wants_reasoning for model in wanting)
    assert not family_of("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B").wants_reasoning
    assert family_of("openai/gpt-oss-120b") is OTHERS
