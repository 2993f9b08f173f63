"""What a generation config says is followed, refused where it makes no sense, or named where it is not followed."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ambidex import Greedy, Request, Sampling, collect
from ambidex.errors import ModelLoadError
from ambidex_backends.local import LocalBackend

from .test_parity import PROMPT, greedy_ids, reference_ids


@pytest.fixture
def folder(model_folder: Callable[[str], Path], tmp_path: Path) -> Path:
    """A copy of a model, whose generation config may be changed."""
    return Path(shutil.copytree(model_folder("llama"), tmp_path / "model"))


def say(folder: Path, /, _file: str = "generation_config.json", **changes: Any) -> None:
    path = folder / _file
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def opened(folder: Path) -> LocalBackend:
    return LocalBackend(str(folder), device="cpu", dtype="float32")


def ids(folder: Path, count: int = 12) -> list[int]:
    backend = opened(folder)
    found = greedy_ids(backend, backend.tokenizer.raw_prompt(PROMPT), count)
    backend.close()
    return found


@pytest.mark.parametrize("field", ["suppress_tokens", "begin_suppress_tokens", "min_new_tokens", "repetition_penalty"])
def test_what_is_followed_is_as_in_generate(field: str, folder: Path) -> None:
    before = ids(folder)
    changes: dict[str, dict[str, Any]] = {
        "suppress_tokens": {"suppress_tokens": [*before[:2], 9999]},
        "begin_suppress_tokens": {"begin_suppress_tokens": before[:1]},
        "min_new_tokens": {"min_new_tokens": 8, "eos_token_id": before[2]},
        "repetition_penalty": {"repetition_penalty": 1.5},
    }
    say(folder, **changes[field])
    after = ids(folder)
    backend = opened(folder)
    assert after == reference_ids(folder, backend.tokenizer.raw_prompt(PROMPT), 12)
    backend.close()
    assert after != before


def test_a_request_overrides_the_least_number_of_tokens(folder: Path) -> None:
    say(folder, min_new_tokens=8, eos_token_id=ids(folder)[2])
    backend = opened(folder)
    request = Request(prompt=PROMPT, max_tokens=12, decoding=Greedy(min_tokens=0))
    assert collect(backend.stream(request)).usage.output_tokens == 3
    backend.close()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", "0.7"),
        ("temperature", -1.0),
        ("top_k", -2),
        ("top_p", 0.0),
        ("min_p", 2),
        ("typical_p", [1]),
        ("repetition_penalty", 0.0),
        ("no_repeat_ngram_size", 1.5),
        ("max_length", "20"),
        ("max_new_tokens", 2.5),
        ("min_new_tokens", True),
    ],
)
def test_what_makes_no_sense_is_refused_by_file_and_field(field: str, value: Any, folder: Path) -> None:
    say(folder, do_sample=True, **{field: value})
    with pytest.raises(ModelLoadError, match=rf"generation_config\.json: {field} .*{value!r}".replace("[", r"\[")):
        opened(folder)


@pytest.mark.parametrize("text", ["{", "[]", "", '{"max_new_tokens": "20"}', '{"max_new_tokens": 0}'])
def test_one_that_cannot_be_read_is_named(text: str, folder: Path) -> None:
    (folder / "generation_config.json").write_text(text)
    with pytest.raises(ModelLoadError, match=r"generation_config\.json cannot be read"):
        opened(folder)


def test_what_is_not_followed_is_said_once(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    say(folder, num_beams=3, bad_words_ids=[[5]], guidance_scale=1.0, min_length=0, encoder_repetition_penalty=2.0)
    with caplog.at_level(logging.WARNING, logger="ambidex"):
        opened(folder).close()
    said = [record.getMessage() for record in caplog.records if "generation_config.json" in record.getMessage()]
    assert len(said) == 1
    assert "bad_words_ids, encoder_repetition_penalty, num_beams." in said[0]


def test_a_usual_generation_config_is_followed_in_silence(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    say(folder, do_sample=True, temperature=0.6, top_k=20, top_p=0.95, max_length=64, suppress_tokens=[])
    with caplog.at_level(logging.WARNING, logger="ambidex"):
        opened(folder).close()
    assert not caplog.records


def test_what_only_sampling_would_read_keeps_no_greedy_model_from_loading(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    say(folder, do_sample=False, top_k=-1, top_p=0.0)
    with caplog.at_level(logging.WARNING, logger="ambidex"):
        backend = opened(folder)
    assert "in these: top_p." in caplog.text
    sampled = collect(backend.stream(Request(prompt=PROMPT, max_tokens=4, decoding=Sampling(seed=1))))
    assert sampled.usage.output_tokens == 4
    backend.close()


@pytest.mark.parametrize("file", ["generation_config.json", "config.json"])
def test_end_ids_that_the_model_does_not_have_end_nothing(file: str, folder: Path) -> None:
    if file == "config.json":
        (folder / "generation_config.json").unlink()
    say(folder, file, eos_token_id=[2, 9999])
    backend = opened(folder)
    request = Request(prompt=PROMPT, max_tokens=20, decoding=Greedy(min_tokens=3))
    assert (collect(backend.stream(request)).usage.output_tokens or 0) >= 3
    assert isinstance(collect(backend.stream(Request(prompt=PROMPT, max_tokens=20, output=int))).value, int)
    backend.close()
