"""One agent program, unchanged but for its model: in this process, on Hugging Face's wire, on a server, scripted."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from tests.relay import relay

from ambidex import Agent, AgentResult, Assistant, AsyncAgent, Backend, Greedy, ToolCall, ToolResult, connect, tool
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


@pytest.mark.parametrize("world", ["sync", "async"])
def test_the_same_program_on_every_hand(model: str | Backend, world: str) -> None:
    result = program(model) if world == "sync" else asyncio.run(async_program(model))
    calls = [call for message in result.messages if isinstance(message, Assistant) for call in message.tool_calls]
    results = [message for message in result.messages if isinstance(message, ToolResult)]
    assert [(call.name, dict(call.arguments)) for call in calls] == [("weather", {"city": "Paris"})]
    assert [(returned.text, returned.is_error) for returned in results] == [(REPORT, False)]
    assert results[0].call_id == calls[0].id
    assert REPORT in result.answer
    assert len(result.steps) == 2
