"""One agent program, unchanged but for its model: in this process, on Hugging Face's wire, on a server, scripted."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.dressed import TEMPLATES, Dressed
from tests.relay import relay

from ambidex import (
    Agent,
    AgentResult,
    Assistant,
    AsyncAgent,
    Backend,
    Greedy,
    Request,
    ToolCall,
    ToolResult,
    connect,
    tool,
)
from ambidex.testing import ScriptedBackend

TASK = "What is the weather in Paris?"
REPORT = "18 degrees and rain"


@tool
def weather(city: str) -> str:
    """The weather in a city today."""
    return REPORT


def program(model: str | Backend) -> AgentResult[None]:
    with Agent(model, tools=[weather], decoding=Greedy(), max_steps=4) as agent:
        return agent.run(TASK)


async def async_program(model: str | Backend) -> AgentResult[None]:
    async with AsyncAgent(model, tools=[weather], decoding=Greedy(), max_steps=4) as agent:
        return await agent.run(TASK)


@pytest.fixture(scope="module")
def pocket_server() -> Iterator[str]:
    """Pocket behind a socket; the base URL."""
    backend = connect("local:pocket", device="cpu")
    with relay(backend, model="some-org/pocket") as url:
        yield url
    backend.close()


@pytest.fixture(params=["local", "hf", "http", "scripted"])
def model(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str | Backend:
    match request.param:
        case "local":
            return "local:pocket"
        case "hf":
            monkeypatch.setenv("AMBIDEX_HF_BASE_URL", request.getfixturevalue("pocket_server"))
            monkeypatch.setenv("HF_TOKEN", "hf_of_the_test")
            return "hf:some-org/pocket:cheapest"
        case "http":
            return f"{request.getfixturevalue('pocket_server')}#some-org/pocket"
        case _:
            call = ToolCall("call_1", "weather", {"city": "Paris"})
            return ScriptedBackend([Assistant(call), f"It is {REPORT} in Paris."])


def check(result: AgentResult[None]) -> None:
    calls = [call for message in result.messages if isinstance(message, Assistant) for call in message.tool_calls]
    results = [message for message in result.messages if isinstance(message, ToolResult)]
    assert [(call.name, dict(call.arguments)) for call in calls] == [("weather", {"city": "Paris"})]
    assert not calls[0].repaired
    assert [(returned.text, returned.is_error) for returned in results] == [(REPORT, False)]
    assert results[0].call_id == calls[0].id
    assert REPORT in result.answer
    assert len(result.steps) == 2


@pytest.mark.parametrize("world", ["sync", "async"])
def test_the_same_program_on_every_hand(model: str | Backend, world: str) -> None:
    check(program(model) if world == "sync" else asyncio.run(async_program(model)))


def script(request: Request) -> Assistant:
    """Calls, then tells what the call returned."""
    if isinstance(request.messages[-1], ToolResult):
        return Assistant(f"It is {request.messages[-1].text} in Paris.")
    return Assistant(ToolCall("a1b2c3d4e", "weather", {"city": "Paris"}))


SOME = (
    "qwen3_coder",
    "llama3_json",
    "mistral_v11",
    "deepseek_v31",
    "gpt_oss",
    "glm45",
    "kimi_k2",
    "minimax_m2",
    "gemma4",
)


@pytest.mark.parametrize(
    "family",
    [name if name in SOME else pytest.param(name, marks=pytest.mark.nightly) for name in TEMPLATES],
)
def test_the_same_program_in_the_templates_of_many_families(family: str, shared: Path, tmp_path: Path) -> None:
    """Local models that say calls as each family's template writes them, held to its grammar."""
    source = (shared / "data" / "chat_templates" / f"{TEMPLATES[family]}.jinja").read_text(encoding="utf-8")
    dressed = Dressed(tmp_path, source, script)
    assert family.partition(",")[0] in dressed.format.NAMES
    check(program(dressed))
    check(asyncio.run(async_program(dressed)))
    assert len(set(dressed.said)) == 2
    dressed.close()
