"""Beam search: the answers of `transformers.generate`, of a search through everything, and of diverse groups."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from transformers import AutoModelForCausalLM

from ambidex import Beams, Finished, Greedy, Reply, Request, TextDelta, TokenScored, collect
from ambidex.errors import InvalidRequest
from ambidex.grammar import Regex
from ambidex_backends.local import LocalBackend

from .conftest import ARCHITECTURES, HYBRIDS

PROMPT = "the rain in the north and a wind from the sea, and the sun"


@pytest.fixture
def backend(model_folder: Callable[[str], Path]) -> Iterator[LocalBackend]:
    backend = LocalBackend(str(model_folder("llama")), dtype="float32", device="cpu")
    yield backend
    backend.close()


def reference(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def ids_of(reply: Reply[Any], choice: int = 0) -> list[int]:
    return [scored.id for scored in reply.choices[choice].logprobs or () if scored.id is not None]


def beams_of_generate(model: Any, prompt: Sequence[int], count: int, **options: Any) -> list[tuple[list[int], float]]:
    """The answers and their scores, best first; padding after an end removed."""
    ids = torch.tensor([list(prompt)])
    out = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=count,
        do_sample=False,
        return_dict_in_generate=True,
        output_scores=True,
        **options,
    )
    answers = []
    for row, score in zip(out.sequences[:, len(prompt) :].tolist(), out.sequences_scores.tolist(), strict=True):
        end = row.index(2) + 1 if 2 in row else len(row)
        answers.append((row[:end], score))
    return answers


def assert_same_as_generate(
    backend: LocalBackend, model: Any, decoding: Beams, n: int, count: int, **extra: Any
) -> None:
    prompt = backend.tokenizer.raw_prompt(PROMPT)
    options: dict[str, Any] = {"num_beams": decoding.width, "num_return_sequences": n, **extra}
    if decoding.length_penalty is not None:
        options["length_penalty"] = decoding.length_penalty
    if decoding.early_stopping is not None:
        options["early_stopping"] = decoding.early_stopping
    expected = beams_of_generate(model, prompt, count, **options)
    reply = collect(backend.stream(Request(prompt=prompt, decoding=decoding, n=n, max_tokens=count, logprobs=0)))
    assert [ids_of(reply, choice) for choice in range(n)] == [ids for ids, _ in expected]
    assert [choice.score for choice in reply.choices] == pytest.approx([score for _, score in expected], abs=1e-4)


@pytest.mark.parametrize("kind", [*ARCHITECTURES, *HYBRIDS])
def test_beams_equal_generate(kind: str, model_folder: Callable[[str], Path]) -> None:
    backend = LocalBackend(str(model_folder(kind)), dtype="float32", device="cpu")
    model = reference(model_folder(kind))
    assert_same_as_generate(backend, model, Beams(width=4), 4, 24)
    backend.close()


@pytest.mark.parametrize("early_stopping", [True, False, "never"])
@pytest.mark.parametrize("length_penalty", [-1.0, 0.0, 1.0, 2.5])
def test_every_way_to_stop_equals_generate(
    backend: LocalBackend,
    model_folder: Callable[[str], Path],
    early_stopping: bool | Literal["never"],
    length_penalty: float,
) -> None:
    model = reference(model_folder("llama"))
    model.generation_config.eos_token_id = [2, *ENDS]
    backend._runtime._ends = frozenset([2, *ENDS])  # so that beams end early, and at different lengths
    decoding = Beams(width=3, length_penalty=length_penalty, early_stopping=early_stopping)
    prompt = backend.tokenizer.raw_prompt(PROMPT)
    options = {"num_beams": 3, "num_return_sequences": 3, "length_penalty": length_penalty}
    ids = torch.tensor([prompt])
    out = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=20,
        do_sample=False,
        return_dict_in_generate=True,
        output_scores=True,
        early_stopping=early_stopping,
        **options,
    )
    reply = collect(backend.stream(Request(prompt=prompt, decoding=decoding, n=3, max_tokens=20, logprobs=0)))
    ended = 0
    for choice, row in enumerate(out.sequences[:, len(prompt) :].tolist()):
        mine = ids_of(reply, choice)
        assert mine == row[: len(mine)]
        assert len(mine) == len(row) or mine[-1] in (2, *ENDS)
        ended += reply.choices[choice].finish_reason == "stop"
    assert ended or length_penalty > 1.0, "or the test shows nothing"
    assert [choice.score for choice in reply.choices] == pytest.approx(out.sequences_scores.tolist(), abs=1e-4)


ENDS = tuple(range(5, 384, 7))


@pytest.mark.parametrize(
    ("decoding", "options"),
    [
        (Beams(width=3, repetition_penalty=1.4), {"repetition_penalty": 1.4}),
        (Beams(width=4, no_repeat_ngram=2), {"no_repeat_ngram_size": 2}),
        (Beams(width=2, min_tokens=9), {"min_new_tokens": 9}),
        (Beams(width=1), {}),
        (Beams(width=16), {}),
    ],
)
def test_processors_and_widths_equal_generate(
    backend: LocalBackend, model_folder: Callable[[str], Path], decoding: Beams, options: dict[str, Any]
) -> None:
    if decoding.width == 1:  # which generate calls greedy
        one = collect(backend.stream(Request(prompt=PROMPT, decoding=decoding, max_tokens=16)))
        assert one.text == collect(backend.stream(Request(prompt=PROMPT, decoding=Greedy(), max_tokens=16))).text
        return
    assert_same_as_generate(backend, reference(model_folder("llama")), decoding, decoding.width, 16, **options)


@pytest.mark.parametrize("length_penalty", [0.0, 1.0])
def test_a_wide_search_finds_what_a_search_through_everything_finds(
    backend: LocalBackend, model_folder: Callable[[str], Path], length_penalty: float
) -> None:
    model = reference(model_folder("llama"))
    allowed = [2, 40, 90, 200, 300]
    prompt = backend.tokenizer.raw_prompt(PROMPT)

    def only(logits: torch.Tensor, seen: Sequence[int]) -> torch.Tensor:
        return torch.full_like(logits, -torch.inf).index_copy(0, torch.tensor(allowed), logits[allowed])

    candidates = []
    for length in range(1, 5):
        for ids in itertools.product(allowed, repeat=length):
            if 2 in ids[:-1] or (length < 4 and ids[-1] != 2):
                continue
            with torch.inference_mode():
                rows = model(torch.tensor([[*prompt, *ids]])).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
            total = sum(float(row[id]) for row, id in zip(rows, ids, strict=True))
            candidates.append((total / len(ids) ** length_penalty, list(ids)))
    candidates.sort(reverse=True)
    width = 200
    decoding = Beams(width=width, length_penalty=length_penalty, early_stopping="never", processors=(only,))
    reply = collect(backend.stream(Request(prompt=prompt, decoding=decoding, n=5, max_tokens=4, logprobs=0)))
    assert [ids_of(reply, choice) for choice in range(5)] == [ids for _, ids in candidates[:5]]
    assert [c.score for c in reply.choices] == pytest.approx([score for score, _ in candidates[:5]], abs=1e-4)


def diverse_reference(model: Any, prompt: list[int], groups: int, width: int, penalty: float, count: int) -> Any:
    """Diverse beam search written as its paper says (1610.02424), without a cache; answers do not end early."""
    state: list[list[tuple[list[int], float]]] = [[([], 0.0)] for _ in range(groups)]
    for _ in range(count):
        chosen: list[int] = []
        for group in range(groups):
            options = []
            for ids, score in state[group]:
                with torch.inference_mode():
                    row = model(torch.tensor([[*prompt, *ids]])).logits[0, -1].log_softmax(-1)
                row = torch.tensor(row.tolist())
                row[2] = -torch.inf
                for token in chosen:
                    row[token] -= penalty
                options += [([*ids, token], score + float(value)) for token, value in enumerate(row)]
            state[group] = sorted(options, key=lambda option: option[1], reverse=True)[:width]
            chosen += [ids[-1] for ids, _ in state[group]]
    everything = [(score / count, ids) for group in state for ids, score in group]
    return sorted(everything, reverse=True)


@pytest.mark.parametrize(("groups", "penalty"), [(2, 0.7), (3, 5.0)])
def test_diverse_groups_are_kept_from_what_others_chose(
    backend: LocalBackend, model_folder: Callable[[str], Path], groups: int, penalty: float
) -> None:
    prompt = backend.tokenizer.raw_prompt(PROMPT)
    expected = diverse_reference(reference(model_folder("llama")), prompt, groups, 2, penalty, 8)
    width = 2 * groups
    decoding = Beams(width=width, groups=groups, diversity_penalty=penalty, min_tokens=8)
    reply = collect(backend.stream(Request(prompt=prompt, decoding=decoding, n=width, max_tokens=8, logprobs=0)))
    assert [ids_of(reply, choice) for choice in range(width)] == [ids for _, ids in expected]
    assert [c.score for c in reply.choices] == pytest.approx([score for score, _ in expected], abs=1e-4)


@pytest.mark.parametrize("form", [Regex("(red|green|grey) (cat|dog)s?"), Literal["red", "green", "grey"]])
def test_beams_are_held_to_the_form(backend: LocalBackend, form: Any) -> None:
    request = Request(prompt=PROMPT, decoding=Beams(width=4), n=3, output=form, max_tokens=30, logprobs=0)
    reply = collect(backend.stream(request))
    texts = [choice.message.text for choice in reply.choices]
    assert len(set(texts)) == 3
    words = {
        f"{colour} {animal}{s}" for colour in ("red", "green", "grey") for animal in ("cat", "dog") for s in ("", "s")
    }
    assert set(texts) <= (words if isinstance(form, Regex) else {'"red"', '"green"', '"grey"'})
    assert all(choice.finish_reason == "stop" for choice in reply.choices)
    for choice in reply.choices:
        total = sum(scored.logprob for scored in choice.logprobs or ())
        assert choice.score == pytest.approx(total / len(choice.logprobs or ()), abs=1e-4)


def test_a_form_known_beforehand_needs_no_beams(backend: LocalBackend) -> None:
    reply = collect(
        backend.stream(Request(prompt=PROMPT, decoding=Beams(width=3), output=Literal["red"], max_tokens=9))
    )
    assert reply.text == '"red"'
    assert reply.finish_reason == "stop"


def test_stop_sequences_end_a_beam_and_are_in_no_answer(backend: LocalBackend) -> None:
    beams = Beams(width=4, length_penalty=-1.0)
    whole = collect(backend.stream(Request(prompt=PROMPT, decoding=beams, max_tokens=24))).text
    stop = whole[8:11]
    reply = collect(backend.stream(Request(prompt=PROMPT, decoding=beams, n=4, max_tokens=24, stop=stop)))
    assert any(choice.stop_sequence == stop for choice in reply.choices)
    for choice in reply.choices:
        assert stop not in choice.message.text
        assert (choice.finish_reason == "stop") or choice.stop_sequence is None


@pytest.mark.parametrize("width", [2, 5])
def test_the_confirmed_prefix_streams_and_is_never_taken_back(backend: LocalBackend, width: int) -> None:
    request = Request(prompt=PROMPT, decoding=Beams(width=width), n=2, max_tokens=60, logprobs=0)
    pieces: list[tuple[int, str]] = []
    scored: list[int | None] = []
    stream = backend.stream(request)
    for event in stream:
        match event:
            case TextDelta(text, choice):
                pieces.append((choice, text))
            case TokenScored(logprob, choice) if choice == 0:
                scored.append(logprob.id)
            case Finished(choices):
                for index, answer in enumerate(choices):
                    assert "".join(text for of, text in pieces if of == index) == answer.message.text
            case _:
                pass
    assert scored == ids_of(stream.reply)
    assert stream.reply.usage.output_tokens == sum(len(choice.logprobs or ()) for choice in stream.reply.choices)


def test_what_is_confirmed_comes_before_the_end(backend: LocalBackend) -> None:
    """The model repeats itself with near certainty, so that the beams soon agree on their beginning."""
    emitted: list[str] = []
    request = Request(prompt=PROMPT, decoding=Beams(width=2, min_tokens=80), max_tokens=80)
    stream = backend.stream(request)
    for event in stream:
        if isinstance(event, TextDelta):
            emitted.append(event.text)
        if len(emitted) == 3:
            break
    assert emitted
    timings = collect(backend.stream(request)).timings
    assert timings.first_token is not None
    assert timings.total is not None
    assert timings.first_token < timings.total / 2


def test_cancelled_beams_give_what_was_confirmed(backend: LocalBackend) -> None:
    stream = backend.stream(Request(prompt=PROMPT, decoding=Beams(width=3, min_tokens=200), max_tokens=200, n=2))
    next(stream)
    stream.cancel()
    text = "".join(event.text for event in stream if isinstance(event, TextDelta))
    assert stream.reply.finish_reason == "cancelled"
    assert stream.reply.text.endswith(text)


def test_the_next_turn_finds_what_the_beams_computed(backend: LocalBackend) -> None:
    prompt = backend.tokenizer.raw_prompt(PROMPT)
    reply = collect(backend.stream(Request(prompt=prompt, decoding=Beams(width=4), max_tokens=20, logprobs=0)))
    longer = [*prompt, *ids_of(reply), 50]
    after = collect(backend.stream(Request(prompt=longer, decoding=Greedy(), max_tokens=2)))
    assert (after.usage.cached_tokens or 0) >= len(prompt)


@pytest.mark.parametrize("kernels", [None, False])
def test_no_cache_is_left_behind(model_folder: Callable[[str], Path], kernels: bool | None) -> None:
    backend = LocalBackend(str(model_folder("llama")), dtype="float32", device="cpu", cache_bytes=0, kernels=kernels)
    for n in (1, 3):
        collect(backend.stream(Request(prompt=PROMPT, decoding=Beams(width=4), n=n, max_tokens=24)))
    stream = backend.stream(Request(prompt=PROMPT, decoding=Beams(width=4, min_tokens=99), max_tokens=99))
    next(stream)
    stream.cancel()
    list(stream)
    model: Any = backend._runtime.engine._model
    if kernels is False:
        assert not model._prefixes._in_use
    elif hasattr(model, "pool"):  # else there is no compiler here
        assert len(model.pool._free) == model.pool.allocated
    backend.close()


def test_no_beam_left_is_an_error(backend: LocalBackend) -> None:
    nothing = Beams(width=2, processors=(lambda logits, seen: torch.full_like(logits, -torch.inf),))
    with pytest.raises(InvalidRequest, match="No token is allowed"):
        collect(backend.stream(Request(prompt=PROMPT, decoding=nothing, max_tokens=4)))
    with pytest.raises(InvalidRequest, match="n=3 answers of 2 beams"):
        backend.stream(Request(prompt=PROMPT, decoding=Beams(width=2), n=3))
