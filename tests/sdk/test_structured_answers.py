"""`output=` in chats, agents and prompts: a value of the type, or `OutputInvalid` with what was wrong."""

from __future__ import annotations

import asyncio
import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

import pydantic
import pytest
from tests.sdk.agent_twin import Twin, add, call, results
from typing_extensions import TypedDict

from ambidex import (
    Agent,
    AgentResult,
    Assistant,
    AsyncChat,
    Capabilities,
    Chat,
    EventStream,
    Finished,
    Reply,
    Request,
    Restarted,
    TextDelta,
    User,
    ValueDelta,
    acollect,
    collect,
    prompted,
)
from ambidex.errors import InvalidRequest, LimitReached, OutputInvalid, Unsupported
from ambidex.grammar import Regex
from ambidex.output import REFUSED_SCHEMA
from ambidex.stream import AsyncEventStream
from ambidex.structured_answer import StructuredAnswer
from ambidex.testing import ScriptedBackend
from ambidex.testing.scripted import EVERYTHING_BUT_NUMBERS


@dataclass
class City:
    name: str
    people: int


class Town(pydantic.BaseModel):
    name: str
    people: int


class Place(TypedDict):
    city: str


PARIS = '{"name": "Paris", "people": 2000000}'
LACKING = '{"name": "Paris"}'


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
    chat = Chat(ScriptedBackend([LACKING, PARIS]), observe=seen.append, output_tries=1)
    with pytest.raises(OutputInvalid) as caught:
        chat.ask("Where?", output=City)
    assert any("people" in problem for problem in caught.value.problems)
    assert caught.value.partial is not None
    assert (caught.value.partial.text, caught.value.partial.finish_reason) == (LACKING, "stop")
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


# -- tried again, in chats


def streamed(chat: Chat | AsyncChat, **options: Any) -> tuple[list[Any], Reply[Any]]:
    """The events of an answer that is to be a City, and the reply."""
    if isinstance(chat, Chat):
        stream = chat.stream("Where?", output=City, **options)
        return list(stream), stream.reply

    async def read() -> tuple[list[Any], Reply[Any]]:
        stream = chat.stream("Where?", output=City, **options)
        return [event async for event in stream], stream.reply

    return asyncio.run(read())


CHATS = pytest.mark.parametrize("kind", [Chat, AsyncChat])


@CHATS
def test_an_answer_that_does_not_fit_is_asked_for_again(kind: type[Chat] | type[AsyncChat]) -> None:
    backend = ScriptedBackend(["Paris!", LACKING, PARIS, "It is big."])
    seen: list[Any] = []
    chat = kind(backend, observe=seen.append)
    events, reply = streamed(chat)
    assert reply.value == City("Paris", 2_000_000)
    assert reply.text == PARIS
    restarts = [event for event in events if isinstance(event, Restarted)]
    assert len(restarts) == 2
    assert "people" in restarts[1].reason
    assert [message.text for message in chat.messages] == ["Where?", PARIS]
    again = backend.requests[2].messages
    assert [message.text for message in again[:2]] == ["Where?", LACKING]
    assert "people" in again[2].text
    assert '"properties"' in again[2].text
    assert [request for request in seen if isinstance(request, Request)] == backend.requests
    assert reply.usage.output_tokens == sum(
        event.usage.output_tokens or 0
        for text in ("Paris!", LACKING, PARIS)
        for event in ScriptedBackend([text]).stream(Request([User("a")]))
        if isinstance(event, Finished)
    )
    assert isinstance(events[-1], Finished)
    assert sum(isinstance(event, Finished) for event in events) == 1
    text = "".join(event.text for event in events[events.index(restarts[1]) :] if isinstance(event, TextDelta))
    assert text == PARIS


@dataclass
class Even:
    n: int

    def __post_init__(self) -> None:
        if self.n % 2:
            raise LookupError("odd")


def test_what_a_validator_raises_is_asked_again_too() -> None:
    backend = ScriptedBackend(['{"n": 1}', '{"n": 2}'])
    assert Chat(backend).ask("Say 2.", output=Even).value == Even(2)
    assert "LookupError: odd" in backend.requests[1].messages[-1].text


def test_a_text_that_does_not_match_its_pattern_is_no_value() -> None:
    with pytest.raises(OutputInvalid, match="does not match") as caught:
        Chat(ScriptedBackend(["no number"])).ask("A number", output=Regex("[0-9]{3}"))
    assert caught.value.partial is not None
    assert caught.value.partial.text == "no number"


@CHATS
def test_so_many_tries_and_no_more(kind: type[Chat] | type[AsyncChat]) -> None:
    for tries in (1, 2, 4):
        backend = ScriptedBackend(lambda request: "Paris!")
        chat = kind(backend, output_tries=tries)
        with pytest.raises(OutputInvalid):
            streamed(chat)
        assert len(backend.requests) == tries
        assert chat.messages == ()
    with pytest.raises(InvalidRequest, match="output_tries"):
        kind(ScriptedBackend(), output_tries=0)


def test_the_time_of_all_tries_together_is_that_of_the_request() -> None:
    now = [0.0]
    answer = StructuredAnswer(
        Request([User("a")], output=City, timeout=10.0), Capabilities(), tries=5, clock=lambda: now[0]
    )
    now[0] = 8.0
    assert answer.request.timeout == 10.0
    for event in ScriptedBackend([LACKING]).stream(Request([User("a")])):
        answer.take(event)
    assert answer.asks_again
    assert answer.request.timeout == 2.0
    now[0] = 11.0
    *_, end = ScriptedBackend([LACKING]).stream(Request([User("a")]))
    with pytest.raises(OutputInvalid):
        answer.take(end)


def test_what_was_cut_off_is_not_asked_for_again() -> None:
    backend = ScriptedBackend(lambda request: PARIS)
    with pytest.raises(OutputInvalid):
        Chat(backend).ask("Where?", output=City, max_tokens=2)
    assert len(backend.requests) == 1


@CHATS
def test_a_cancel_between_two_tries_ends_the_answer(kind: type[Chat] | type[AsyncChat]) -> None:
    backend = ScriptedBackend(lambda request: LACKING)
    if kind is Chat:
        stream = Chat(backend).stream("Where?", output=City)
        for event in stream:
            if isinstance(event, Restarted):
                stream.cancel()
        reply = stream.reply
    else:

        async def read() -> Reply[Any]:
            stream = AsyncChat(backend).stream("Where?", output=City)
            async for event in stream:
                if isinstance(event, Restarted):
                    stream.cancel()
            return stream.reply

        reply = asyncio.run(read())
    assert reply.finish_reason == "cancelled"
    assert reply.text == ""
    assert len(backend.requests) == 1


# -- in words, where a backend holds no answer to a type

UNHELD = dataclasses.replace(EVERYTHING_BUT_NUMBERS, output=False)


@CHATS
def test_a_backend_that_holds_no_types_is_asked_in_words(kind: type[Chat] | type[AsyncChat]) -> None:
    backend = ScriptedBackend(["```json\n" + PARIS + "\n```"], capabilities=UNHELD)
    chat = kind(backend, system="Be brief.")
    assert streamed(chat)[1].value == City("Paris", 2_000_000)
    (request,) = backend.requests
    assert request.output is None
    assert request.messages[0].text.startswith("Be brief.")
    assert '"properties"' in request.messages[0].text
    assert chat.messages[0].text == "Be brief."


def test_who_refuses_only_when_asked_is_asked_in_words(twin: Twin) -> None:
    """A server says so in its answer; a backend of which nothing is known raises."""

    class Refusing(ScriptedBackend):
        error: Exception = Unsupported("No structured output here.", param="output")

        def stream(self, request: Request, /) -> EventStream:
            if request.output is not None:
                raise self.error
            return super().stream(request)

        def astream(self, request: Request, /) -> AsyncEventStream:
            if request.output is not None:
                raise self.error
            return super().astream(request)

    for error in (Refusing.error, InvalidRequest("The server says: response_format is unknown.", status=400)):
        backend = Refusing([LACKING, PARIS, PARIS])
        backend.error = error
        assert Chat(backend, tools=[add]).ask("Where?", output=City).value.name == "Paris"
        assert [request.output for request in backend.requests] == [None, None]
        assert "When you call no tool" in backend.requests[0].messages[0].text
        assert twin.run(backend, output=City).value == City("Paris", 2_000_000)
    backend = Refusing()
    for error in (
        Unsupported("This schema cannot be held.", param="output", code=REFUSED_SCHEMA),
        InvalidRequest("The server says: max_tokens is too large.", status=400),
    ):
        backend.error = error
        with pytest.raises(type(error), match=error.message):
            Chat(backend).ask("Where?", output=City)
    with pytest.raises(Unsupported):
        Chat(ScriptedBackend(["abc"], capabilities=UNHELD)).ask("Where?", output=Regex("abc"))


@pytest.mark.parametrize(
    ("output", "text", "value"),
    [
        (City, PARIS, City("Paris", 2_000_000)),
        (Town, PARIS, Town(name="Paris", people=2_000_000)),
        (Place, '{"city": "Paris"}', {"city": "Paris"}),
        (Literal["yes", "no"], '"yes"', "yes"),
        (City | Place, '{"city": "Paris"}', {"city": "Paris"}),
        (list[City], f"[{PARIS}]", [City("Paris", 2_000_000)]),
        (dict[str, int], '{"Paris": 2}', {"Paris": 2}),
        (int, "12", 12),
        (float, "1.5", 1.5),
        (bool, "true", True),
        (str, "plain words", "plain words"),
        (int | None, "null", None),
    ],
    ids=str,
)
@pytest.mark.parametrize("capabilities", [EVERYTHING_BUT_NUMBERS, UNHELD], ids=["held", "in words"])
def test_every_kind_of_type(capabilities: Capabilities, output: Any, text: str, value: Any) -> None:
    backend = ScriptedBackend(["So, it is:", text], capabilities=capabilities)
    if output is str:
        backend = ScriptedBackend([text], capabilities=capabilities)
    reply: Reply[Any] = Chat(backend).ask("Where?", output=output)
    assert reply.value == value


# -- as it comes


@CHATS
def test_the_value_grows_while_it_streams(kind: type[Chat] | type[AsyncChat]) -> None:
    chat = kind(ScriptedBackend([LACKING.replace("name", "town"), PARIS]))
    events, reply = streamed(chat)
    values = [event.value for event in events if isinstance(event, ValueDelta)]
    assert len(values) > 4
    first = [event.value for event in events[: events.index(next(e for e in events if isinstance(e, Restarted)))]
             if isinstance(event, ValueDelta)]  # fmt: skip
    assert first[-1] == {"town": "Paris"}
    assert values[len(first)] == {}
    assert {"name": "Paris"} in values[len(first) :]
    assert all(isinstance(value, dict) for value in values)
    assert reply.value == City("Paris", 2_000_000)
    stream = Chat(ScriptedBackend([PARIS])).stream("Where?", output=City)
    while not isinstance(next(stream), ValueDelta):
        pass
    assert stream.reply.value == {}
    stream.close()


def test_a_stream_without_a_type_has_no_values() -> None:
    for output in (None, str):
        stream = Chat(ScriptedBackend([PARIS])).stream("Where?", output=output)
        assert not any(isinstance(event, ValueDelta) for event in stream)


def test_an_agent_s_value_grows_too(twin: Twin) -> None:
    events = twin.events(ScriptedBackend([call("add", a=1, b=2), PARIS]), "go", tools=[add], output=City)
    assert {"name": "Paris"} in [event.value for event in events if isinstance(event, ValueDelta)]


# -- asked without a chat


def test_a_backend_s_own_answer_has_the_value_where_it_fits() -> None:
    backend = ScriptedBackend([PARIS, LACKING, Assistant(call("add", a=1, b=2)), PARIS])
    request = Request([User("Where?")], output=City, tools=[add])
    assert collect(backend.stream(request)).value == City("Paris", 2_000_000)
    assert collect(backend.stream(request)).value is None
    assert collect(backend.stream(request)).value is None

    async def ask() -> Reply[Any]:
        return await acollect(backend.astream(request))

    assert asyncio.run(ask()).value == City("Paris", 2_000_000)


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
