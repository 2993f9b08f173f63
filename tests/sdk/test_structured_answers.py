"""`output=` in chats, agents and prompts: a value of the type, or `OutputInvalid` with what was wrong."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
from tests.sdk.agent_twin import Twin, add, call, results

from ambidex import Agent, AgentResult, Assistant, AsyncChat, Chat, Reply, User, prompted
from ambidex.errors import InvalidRequest, LimitReached, OutputInvalid
from ambidex.testing import ScriptedBackend


@dataclass
class City:
    name: str
    people: int


PARIS = '{"name": "Paris", "people": 2000000}'


def test_ask_gives_the_value() -> None:
    backend = ScriptedBackend([PARIS, "plain"])
    chat = Chat(backend)
    reply: Reply[City] = chat.ask("Where?", output=City)
    assert reply.value == City("Paris", 2_000_000)
    assert reply.text == PARIS
    assert backend.requests[0].output is City
    plain: Reply[None] = chat.ask("And?")
    assert plain.value is None
    assert backend.requests[1].output is None


def test_the_async_twin_gives_the_same() -> None:
    async def ask() -> tuple[Reply[City], City]:
        chat = AsyncChat(ScriptedBackend([PARIS, PARIS]))
        reply = await chat.ask("Where?", output=City)
        stream = chat.stream("And?", output=City)
        async for _ in stream:
            pass
        return reply, stream.reply.value

    reply, streamed = asyncio.run(ask())
    assert reply.value == streamed == City("Paris", 2_000_000)


def test_an_answer_that_does_not_fit_is_an_error_with_the_whole_answer() -> None:
    seen: list[Any] = []
    chat = Chat(ScriptedBackend(['{"name": "Paris"}', PARIS]), observe=seen.append)
    with pytest.raises(OutputInvalid) as caught:
        chat.ask("Where?", output=City)
    assert any("people" in problem for problem in caught.value.problems)
    assert caught.value.partial is not None
    assert (caught.value.partial.text, caught.value.partial.finish_reason) == ('{"name": "Paris"}', "stop")
    assert caught.value.partial.usage.output_tokens is not None
    assert seen[-1] is caught.value
    assert chat.messages == ()
    assert chat.ask("Where?", output=City).value.name == "Paris"


def test_an_answer_cut_off_says_so() -> None:
    with pytest.raises(OutputInvalid, match="cut off at max_tokens"):
        Chat(ScriptedBackend([PARIS]), max_tokens=2).ask("Where?", output=City)


def test_an_answer_that_calls_a_tool_has_no_value_yet() -> None:
    chat = Chat(ScriptedBackend([Assistant("Let me see.", call("add", a=1, b=2)), PARIS]), tools=[add])
    assert chat.ask("Where?", output=City).value is None
    assert len(chat.messages) == 2


def test_a_type_without_a_schema_is_refused_before_anything_is_sent() -> None:
    class Odd:
        pass

    backend = ScriptedBackend([PARIS])
    with pytest.raises(InvalidRequest, match="schema"):
        Chat(backend).ask("Where?", output=Odd)
    with pytest.raises(InvalidRequest, match="schema"):
        Agent(backend, tools=[], output=Odd)
    assert backend.requests == []


def test_a_cancelled_answer_is_not_validated() -> None:
    stream = Chat(ScriptedBackend([PARIS])).stream("Where?", output=City)
    next(stream)
    stream.cancel()
    list(stream)
    assert stream.reply.finish_reason == "cancelled"


# -- agents


def test_an_agent_s_last_answer_is_the_value(twin: Twin) -> None:
    backend = ScriptedBackend([call("add", a=1, b=2), PARIS])
    result = twin.run(backend, tools=[add], output=City)
    assert result.value == City("Paris", 2_000_000)
    assert result.answer == PARIS
    assert results(result.messages)[0].text == "3"
    typed: AgentResult[City] = Agent(ScriptedBackend([PARIS]), tools=[], output=City).run("go")
    assert typed.value.name == "Paris"


def test_an_answer_that_does_not_fit_is_sent_back_with_its_problems(twin: Twin) -> None:
    backend = ScriptedBackend(["Paris!", '{"name": "Paris"}', PARIS])
    result = twin.run(backend, output=City)
    assert result.value == City("Paris", 2_000_000)
    corrections = [message.text for message in result.messages[1:] if isinstance(message, User)]
    assert len(corrections) == 2
    assert "people" in corrections[1]
    assert [step.reply.value for step in result.steps] == [None, None, result.value]


def test_not_for_ever(twin: Twin) -> None:
    backend = ScriptedBackend(lambda request: "Paris!")
    with pytest.raises(OutputInvalid):
        twin.run(backend, output=City)
    assert len(backend.requests) == 3
    with pytest.raises(LimitReached):
        twin.run(backend, output=City, max_steps=2)


# -- prompts


@prompted
def locate(hint: str) -> City:
    """Which city? {{ hint }}"""
    raise AssertionError("never runs")


def test_a_prompted_function_returns_its_return_type() -> None:
    backend = ScriptedBackend([PARIS, PARIS])
    city: City = locate.ask(backend, "The one with the tower.")
    assert city == City("Paris", 2_000_000)
    assert asyncio.run(locate.ask_async(backend, "The one with the tower.")) == city
    assert backend.requests[0].output is City
