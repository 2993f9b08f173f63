"""`Request` checks every option when it is made."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from ambidex import Agent, Chat, Greedy, NamedTool, Request, Special, Tool, User
from ambidex.errors import InvalidRequest
from ambidex.testing import ScriptedBackend

HELLO = [User("hello")]


def add(a: int, b: int) -> int:
    """Adds."""
    return a + b


def test_a_function_becomes_a_tool_and_one_stop_a_tuple() -> None:
    request = Request(HELLO, tools=[add], stop="\n", tool_choice=NamedTool("add"))
    assert [tool.name for tool in request.tool_list] == ["add"]
    assert request.stops == ("\n",)
    assert request.messages == (User("hello"),)


def test_a_request_is_a_value() -> None:
    assert Request(HELLO, stop=["a"]) == Request(HELLO, stop=("a",))
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(Request(HELLO), "n", 2)  # noqa: B010  # a type checker knows as well
    request = Request(HELLO, tools=[add], decoding=Greedy(), logprobs=0, timeout=1.5, extra={"a": 1})
    assert dataclasses.replace(request, n=2).tool_list == request.tool_list


def test_no_stop_may_be_said_as_openai_says_it() -> None:
    assert Request(HELLO, stop=None) == Request(HELLO)
    chat = Chat(ScriptedBackend(["One two.", "One two.", "One two."]), stop=None)
    assert [chat.ask("Count.").text, chat.ask("Count.", stop="two").text] == ["One two.", "One "]
    chat = Chat(ScriptedBackend(["One two."]), stop="two")
    assert chat.ask("Count.", stop=None).text == "One two."
    assert Agent(ScriptedBackend(["One two."]), tools=[], stop=None).run("Count.").answer == "One two."


def test_a_raw_prompt_may_mix_texts_ids_and_control_tokens() -> None:
    prompt = Request(prompt=[Special("<|im_start|>"), "user", 13]).raw_prompt
    assert prompt == (Special("<|im_start|>"), "user", 13)
    assert Request(prompt="<|im_start|>").raw_prompt == "<|im_start|>"


def test_a_timeout_is_always_finite() -> None:
    assert 0 < Request(HELLO).seconds < float("inf")
    assert Request(HELLO, timeout=2).seconds == 2


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "exactly one of messages and prompt, got neither"),
        ({"messages": HELLO, "prompt": "a"}, "got both"),
        ({"messages": "hello"}, "got a str"),
        ({"messages": [{"role": "user", "content": "a"}]}, "from_openai"),
        ({"prompt": ""}, "prompt is empty"),
        ({"prompt": []}, "prompt is empty"),
        ({"prompt": [-1]}, "token ids >= 0"),
        ({"prompt": [True]}, "token ids"),
        ({"prompt": b"a"}, "got bytes"),
        ({"tools": add}, "tools takes a sequence"),
        ({"tools": [add, add]}, "named 'add'"),
        ({"tool_choice": "add"}, "NamedTool"),
        ({"tool_choice": NamedTool("sub"), "tools": [add]}, "'sub'.*add"),
        ({"tool_choice": NamedTool("sub")}, "none given"),
        ({"tool_choice": "required"}, "needs tools"),
        ({"parallel_tool_calls": 1}, "parallel_tool_calls"),
        ({"reasoning": "huge"}, "'low', 'medium', 'high'"),
        ({"reasoning": 1}, "reasoning"),
        ({"decoding": "greedy"}, r"Greedy\(\.\.\.\)"),
        ({"decoding": {"temperature": 1}}, "decoding"),
        ({"stop": ""}, "stop"),
        ({"stop": ["a", 1]}, "stop"),
        ({"stop": 5}, "stop takes one non-empty text or several"),
        ({"stop": b"a"}, "stop"),
        ({"max_tokens": 0}, "max_tokens must be at least 1"),
        ({"max_tokens": "10"}, "max_tokens"),
        ({"logprobs": 21}, "at most 20"),
        ({"logprobs": True}, "logprobs"),
        ({"n": 0}, "n must be at least 1"),
        ({"n": None}, "n takes a whole number"),
        ({"timeout": 0}, "timeout must be more than 0"),
        ({"timeout": float("inf")}, "timeout"),
        ({"trace": "yes"}, "trace"),
        ({"extra": []}, "extra takes a mapping"),
        ({"temperature": 1}, "Request has no option 'temperature'"),
        ({"max_token": 1}, "Did you mean 'max_tokens'"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], says: str) -> None:
    given: dict[str, Any] = {"messages": HELLO, **options}
    if {"messages", "prompt"} & options.keys() or not options:
        given = options
    with pytest.raises(InvalidRequest, match=says):
        Request(**given)


def test_too_many_positions_are_our_error_too() -> None:
    loose: Any = Request
    with pytest.raises(InvalidRequest, match="too many positional"):
        loose(HELLO, "prompt")


def test_a_declared_tool_needs_no_function() -> None:
    tool: Tool[..., Any] = Tool("look", "Looks.", {"type": "object", "properties": {}})
    assert Request(HELLO, tools=[tool], tool_choice="required").tool_list == (tool,)
