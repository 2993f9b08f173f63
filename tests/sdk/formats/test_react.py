"""ReAct's actions as objects, which LangChain's prompts ask for: however they are fenced and cut."""

from __future__ import annotations

import json
import random

import pytest

from ambidex import formats, tool

from .reading import cut, merged, read


@tool
def search(query: str, limit: int = 1) -> str:
    """Searches."""
    return ""


def written(action: object, given: object, *, indent: int | None = None) -> str:
    return json.dumps({"action": action, "action_input": given}, indent=indent)


@pytest.mark.parametrize("fence", ["{}", "```json\n{}\n```", "```\n{}\n```", "\n{}\n"])
@pytest.mark.parametrize("indent", [None, 2])
def test_an_object_with_action_and_input_is_a_call(fence: str, indent: int | None) -> None:
    arguments = {"query": "Thought: {x}\nAction: y", "limit": 2}
    text = f"Thought: I look.\nAction:\n{fence.replace('{}', written('search', arguments, indent=indent))}"
    answer = formats.parse("react", text, [search])
    (call,) = answer.tool_calls
    assert (call.name, dict(call.arguments), call.repaired) == ("search", arguments, False)
    assert answer.reasoning == "I look."
    assert not answer.text.strip()


def test_a_text_is_the_one_argument_that_is_required() -> None:
    (call,) = formats.parse("react", f"Action: {written('search', 'cats')}", [search]).tool_calls
    assert (dict(call.arguments), call.repaired) == ({"query": "cats"}, True)


def test_the_final_answer_is_text() -> None:
    answer = formats.parse(
        "react", f"Thought: done\nAction:\n```\n{written('Final Answer', 'It is 5.')}\n```", [search]
    )
    assert (answer.text, answer.reasoning, answer.tool_calls) == ("It is 5.", "done", ())


@pytest.mark.parametrize(
    "text",
    [
        'Action: {"action": "search", "action_input": {"query": "x"',
        'Action: {"action": 5, "action_input": {}}',
        'Action: {"query": "x"}',
        "Action: search {\n",
        f"Action: {written('search', [1])}",
    ],
)
def test_half_of_one_is_no_call(text: str) -> None:
    answer = formats.parse("react", text)
    assert not answer.tool_calls
    (call,) = answer.invalid_calls
    assert call.raw == text


def test_however_it_is_cut() -> None:
    draw = random.Random(0)
    text = f"Thought: I look.\nAction:\n```json\n{written('search', {'query': 'x'}, indent=1)}\n```\nObservation: 5"
    whole = merged(read([text], [search], family="react"))
    assert merged(read(text, [search], family="react")) == whole
    for _ in range(50):
        pieces = cut(text, [draw.randrange(len(text)) for _ in range(5)])
        assert merged(read(pieces, [search], family="react")) == whole
