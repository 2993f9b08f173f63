"""Bad folders: each gives a typed error that says what to do, and nothing in them is run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ambidex.errors import (
    AmbidexError,
    ConfigError,
    CorruptWeights,
    ModelLoadError,
    ModelNotFound,
    UntrustedArtifact,
    VocabMismatch,
)
from ambidex_backends.local import weights
from ambidex_backends.local.model import Span
from ambidex_backends.local.weights import find_folder, load

from .conftest import save_model


@pytest.fixture
def folder(model_folder: Callable[[str], Path], tmp_path: Path) -> Path:
    """A copy of a good model, to be spoiled."""
    return Path(shutil.copytree(model_folder("llama"), tmp_path / "model"))


def loading(folder: Path) -> weights.LoadedModel:
    return load(str(folder), device="cpu", dtype="float32")


def edit_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_names_that_are_no_model() -> None:
    with pytest.raises(ModelNotFound, match="no folder '/no/such'"):
        find_folder("/no/such")
    with pytest.raises(ConfigError, match="neither"):
        find_folder("a b c")


def test_a_hub_model_that_is_not_cached_and_not_to_be_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ModelNotFound, match="not in the local cache"):
        find_folder("ambidex-test/never-there", local_files_only=True)


def test_a_hub_model_in_the_cache_loads_by_id_and_revision(
    model_folder: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub.constants

    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "models--some-org--small-model"
    shutil.copytree(model_folder("llama"), repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "v1.0").write_text(commit)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    for name, revision in (("some-org/small-model@v1.0", None), ("some-org/small-model", "v1.0")):
        assert load(name, device="cpu", dtype="float32", revision=revision).folder.name == commit
    with pytest.raises(ModelNotFound, match="not in the local cache"):
        find_folder("some-org/small-model@v2.0")


def test_a_folder_here_needs_its_dot(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    with pytest.raises(ConfigError, match=r"\./model"):
        find_folder("model")
    assert find_folder("./model").samefile(folder)


def test_sharded_weights_load(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    names = sorted(tensors)
    shards = {"model-00001.safetensors": names[::2], "model-00002.safetensors": names[1::2]}
    for shard, held in shards.items():
        save_file({name: tensors[name] for name in held}, folder / shard, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": {name: shard for shard, held in shards.items() for name in held}}
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert loading(folder).model.vocabulary == 384
    (folder / "model-00002.safetensors").unlink()
    with pytest.raises(ModelNotFound, match="model-00002"):
        loading(folder)
    index["weight_map"] = {names[0]: "../outside.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(UntrustedArtifact, match="outside"):
        loading(folder)


@pytest.mark.parametrize("kernels", [None, False])
def test_an_index_beside_a_whole_file_is_not_read(folder: Path, kernels: bool | None) -> None:
    tensors = load_file(folder / "model.safetensors")
    save_file({name: torch.zeros_like(each) for name, each in tensors.items()}, folder / "old.safetensors")
    index = folder / "model.safetensors.index.json"
    for shard in ("old.safetensors", "gone.safetensors", "../outside.safetensors"):
        index.write_text(json.dumps({"weight_map": dict.fromkeys(tensors, shard)}))
        model = load(str(folder), device="cpu", dtype="float32", kernels=kernels).model
        cache = model.open([5, 6, 7])
        assert model.forward([Span([5, 6, 7], cache, 1)])[0].abs().max() > 0, shard
    assert loading(folder).model.vocabulary == 384


@pytest.mark.parametrize("keep", [0, 4, 60, 0.5, 0.99])
def test_truncated_weights(folder: Path, keep: float) -> None:
    path = folder / "model.safetensors"
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data)) if isinstance(keep, float) else keep])
    with pytest.raises(CorruptWeights, match="truncated or damaged"):
        loading(folder)


def test_damaged_headers_are_never_a_foreign_error(folder: Path) -> None:
    path = folder / "model.safetensors"
    data = path.read_bytes()
    for position in [*range(10), 20, 40, 80]:
        path.write_bytes(data[:position] + bytes([data[position] ^ 0xFF]) + data[position + 1 :])
        with pytest.raises(AmbidexError):
            loading(folder)


def test_missing_weights_would_be_random_numbers(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    dropped = next(name for name in tensors if "mlp" in name)
    del tensors[dropped]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelLoadError, match="missing keys"):
        loading(folder)
    edit_config(folder, intermediate_size=17)
    with pytest.raises(ModelLoadError):
        loading(folder)


def test_missing_and_broken_files(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "moved")
    with pytest.raises(ModelNotFound, match=r"no model\.safetensors"):
        loading(folder)
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04")
    with pytest.raises(UntrustedArtifact, match="pickles"):
        loading(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(ModelLoadError, match="cannot be read"):
        loading(folder)
    (folder / "config.json").unlink()
    with pytest.raises(ModelNotFound, match=r"no config\.json"):
        loading(folder)


def test_code_in_a_model_is_refused_and_not_run(folder: Path) -> None:
    canary = folder / "canary"
    (folder / "modeling.py").write_text(f"open({str(canary)!r}, 'w')")
    edit_config(folder, model_type="own-thing", auto_map={"AutoModelForCausalLM": "modeling.Model"})
    with pytest.raises(UntrustedArtifact, match="auto_map"):
        loading(folder)
    edit_config(folder, model_type="no-such-type", auto_map=None)
    (folder / "config.json").write_text(json.dumps({"model_type": "no-such-type"}))
    with pytest.raises(ModelLoadError, match="no-such-type"):
        loading(folder)
    assert not canary.exists()


def test_a_tokenizer_with_more_ids_than_embeddings(tmp_path: Path) -> None:
    save_model(tmp_path, "llama", {"vocab_size": 200})
    with pytest.raises(VocabMismatch, match="200 embeddings"):
        loading(tmp_path)


def test_devices_and_dtypes(folder: Path) -> None:
    with pytest.raises(ConfigError, match="device='nonsense'"):
        load(str(folder), device="nonsense", dtype="auto")
    with pytest.raises(ConfigError, match="dtype takes"):
        load(str(folder), device="cpu", dtype="int4")
    edit_config(folder, dtype="float16")
    assert str(load(str(folder), device="cpu", dtype="auto").dtype) == "torch.float32", "float16 is slow on a CPU"
