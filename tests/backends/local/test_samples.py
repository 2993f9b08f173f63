"""Several answers to one prompt: each as if it were alone, the prompt computed once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from ambidex import Finished, Greedy, Request, Sampling, TextDelta, TokenScored, ToolCalled, User, collect, tool
from ambidex.errors import InvalidRequest
from ambidex_backends.local import LocalBackend

PROMPT = "the rain in the north"


@pytest.fixture
def backend(model_folder: Callable[[str], Path]) -> Iterator[LocalBackend]:
    backend = LocalBackend(str(model_folder("llama")), dtype="float32", device="cpu")
    yield backend
    backend.close()


def request(n: int, seed: int | None = 7, max_tokens: int = 16, **options: Any) -> Request:
    sampling = Sampling(temperature=4.0, seed=seed)
    return Request(prompt=PROMPT, decoding=sampling, n=n, max_tokens=max_tokens, **options)


@pytest.mark.parametrize("kind", ["llama", "gemma3_text", "gpt2", "qwen3_moe", "lfm2", "mamba"])
def test_the_first_is_what_is_answered_alone(kind: str, model_folder: Callable[[str], Path]) -> None:
    backend = LocalBackend(str(model_folder(kind)), dtype="float32", device="cpu")
    alone = collect(backend.stream(request(1)))
    several = collect(backend.stream(request(4)))
    assert several.text == alone.text
    texts = [choice.message.text for choice in several.choices]
    assert len(set(texts)) == 4, "each has random numbers of its own"
    again = collect(backend.stream(request(4)))
    assert [choice.message.text for choice in again.choices] == texts, "same seed, same answers"
    fewer = collect(backend.stream(request(3)))
    assert [choice.message.text for choice in fewer.choices] == texts[:3], "whatever their number"
    backend.close()


def test_without_a_seed_they_differ_from_time_to_time(backend: LocalBackend) -> None:
    first, second = (collect(backend.stream(request(3, seed=None))) for _ in range(2))
    texts = [choice.message.text for reply in (first, second) for choice in reply.choices]
    assert len(set(texts)) == 6


def test_the_prompt_is_counted_once_and_every_answer_in_full(backend: LocalBackend) -> None:
    reply = collect(backend.stream(request(4, logprobs=1)))
    assert reply.usage.input_tokens == backend.count(request(1))
    lengths = [len(choice.logprobs or ()) for choice in reply.choices]
    assert reply.usage.output_tokens == sum(lengths)
    for choice in reply.choices:
        assert choice.finish_reason in ("stop", "length")


def test_events_say_whose_they_are(backend: LocalBackend) -> None:
    events = list(backend.stream(request(3, logprobs=0)))
    finished = events[-1]
    assert isinstance(finished, Finished)
    for index, choice in enumerate(finished.choices):
        mine = [event for event in events[:-1] if event.choice == index]
        assert "".join(event.text for event in mine if isinstance(event, TextDelta)) == choice.message.text
        scored = tuple(event.logprob for event in mine if isinstance(event, TokenScored))
        assert scored == choice.logprobs
    stream = backend.stream(request(3))
    assert "".join(stream.text) == finished.choices[0].message.text


def test_each_ends_by_itself(backend: LocalBackend) -> None:
    whole = collect(backend.stream(request(4, max_tokens=40)))
    first = whole.choices[1].message.text
    stop = first[6:8]
    reply = collect(backend.stream(request(4, max_tokens=40, stop=stop)))
    for before, after in zip(whole.choices, reply.choices, strict=True):
        text, found, _ = before.message.text.partition(stop)
        assert after.message.text == text
        assert after.stop_sequence == (stop if found else None)


def test_each_is_held_to_the_form(backend: LocalBackend) -> None:
    reply = collect(backend.stream(request(6, output=Literal["red", "green", "grey"])))
    assert {choice.message.text for choice in reply.choices} <= {'"red"', '"green"', '"grey"'}
    assert len({choice.message.text for choice in reply.choices}) > 1
    one = collect(backend.stream(request(2, output=Literal["red"])))
    assert [choice.message.text for choice in one.choices] == ['"red"', '"red"'], "all is known beforehand"


def test_calls_of_each_are_its_own() -> None:
    backend = LocalBackend("pocket", dtype="float32", device="cpu")

    @tool
    def weather(day: Literal[1, 2, 3, 4]) -> str:
        """The weather."""
        return "rain"

    asked = Request(
        [User("x")],
        tools=[weather],
        tool_choice="required",
        n=6,
        decoding=Sampling(temperature=5.0, seed=1),
        max_tokens=120,
    )
    events = list(backend.stream(asked))
    finished = events[-1]
    assert isinstance(finished, Finished)
    for index, choice in enumerate(finished.choices):
        calls = [event.call for event in events if isinstance(event, ToolCalled) and event.choice == index]
        assert choice.message.tool_calls == tuple(calls)
        assert (choice.finish_reason == "tool_calls") == bool(calls)
    assert len({event.call.arguments_json for event in events if isinstance(event, ToolCalled)}) > 1
    backend.close()


def test_cancelling_ends_all(backend: LocalBackend) -> None:
    stream = backend.stream(Request(prompt=PROMPT, n=3, max_tokens=200, decoding=Sampling(seed=1, min_tokens=200)))
    next(stream)
    stream.cancel()
    list(stream)
    assert [choice.finish_reason for choice in stream.reply.choices] == ["cancelled"] * 3


def test_greedy_answers_are_equal_and_too_many_are_refused(backend: LocalBackend) -> None:
    reply = collect(backend.stream(Request(prompt=PROMPT, n=2, max_tokens=5, decoding=Greedy())))
    assert reply.choices[0] == reply.choices[1]
    with pytest.raises(InvalidRequest, match="256"):
        backend.stream(request(1000))
