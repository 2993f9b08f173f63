"""Wrong input of any type is refused as ours, in words that say what is taken; no other exception comes out."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from ambidex import Greedy, Request, collect
from ambidex.errors import ConfigError, InvalidRequest, ModelLoadError, ModelNotFound
from ambidex_backends.local import LocalBackend

from .conftest import OpenBackend

HALF = "a\ud800"


def test_half_of_a_surrogate_pair_is_no_text(open_backend: OpenBackend) -> None:
    backend = open_backend()
    calls: list[Callable[[], object]] = [
        lambda: backend.stream(Request(prompt=HALF)),
        lambda: backend.stream(Request(prompt=[5, HALF])),
        lambda: backend.stream(Request(prompt="a", decoding=Greedy(banned=(HALF,)))),
        lambda: backend.score(HALF),
        lambda: backend.score("a", given=HALF),
        lambda: backend.tokenizer.encode(HALF),
    ]
    for call in calls:
        with pytest.raises(InvalidRequest, match="half of a surrogate pair"):
            call()


def test_what_is_no_request_is_refused(open_backend: OpenBackend) -> None:
    backend, text = open_backend(), cast(Any, "hello")
    for call in (
        lambda: backend.stream(text),
        lambda: backend.count(text),
        lambda: backend.batch([Request(prompt="a", max_tokens=1), text]),
        lambda: asyncio.run(backend.abatch([text])),
        lambda: backend.astream(text),
    ):
        with pytest.raises(InvalidRequest, match=r"takes a Request.*got str"):
            call()


def test_a_path_is_a_folder_however_it_begins(
    model_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = model_folder("llama")
    monkeypatch.chdir(folder.parent)
    backend = LocalBackend(Path(folder.name), draft=Path(folder.name), device="cpu")
    assert backend.model == str(folder)
    assert collect(backend.stream(Request(prompt="the", max_tokens=2))).usage.output_tokens
    backend.close()


@pytest.mark.parametrize(
    "options",
    [
        {"model": None},
        {"model": 3},
        {"model": b"pocket"},
        {"device": None},
        {"device": ["cpu"]},
        {"dtype": None},
        {"dtype": ["float32"]},
        {"draft": 3},
        {"draft": True},
        {"revision": 5},
    ],
)
def test_options_of_a_wrong_type(options: dict[str, Any]) -> None:
    open_one: Any = LocalBackend
    with pytest.raises(ConfigError, match=next(iter(options))):
        open_one(**{"model": "pocket", "device": "cpu", **options})


@pytest.mark.parametrize("name", ["./" + "a" * 5000, "./a\0b", "~no-such-user-here/model"])
def test_names_that_can_be_no_folder(name: str) -> None:
    with pytest.raises(ModelNotFound):
        LocalBackend(name)


def test_a_name_that_is_too_long_for_a_folder_and_for_the_hub() -> None:
    with pytest.raises(ConfigError, match="no Hub id"):
        LocalBackend("a" * 5000, local_files_only=True)


def test_a_configuration_of_no_type(model_folder: Callable[[str], Path], tmp_path: Path) -> None:
    folder = shutil.copytree(model_folder("llama"), tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    kinds: list[Any] = [[], {}, None, 3]
    for kind in kinds:
        (folder / "config.json").write_text(json.dumps({**config, "model_type": kind}))
        with pytest.raises(ModelLoadError, match="model_type"):
            LocalBackend(os.fspath(folder))
