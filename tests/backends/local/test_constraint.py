"""Answers in a given form: whatever the model would rather say, what comes fits, also where it must end early."""

from __future__ import annotations

import datetime
import enum
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import pytest
from tests.backends.local.conftest import save_model
from tests.backends.local.forms import bfcl
from typing_extensions import TypedDict

from ambidex import (
    Agent,
    Chat,
    Greedy,
    InvalidToolCall,
    NamedTool,
    Reply,
    Request,
    Sampling,
    Tool,
    User,
    collect,
    tool,
)
from ambidex.errors import ContextLengthExceeded, InvalidRequest, MissingExtra, Unsupported
from ambidex.grammar import Lark, Regex
from ambidex.output import validate
from ambidex.schema_check import schema_problems
from ambidex_backends.local import LocalBackend


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Person:
    name: str
    age: int
    tags: list[str]


class Place(TypedDict):
    city: str
    at: tuple[float, float]


class Node(pydantic.BaseModel):
    value: int
    children: list[Node] = []


class Invoice(pydantic.BaseModel):
    number: str = pydantic.Field(pattern=r"^[A-Z]{2}-[0-9]{4}$")
    on: datetime.date
    amount: float = pydantic.Field(ge=0, le=1000)
    color: Color
    items: list[Person] = pydantic.Field(min_length=1, max_length=2)
    paid: bool | None = None


TYPES: list[Any] = [
    int,
    bool,
    str,
    Literal["yes", "no", "maybe"],
    Color,
    Person,
    Place,
    Node,
    Invoice,
    int | str,
    list[int],
    dict[str, int],
    Person | Place,
]


@tool
def weather(city: str, days: Literal[1, 2, 3] = 1) -> str:
    """The weather in a city."""
    return f"rain in {city}"


@tool
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


@tool
def mail(address: Annotated[str, pydantic.Field(pattern=r"^[a-z.]+@[a-z.]+\.com$")]) -> str:
    """Writes to an address."""
    return "sent"


@pytest.fixture(scope="module")
def random_weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBackend]:
    """A model that knows nothing at all."""
    folder = save_model(tmp_path_factory.mktemp("random"), "llama", {"max_position_embeddings": 4096})
    backend = LocalBackend(str(folder), device="cpu", dtype="float32")
    yield backend
    backend.close()


@pytest.fixture(scope="module")
def pocket() -> Iterator[LocalBackend]:
    backend = LocalBackend("pocket", device="cpu")
    yield backend
    backend.close()


@pytest.fixture(params=["random_weights", "pocket"])
def backend(request: pytest.FixtureRequest) -> LocalBackend:
    found: LocalBackend = request.getfixturevalue(request.param)
    return found


def wild(seed: int) -> Sampling:
    return Sampling(temperature=1.5, seed=seed)


def ask(backend: LocalBackend, *, seed: int = 0, text: str = "hi", **options: Any) -> Reply[Any]:
    asked: dict[str, Any] = {"decoding": wild(seed), **options}
    return collect(backend.stream(Request([User(text)], **asked)))


def tried(backend: LocalBackend, **options: Any) -> Reply[Any] | InvalidRequest:
    try:
        return ask(backend, **options)
    except InvalidRequest as error:
        return error


@pytest.mark.parametrize("output", TYPES, ids=str)
def test_an_answer_is_a_value_of_its_type(backend: LocalBackend, output: Any) -> None:
    for seed, max_tokens in enumerate((30, 150)):
        reply = tried(backend, seed=seed, output=output, max_tokens=max_tokens)
        if isinstance(reply, InvalidRequest):
            assert (reply.param, max_tokens < 150) == ("max_tokens", True)
            continue
        validate(reply.text, output)
        assert reply.finish_reason in ("stop", "length")
        assert (reply.usage.output_tokens or 0) <= max_tokens


@pytest.mark.nightly
def test_a_thousand_answers_all_fit(backend: LocalBackend) -> None:
    with ThreadPoolExecutor(4) as threads:
        jobs = [(TYPES[number % len(TYPES)], number) for number in range(1000)]
        done = list(threads.map(lambda job: (job, ask(backend, seed=job[1], output=job[0], max_tokens=140)), jobs))
    for (output, _), reply in done:
        validate(reply.text, output)


def test_where_it_must_end_soon_it_ends_whole(backend: LocalBackend) -> None:
    shortest: int | None = None
    for max_tokens in (*range(1, 32, 3), 40, 60):
        reply = tried(backend, output=Person, max_tokens=max_tokens, seed=max_tokens)
        if isinstance(reply, InvalidRequest):
            assert shortest is None, "what fits into fewer tokens fits into more"
            assert "too few" in reply.message
            continue
        shortest = shortest or max_tokens
        validate(reply.text, Person)
    assert shortest is not None


@pytest.mark.parametrize("choice", ["required", NamedTool("add")])
@pytest.mark.parametrize("parallel", [None, False])
def test_a_call_that_must_be_made_is_made(backend: LocalBackend, choice: Any, parallel: bool | None) -> None:
    for seed in range(2):
        reply = ask(
            backend, seed=seed, tools=[weather, add], tool_choice=choice, parallel_tool_calls=parallel, max_tokens=150
        )
        if reply.finish_reason == "length":  # the model would have gone on calling
            continue
        assert reply.finish_reason == "tool_calls"
        assert reply.tool_calls
        assert not [part for part in reply.message.parts if isinstance(part, InvalidToolCall)]
        for call in reply.tool_calls:
            assert not call.repaired
            (weather if call.name == "weather" else add).bind(call.arguments)
        if choice != "required":
            assert {call.name for call in reply.tool_calls} == {"add"}
        if parallel is False:
            assert len(reply.tool_calls) == 1


def test_calls_are_held_once_they_begin(pocket: LocalBackend) -> None:
    """A temperature at which free calls are mostly broken."""
    made = 0
    for seed in range(5):
        reply = ask(
            pocket, seed=seed, text="What is the weather in Paris?", tools=[weather], max_tokens=80,
            decoding=Sampling(temperature=1.3, seed=seed),
        )  # fmt: skip
        for part in reply.message.parts:
            assert not isinstance(part, InvalidToolCall)
        for call in reply.tool_calls:
            weather.bind(call.arguments)
            made += 1
    assert made


def test_a_form_that_was_made_complete_for_want_of_tokens_is_cut_and_says_so(random_weights: LocalBackend) -> None:
    reply = ask(random_weights, output=Person, max_tokens=40, decoding=Sampling(temperature=3.0, seed=1))
    validate(reply.text, Person)
    assert reply.finish_reason == "length"


def test_a_call_that_the_tokens_do_not_allow_is_cut_and_never_made_up(random_weights: LocalBackend) -> None:
    for max_tokens in (2, 12, 20):
        reply = ask(random_weights, tools=[add], tool_choice="required", max_tokens=max_tokens)
        assert reply.finish_reason == "length"
        assert not reply.tool_calls
        assert reply.message.invalid_calls or max_tokens < 12


def test_a_call_that_must_be_made_is_made_whole_and_says_that_it_was_cut(random_weights: LocalBackend) -> None:
    reasons: set[str | None] = set()
    for seed in range(4):
        decoding = Sampling(temperature=3.0, seed=seed)
        reply = ask(random_weights, tools=[weather], tool_choice="required", max_tokens=90, decoding=decoding)
        assert reply.tool_calls
        assert not reply.message.invalid_calls
        for call in reply.tool_calls:
            weather.bind(call.arguments)
        reasons.add(reply.finish_reason)
    assert "length" in reasons


def test_an_argument_that_must_match_a_pattern_is_made_whole(backend: LocalBackend) -> None:
    for seed in range(3):
        reply = ask(backend, seed=seed, tools=[mail], tool_choice="required", max_tokens=120)
        assert reply.tool_calls
        assert not reply.message.invalid_calls
        for call in reply.tool_calls:
            mail.bind(call.arguments)


def test_a_value_that_spells_a_control_token_is_read_back(backend: LocalBackend) -> None:
    values = ("<|im_end|>", "<|im_start|>x")
    for seed in range(3):
        assert ask(backend, seed=seed, output=Literal["<|im_end|>", "<|im_start|>x"], max_tokens=40).value in values


def test_tools_and_a_type_together(backend: LocalBackend) -> None:
    for seed in range(3):
        reply = ask(backend, seed=seed, tools=[add], output=Person, max_tokens=120)
        if reply.tool_calls:
            add.bind(reply.tool_calls[0].arguments)
        elif reply.finish_reason != "length":
            validate(reply.text, Person)


def test_chat_and_agent_give_the_value(pocket: LocalBackend) -> None:
    reply = Chat(pocket).ask("Ana is 31 years old.", output=Person, max_tokens=80)
    assert isinstance(reply.value, Person)
    assert isinstance(Agent(pocket, tools=[], output=Color, max_tokens=80).run("Red or blue?").value, Color)


@pytest.mark.parametrize(
    "pattern", [r"[0-9]{3}-[a-f]{2}", "yes|no", r"a/b+", "ä{2,3}", r"https?:\/\/x", r"\\/", "a\nb"]
)
def test_a_regular_expression(random_weights: LocalBackend, pattern: str) -> None:
    for seed in range(3):
        reply = ask(random_weights, seed=seed, output=Regex(pattern), max_tokens=40)
        assert re.fullmatch(pattern, reply.text)


def test_a_grammar_in_lark(random_weights: LocalBackend) -> None:
    grammar = Lark('start: term ("+" term)*\nterm: /[0-9]{1,2}/ | "(" start ")"')
    reply = ask(random_weights, output=grammar, max_tokens=60)
    assert set(reply.text) <= set("0123456789+()")
    assert reply.text.count("(") == reply.text.count(")")


def test_what_must_follow_is_not_computed(random_weights: LocalBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = random_weights._runtime.engine
    passes, forward = 0, engine._forward

    def counting(*args: Any) -> Any:
        nonlocal passes
        passes += 1
        return forward(*args)

    monkeypatch.setattr(engine, "_forward", counting)
    reply = ask(random_weights, output=Place, max_tokens=150, decoding=Greedy())
    assert passes < (reply.usage.output_tokens or 0) * 0.9


@pytest.mark.parametrize("options", [{"logprobs": 2}, {"stop": ["never there"]}, {"trace": False}])
def test_options_do_not_change_the_answer(random_weights: LocalBackend, options: dict[str, Any]) -> None:
    plain = ask(random_weights, output=Person, max_tokens=80)
    other = ask(random_weights, output=Person, max_tokens=80, **options)
    assert other.text == plain.text
    if "logprobs" in options:
        assert len(other.logprobs or ()) == other.usage.output_tokens
        assert b"".join(item.bytes for item in other.logprobs or ()).decode() == other.text


def test_several_at_once_as_each_alone(random_weights: LocalBackend) -> None:
    requests = [
        Request([User("hi")], output=output, decoding=wild(seed), max_tokens=100)
        for seed, output in enumerate((Person, Place, Color, int))
    ]
    alone = [collect(random_weights.stream(request)).text for request in requests]
    together = random_weights.batch(requests)
    assert [reply.text for reply in together if isinstance(reply, Reply)] == alone


def test_what_cannot_be_held_is_refused_by_its_name(random_weights: LocalBackend) -> None:
    with pytest.raises(Unsupported, match="uniqueItems"):
        ask(random_weights, output=set[int])
    lenient = ask(random_weights, output=set[int], extra={"lenient_schema": True}, max_tokens=40)
    assert isinstance(validate(lenient.text, set[int]), set)
    with pytest.raises(Unsupported, match="lenient_schema"):
        ask(random_weights, extra={"other": 1})


def test_without_llguidance_choices_still_work(random_weights: LocalBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ambidex_backends.local.grammars.is_installed", lambda: False)
    for output, values in (
        (Literal["yes", "no"], {"yes", "no"}),
        (bool, {True, False}),
        (Literal["n", "no"], {"n", "no"}),
    ):
        assert validate(ask(random_weights, output=output).text, output) in values
    with pytest.raises(MissingExtra, match="llguidance"):
        ask(random_weights, output=Person)
    assert random_weights.capabilities.tool_choice is False
    assert isinstance(ask(random_weights, tools=[add], max_tokens=5), Reply)  # calls are free then


def check_calls(backend: LocalBackend, tools: list[Tool[..., Any]], max_tokens: int) -> int:
    """How many calls came, one from every answer: of the tool that was offered, whole, and as its schema says."""
    assert backend.capabilities.context_length is not None
    requests = [
        Request(
            [User("hi")],
            tools=[offered],
            tool_choice="required",
            parallel_tool_calls=False,
            max_tokens=max_tokens,
            decoding=wild(seed),
        )
        for seed, offered in enumerate(tools)
    ]
    made = 0
    for offered, reply in zip(tools, backend.batch(requests), strict=True):
        if isinstance(reply, ContextLengthExceeded):
            continue  # a small model cannot read all of these tools
        assert isinstance(reply, Reply), (offered.name, reply)
        assert [call.name for call in reply.tool_calls] == [offered.name], (reply.finish_reason, reply.message)
        (call,) = reply.tool_calls
        assert not call.repaired
        assert schema_problems(offered.parameters, dict(call.arguments)) == [], offered.name
        assert not reply.message.invalid_calls
        assert not reply.text.strip()
        made += 1
    return made


def test_calls_to_tools_that_others_wrote(backend: LocalBackend, shared: Path) -> None:
    tools = list(bfcl(shared))
    assert check_calls(backend, tools[:: len(tools) // 5], max_tokens=400) >= 2


@pytest.mark.nightly
def test_a_thousand_calls_to_tools_that_others_wrote(backend: LocalBackend, shared: Path) -> None:
    tools = list(bfcl(shared))[::2][:1000]
    made = check_calls(backend, tools, max_tokens=800)
    print(f"{made} calls to {len(tools)} tools")
    assert made > len(tools) // 4  # the tools of the others are more than Pocket's context holds
