"""`ambidex models`: what is registered and what is on this machine, without the network."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .conftest import Done, Terminal


def put_into_cache(folder: Path, name: str, *files: str) -> None:
    """A model as huggingface_hub keeps it."""
    repo = folder / "hf" / "hub" / f"models--{name.replace('/', '--')}"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text("0" * 40)
    (repo / "blobs").mkdir()
    snapshot = repo / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    for file in files:
        blob = repo / "blobs" / file
        blob.write_bytes(b"x" * 750)
        (snapshot / file).symlink_to(blob)


def test_backends_of_others_and_cached_models_are_listed(ambidex: Callable[..., Done], tmp_path: Path) -> None:
    put_into_cache(tmp_path, "org/whole", "config.json", "model.safetensors")
    put_into_cache(tmp_path, "org/tokenizer-only", "config.json")
    done = ambidex("models")
    assert done.code == 0
    lines = done.out.splitlines()
    assert any(line.split() == "scripted: Answers from a script. scripted 1.0".split() for line in lines)
    assert any("local:org/whole" in line and "1.5 kB" in line for line in lines)
    assert "local:pocket" in done.out
    assert "tokenizer-only" not in done.out


def test_json_is_one_object(ambidex: Callable[..., Done]) -> None:
    found = json.loads(ambidex("models", "--json").out)
    assert "scripted:" in [backend["prefix"] for backend in found["backends"]]
    assert found["models"] == [{"name": "local:pocket", "where": "in the package", "bytes": None}]


def test_a_backend_that_cannot_be_loaded_is_named(ambidex: Callable[..., Done], registered: Path) -> None:
    (registered / "scripted_backend.py").write_text("raise RuntimeError('broken')")
    done = ambidex("models")
    assert done.code == 0
    assert "cannot be loaded: RuntimeError: broken" in done.out


def test_a_narrow_terminal_loses_nothing(on_terminal: Callable[..., Terminal]) -> None:
    done = on_terminal("models", COLUMNS="24").end()
    assert done.code == 0
    assert "OpenAI-compatible" in done.out
    assert "local:pocket" in done.out


def test_a_cache_that_is_no_folder_holds_no_models(ambidex: Callable[..., Done], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = ambidex("models", HF_HUB_CACHE=str(tmp_path / "file"))
    assert done.code == 0
    assert "local:pocket" in done.out
