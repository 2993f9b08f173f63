"""What a chat's options come to on local models: an answer that is gone on with, and whether calls may be made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.backends.local.conftest import CHATML, save_model
from tests.dressed import TEMPLATES, Dressed

from ambidex import (
    Assistant,
    Chat,
    Greedy,
    InvalidToolCall,
    Message,
    NamedTool,
    Reply,
    Request,
    Sampling,
    ToolCall,
    ToolResult,
    User,
    collect,
    tool,
)
from ambidex_backends.local import LocalBackend


@tool
def weather(city: str) -> str:
    """The weather in a city today."""
    return "rain"


@pytest.fixture(scope="module")
def pocket() -> Iterator[LocalBackend]:
    backend = LocalBackend("pocket", device="cpu")
    yield backend
    backend.close()


def prompt_text(backend: LocalBackend, request: Request) -> str:
    return backend.tokenizer.decode(backend._runtime.prompt(request).ids, skip_special=False)


# -- going on


def test_an_answer_is_gone_on_with_in_its_own_turn(pocket: LocalBackend) -> None:
    asked = User("Where is Paris?")
    begun = prompt_text(pocket, Request([asked, Assistant("It is in ")]))
    assert begun == prompt_text(pocket, Request([asked])) + "It is in "
    chat = Chat(pocket, max_tokens=4, decoding=Greedy())
    chat.append(asked)
    chat.append(Assistant("It is in "))
    reply = chat.ask()
    assert chat.messages == (asked, Assistant("It is in " + reply.text))


def test_an_answer_that_was_whole_stays_as_it_was(pocket: LocalBackend) -> None:
    chat = Chat(pocket, decoding=Greedy())
    whole = chat.ask("Hello!")
    assert whole.finish_reason == "stop"
    assert chat.ask().text == ""
    assert chat.messages[-1] == whole.message


def test_an_answer_cut_off_goes_on_as_if_it_were_not(pocket: LocalBackend) -> None:
    whole = Chat(pocket, decoding=Greedy()).ask("Hello!").text
    chat = Chat(pocket, decoding=Greedy())
    chat.ask("Hello!", max_tokens=3)
    for _ in range(40):
        if chat.ask(max_tokens=3).finish_reason == "stop":
            break
    assert chat.messages[-1].text == whole
    assert len(chat.messages) == 2


# -- whether calls may be made

CALL = ToolCall("a1b2c3d4e", "weather", {"city": "Paris"})


def asked(backend: Any, **options: Any) -> Reply[Any]:
    return collect(backend.stream(Request([User("What is the weather in Paris?")], tools=[weather], **options)))


@pytest.mark.parametrize("family", ["hermes", "llama3_json", "mistral_v11", "gemma4"])
def test_where_no_call_is_to_be_made_none_is(family: str, shared: Path, tmp_path: Path) -> None:
    source = (shared / "data" / "chat_templates" / f"{TEMPLATES[family]}.jinja").read_text(encoding="utf-8")
    dressed = Dressed(tmp_path, source, lambda request: Assistant(CALL))
    assert asked(dressed).tool_calls
    reply = asked(dressed, tool_choice="none")
    assert not reply.tool_calls
    assert reply.finish_reason != "tool_calls"
    for call in reply.message.invalid_calls:
        assert "tool_choice" in call.problem
    dressed.close()


def test_without_the_token_that_begins_calls(pocket: LocalBackend) -> None:
    for seed in range(3):
        reply = asked(pocket, tool_choice="none", decoding=Sampling(temperature=1.0, seed=seed), max_tokens=40)
        assert not [part for part in reply.message.parts if isinstance(part, (ToolCall, InvalidToolCall))]


def test_no_tool_is_offered_where_none_may_be_called(pocket: LocalBackend) -> None:
    history: list[Message] = [
        User("Paris?"),
        Assistant(CALL),
        ToolResult(CALL.id, "weather", "rain"),
        Assistant("Rain."),
        User("So?"),
    ]
    told = prompt_text(pocket, Request(history, tools=[weather], tool_choice="none"))
    assert "today" not in told
    assert "rain" in told


def test_a_template_is_told_that_a_call_must_be_made(tmp_path: Path) -> None:
    folder = save_model(
        tmp_path, "llama", {}, chat_template="{{ tool_choice|default('free') }}{{ tools[0].function.name }}" + CHATML
    )
    backend = LocalBackend(str(folder), device="cpu", dtype="float32")
    told: list[tuple[Any, str]] = [("required", "required"), (NamedTool("weather"), "required"), ("auto", "free")]
    for choice, word in told:
        request = Request([User("a")], tools=[weather], tool_choice=choice)
        assert prompt_text(backend, request).startswith(f"{word}weather")
    backend.close()
