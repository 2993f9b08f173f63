"""Traces tell what was decided and why, in JSON of one schema, and change nothing."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from transformers import AutoModelForCausalLM

from ambidex import Beams, Greedy, Reply, Request, Sampling, TokenScored, collect, trace
from ambidex.errors import InvalidRequest, Unsupported
from ambidex.events import Event, StepTraced
from ambidex.trace import Attention, Step
from ambidex_backends.local import LocalBackend
from ambidex_backends.local.speculation import Pace

PROMPT = "the rain in the north and the rain in the north and the"


@pytest.fixture
def backend(model_folder: Callable[[str], Path]) -> Iterator[LocalBackend]:
    backend = LocalBackend(str(model_folder("llama")), dtype="float32", device="cpu")
    yield backend
    backend.close()


def steps(events: Sequence[Event], choice: int = 0) -> list[Step]:
    found = [event.trace for event in events if isinstance(event, StepTraced) and event.choice == choice]
    return [item for item in found if isinstance(item, Step)]


def twist(logits: torch.Tensor, seen: Sequence[int]) -> torch.Tensor:
    """A processor of the caller's own."""
    return logits.index_fill(0, torch.tensor([2]), -torch.inf)


def test_every_token_has_its_step_and_tracing_changes_none(backend: LocalBackend) -> None:
    decoding = Sampling(
        temperature=1.4,
        top_k=5,
        top_p=0.9,
        repetition_penalty=1.2,
        banned=("or",),
        min_tokens=5,
        seed=3,
        processors=(twist,),
    )
    plain = Request(prompt=PROMPT, max_tokens=20, decoding=decoding, logprobs=0)
    traced = Request(prompt=PROMPT, max_tokens=20, decoding=decoding, logprobs=0, trace=True)
    events = list(backend.stream(traced))
    reply = collect(backend.stream(plain))
    told = steps(events)
    ids = [event.logprob.id for event in events if isinstance(event, TokenScored)]
    assert [step.chosen for step in told] == ids == [scored.id for scored in reply.logprobs or ()]
    assert [step.step for step in told] == list(range(len(ids)))
    for step, scored in zip(told, reply.logprobs or (), strict=True):
        assert step.stages == (
            *("repetition_penalty", "banned", "min_tokens", "temperature", "top_k", "top_p"),
            "processors[0]: twist",
        )
        chosen = next(candidate for candidate in step.candidates if candidate.id == step.chosen)
        assert math.log(chosen.probability) == pytest.approx(scored.logprob, abs=1e-4)
        assert chosen.removed_by is None
        assert step.seconds >= 0
        for candidate in step.candidates:
            assert len(candidate.after) == len(step.stages)
            assert (candidate.after[-1] > 0) == (candidate.removed_by is None)
            for stage, share in zip(step.stages, candidate.after, strict=True):
                if candidate.removed_by == stage:
                    assert share == 0.0
                    break
                assert share > 0.0
        probabilities = [candidate.probability for candidate in step.candidates]
        assert probabilities == sorted(probabilities, reverse=True)
        assert sum(candidate.after[-1] for candidate in step.candidates) <= 1 + 1e-5
        assert step.entropy is not None
        assert step.entropy_after is not None
        assert 0 <= step.entropy <= math.log(384) + 1e-4
    assert {candidate.removed_by for step in told for candidate in step.candidates} >= {"top_k", None}


def test_the_entropy_and_the_shares_are_those_of_the_scores(backend: LocalBackend) -> None:
    seen: list[torch.Tensor] = []

    def keep(logits: torch.Tensor, ids: Sequence[int]) -> torch.Tensor:
        seen.append(logits.clone())
        return logits

    request = Request(prompt=PROMPT, max_tokens=6, decoding=Greedy(processors=(keep,)), trace=True)
    for step, logits in zip(steps(list(backend.stream(request))), seen, strict=True):
        exact = torch.distributions.Categorical(logits=logits)
        assert step.entropy == pytest.approx(float(exact.entropy()), abs=1e-4)
        for candidate in step.candidates:
            assert candidate.probability == pytest.approx(float(exact.probs[candidate.id]), abs=1e-6)
        assert {candidate.id for candidate in step.candidates} == set(logits.topk(10).indices.tolist())


def test_a_form_says_what_it_removed_and_what_it_forced(backend: LocalBackend) -> None:
    request = Request(prompt=PROMPT, output=Literal["red", "green"], decoding=Greedy(), max_tokens=20, trace=True)
    stream = backend.stream(request)
    told = steps(list(stream))
    assert told[0].is_forced, "the quotation mark"
    assert told[0].candidates == ()
    free = [step for step in told if not step.is_forced]
    assert free
    assert free[0].stages[0] == "form"
    assert {candidate.removed_by for candidate in free[0].candidates} == {"form", None}
    assert sum(candidate.removed_by is None for candidate in free[0].candidates) == 2
    assert "".join(step.text for step in told) == stream.reply.text


def test_beams_form_a_tree_whose_leaves_are_the_answers(backend: LocalBackend) -> None:
    request = Request(prompt=PROMPT, decoding=Beams(width=3), n=3, max_tokens=12, logprobs=0, trace=True)
    stream = backend.stream(request)
    told = steps(list(stream))
    assert {step.choice for step in told} == {0}
    parents: dict[int, tuple[int, int]] = {}
    fates: dict[int, str] = {}
    for step in told:
        assert step.beam is not None
        assert step.beam == 0 or fates[step.beam] == "live", "only live beams go on"
        for branch in step.branches:
            if branch.name is not None:
                parents[branch.name] = (step.beam, branch.id)
                fates[branch.name] = branch.fate
            else:
                assert branch.fate == "pruned"
    by_step: dict[int, int] = {}
    for step in told:
        live = sum(branch.fate == "live" for branch in step.branches)
        by_step[step.step] = by_step.get(step.step, 0) + live
    assert all(count == 3 for step, count in by_step.items() if step < 11)
    paths = set()
    for leaf, fate in fates.items():
        if fate == "finished":
            path: list[int] = []
            beam = leaf
            while beam:
                beam, token = parents[beam]
                path.insert(0, token)
            paths.add(tuple(path))
    answers = {tuple(scored.id for scored in choice.logprobs or ()) for choice in stream.reply.choices}
    assert answers <= paths
    assert "pruned" in {branch.fate for step in told for branch in step.branches}


def test_diverse_groups_show_what_kept_them_apart(backend: LocalBackend) -> None:
    request = Request(prompt=PROMPT, decoding=Beams(width=4, groups=2), max_tokens=5, trace=True)
    told = steps(list(backend.stream(request)))
    assert {step.stages for step in told} == {(), ("diversity",)}


def test_guesses_are_shown_with_their_fate(
    model_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pace, "next", lambda self: 3)
    backend = LocalBackend(str(model_folder("llama")), dtype="float32", device="cpu", draft="prompt")
    request = Request(prompt=PROMPT, decoding=Greedy(min_tokens=30), max_tokens=30, trace=True)
    stream = backend.stream(request)
    told = steps(list(stream))
    guesses = [step for step in told if step.guess is not None]
    assert guesses
    for step in guesses:
        assert step.guess is not None
        assert step.guess.is_right == (step.guess.id == step.chosen)
    right = sum(step.guess.is_right for step in guesses if step.guess is not None)
    assert right == stream.reply.usage.accepted_tokens
    backend.close()


def test_attention_weights_are_the_model_s(model_folder: Callable[[str], Path]) -> None:
    folder = model_folder("llama")
    backend = LocalBackend(str(folder), dtype="float32", device="cpu", kernels=False)
    request = Request(prompt=PROMPT, decoding=Greedy(), max_tokens=6, trace=True, extra={"attention": True}, logprobs=0)
    stream = backend.stream(request)
    events = list(stream)
    told = [event.trace for event in events if isinstance(event, StepTraced)]
    (attention,) = [item for item in told if isinstance(item, Attention)]
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    with torch.inference_mode():
        exact = model(torch.tensor([attention.ids[:-1]]), output_attentions=True).attentions
    weights = torch.tensor(attention.weights)
    start = attention.start
    assert start == stream.reply.usage.input_tokens
    assert attention.ids[start:] == tuple(scored.id for scored in stream.reply.logprobs or ())
    assert torch.allclose(weights, torch.stack([layer[0] for layer in exact])[:, :, start - 1 :], atol=1e-5)
    assert torch.allclose(weights.sum(-1), torch.ones(weights.shape[:3]), atol=1e-4)
    again = collect(backend.stream(Request(prompt=PROMPT, decoding=Greedy(), max_tokens=6)))
    assert again.text == stream.reply.text, "the usual attention is back"
    backend.close()


def test_attention_that_cannot_be_had_is_refused(
    backend: LocalBackend, model_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = LocalBackend(str(model_folder("llama")), dtype="float32", device="cpu", kernels=False)
    with pytest.raises(InvalidRequest, match="trace=True"):
        backend.stream(Request(prompt=PROMPT, extra={"attention": True}))
    if type(backend._runtime.engine._model).__name__ == "NativeModel":
        with pytest.raises(Unsupported, match="kernels=False"):
            backend.stream(Request(prompt=PROMPT, trace=True, extra={"attention": True}))
    mamba = LocalBackend(str(model_folder("mamba")), dtype="float32", device="cpu")
    with pytest.raises(Unsupported, match="attention"):
        collect(mamba.stream(Request(prompt=PROMPT, trace=True, max_tokens=2, extra={"attention": True})))
    assert collect(mamba.stream(Request(prompt=PROMPT, max_tokens=2))).finish_reason == "length"
    mamba.close()
    monkeypatch.setattr("ambidex_backends.local.strategies.MOST_ATTENTION", 20)
    with pytest.raises(InvalidRequest, match="at most 20 tokens"):
        plain.stream(Request(prompt=[5] * 15, max_tokens=6, trace=True, extra={"attention": True}))
    plain.close()


def test_json_is_of_the_schema_and_comes_back(backend: LocalBackend) -> None:
    page = Path(__file__).parents[3] / "docs" / "trace.md"
    (written,) = re.findall(r"```json schema\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    assert json.loads(written) == trace.schema(), "docs/trace.md has the schema of another version"
    request = Request(prompt=PROMPT, decoding=Beams(width=2), max_tokens=4, trace=True)
    for event in backend.stream(request):
        if isinstance(event, StepTraced):
            data = json.loads(json.dumps(trace.to_json(event.trace), allow_nan=False))
            check(data, trace.schema(), trace.schema()["$defs"])
            assert trace.from_json(data) == event.trace
    with pytest.raises(InvalidRequest, match="no trace"):
        trace.from_json({"kind": "step"})


def check(data: Any, schema: dict[str, Any], definitions: dict[str, Any]) -> None:
    """As much of JSON Schema as the traces' uses."""
    if "$ref" in schema:
        return check(data, definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if "anyOf" in schema:
        problems = []
        for one in schema["anyOf"]:
            try:
                return check(data, one, definitions)
            except AssertionError as problem:
                problems.append(problem)
        raise AssertionError(problems)
    if "const" in schema:
        assert data == schema["const"]
    if "enum" in schema:
        assert data in schema["enum"]
    match schema.get("type"):
        case "object":
            assert isinstance(data, dict)
            assert set(schema.get("required", ())) <= set(data) <= set(schema["properties"])
            for name, value in data.items():
                check(value, schema["properties"][name], definitions)
        case "array":
            assert isinstance(data, list)
            for item in data:
                check(item, schema["items"], definitions)
        case "integer":
            assert isinstance(data, int)
        case "number":
            assert isinstance(data, (int, float))
        case "string":
            assert isinstance(data, str)
        case "boolean":
            assert isinstance(data, bool)
        case "null":
            assert data is None
        case kind:
            assert kind is None, f"the test does not know {kind}"
    return None


def test_each_of_several_answers_has_its_own_steps(backend: LocalBackend) -> None:
    request = Request(prompt=PROMPT, decoding=Sampling(seed=1, temperature=3.0), n=3, max_tokens=5, trace=True)
    stream = backend.stream(request)
    events = list(stream)
    reply: Reply[Any] = stream.reply
    assert sum(len(steps(events, choice)) for choice in range(3)) == reply.usage.output_tokens
