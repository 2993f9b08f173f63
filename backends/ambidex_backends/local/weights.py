"""From a model's name to its folder, and from a folder to a model in memory. Nothing in the folder is trusted."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)
from huggingface_hub.utils.tqdm import tqdm
from safetensors import SafetensorError, safe_open
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig, PreTrainedTokenizerBase
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from ambidex.errors import (
    AmbidexError,
    ConfigError,
    ConnectError,
    CorruptWeights,
    ModelLoadError,
    ModelNotFound,
    PermissionDenied,
    UntrustedArtifact,
    VocabMismatch,
)

from .cuda import cuda_model
from .model import Model
from .native import Quantize, native_model
from .quick_imports import import_configurations

import_configurations()

POCKET = Path(__file__).parent / "pocket"
WANTED_FILES = ["*.json", "*.safetensors", "*.jinja", "*.model", "*.txt"]
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model ready to compute, with what its folder says about it."""

    folder: Path
    model: Model
    embeddings: int  # how many ids it has embeddings for
    config: Any  # transformers' configuration
    generation: Any  # transformers' GenerationConfig
    tokenizer: PreTrainedTokenizerBase
    device: torch.device
    dtype: torch.dtype


def load(
    name: str,
    *,
    device: str,
    dtype: str,
    quantize: Quantize | None = None,
    kernels: bool | None = None,
    cuda_graphs: bool = False,
    cache_bytes: int = 0,
    deterministic: bool = False,
    revision: str | None = None,
    local_files_only: bool | None = None,
) -> LoadedModel:
    """The model `name`: "pocket", a folder, or a Hub id with an optional "@revision".

    Raises `ModelNotFound`, `CorruptWeights`, `UntrustedArtifact`, `VocabMismatch`, `ModelLoadError`, `Unsupported`; for
    the Hub also `PermissionDenied` and `ConnectError`.
    """
    folder = find_folder(name, revision=revision, local_files_only=local_files_only)
    config = _read_config(folder)
    _check_weights(folder)
    place = pick_device(device)
    kind = pick_dtype(dtype, config, place)
    with _quiet_transformers(), _translated(folder):
        settings = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        model: Model | None = native_model(folder, settings, place, kind, quantize, kernels, cache_bytes)
        if model is None or cuda_graphs:  # which cannot be had with our kernels: that is said there
            wanted = False if deterministic else kernels
            model = cuda_model(folder, settings, place, kind, wanted, cuda_graphs, cache_bytes)
        if model is None:
            model = _transformers_model(folder, settings, place, kind, cache_bytes, deterministic)
        generation = _generation_config(folder, settings)
    _check_tokenizer(folder, model.vocabulary, tokenizer)
    return LoadedModel(folder, model, model.vocabulary, settings, generation, tokenizer, place, kind)


def _transformers_model(
    folder: Path, settings: Any, place: torch.device, kind: torch.dtype, cache_bytes: int, deterministic: bool
) -> Model:
    from .transformers_model import TransformersModel  # as slow to import as PyTorch, and most models do without

    loaded: Any = AutoModelForCausalLM.from_pretrained(
        folder,
        config=settings,
        dtype=kind,
        use_safetensors=True,
        trust_remote_code=False,
        output_loading_info=True,
    )
    model, report = loaded
    _check_report(folder, report)
    model = model.to(place).eval().requires_grad_(False)
    return TransformersModel(model, cache_bytes, deterministic=deterministic)


def _generation_config(folder: Path, settings: Any) -> GenerationConfig:
    """The folder's, else what the configuration itself says."""
    path = folder / "generation_config.json"
    if path.is_file():
        try:
            return GenerationConfig.from_pretrained(folder)
        except Exception as error:
            problem = f"{type(error).__name__}: {_first_line(error)}"
            raise ModelLoadError(f"{path} cannot be read: {problem} Correct it, or take it out.") from None
    return GenerationConfig.from_model_config(settings)


def find_folder(name: str, *, revision: str | None = None, local_files_only: bool | None = None) -> Path:
    """The folder of a model; a Hub model is downloaded first (config, tokenizer, template and safetensors only)."""
    if name == "pocket":
        return POCKET
    if name.startswith(("./", "../", "/", "~")) or Path(name).is_absolute():
        folder = _without_tilde(name)
        if not _is_folder(folder):
            raise ModelNotFound(
                f"There is no folder {str(folder)!r}. Give the folder that holds the model's config.json."
            )
        return folder
    repository, _, at = name.partition("@")
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", repository):
        raise ConfigError(f"{name!r} is neither 'pocket', a folder (./, ../, ~ or /) nor a Hub id such as 'org/name'.")
    if _is_folder(Path(repository)):
        raise ConfigError(f"{name!r} is read as a Hub id, but a folder of that name is here: write './{repository}'.")
    return _download(repository, revision or at or None, local_files_only)


def _without_tilde(name: str) -> Path:
    try:
        return Path(name).expanduser()
    except RuntimeError as error:
        raise ModelNotFound(f"{name!r} is no folder: {error}") from None


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # too long, or not to be read
        return False


def pick_device(device: str) -> torch.device:
    """ "auto" is CUDA, else MPS, else the CPU."""
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        place = torch.device(device)
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        raise ConfigError(
            f"device={device!r} is not to be had here: {_first_line(error)}. Use 'auto' or 'cpu'."
        ) from None
    return place


def pick_dtype(dtype: str, config: dict[str, Any], device: torch.device) -> torch.dtype:
    """ "auto" is the dtype of the checkpoint, but float32 instead of float16 on a CPU, which computes it slowly."""
    if dtype == "auto":
        named = config.get("dtype") or config.get("torch_dtype") or "float32"
        kind = DTYPES.get(str(named), torch.float32)
        return torch.float32 if kind is torch.float16 and device.type == "cpu" else kind
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise ConfigError(f"dtype takes 'auto', {', '.join(map(repr, DTYPES))}, got {dtype!r}.")
    return DTYPES[dtype]


def _download(repository: str, revision: str | None, local_files_only: bool | None) -> Path:
    quiet = not sys.stderr.isatty()
    try:
        path = snapshot_download(
            repository,
            revision=revision,
            local_files_only=bool(local_files_only),
            allow_patterns=WANTED_FILES,
            ignore_patterns=["*/*"],
            tqdm_class=_NoProgress if quiet else None,
        )
    except GatedRepoError:
        raise PermissionDenied(
            f"{repository!r} is gated: accept its terms on its page on the Hub, "
            "and set HF_TOKEN to a token that may read it."
        ) from None
    except RepositoryNotFoundError:
        raise ModelNotFound(
            f"The Hub has no model {repository!r}, or it is private and HF_TOKEN may not read it."
        ) from None
    except HFValidationError as error:
        raise ConfigError(f"{repository[:100]!r} is no Hub id: {_first_line(error)}") from None
    except LocalEntryNotFoundError:
        raise ModelNotFound(
            f"{repository!r} is not in the local cache, and the Hub was not asked or not reached "
            "(HF_HUB_OFFLINE, local_files_only, or no network). Download it once with network, or give a folder."
        ) from None
    except HfHubHTTPError as error:
        status = error.response.status_code
        raise ConnectError(f"The Hub answered {status} for {repository!r}.", status=status, phase="read") from None
    except Exception as error:
        raise ConnectError(
            f"{repository!r} could not be downloaded: {type(error).__name__}: {_first_line(error)}"
        ) from None
    return Path(path)


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ModelNotFound(f"{folder} has no config.json: it is not the folder of a Hugging Face model.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ModelLoadError(f"{path} cannot be read: {_first_line(error)}") from None
    if not isinstance(config, dict):
        raise ModelLoadError(f"{path} must hold a JSON object, it holds {type(config).__name__}.")
    kind = config.get("model_type")
    if not isinstance(kind, str) or kind not in CONFIG_MAPPING:
        if "auto_map" in config:
            raise UntrustedArtifact(f"{folder} needs Python code of its own (auto_map in config.json). It is not run.")
        raise ModelLoadError(
            f"{path} names model_type {kind!r}, which transformers {transformers.__version__} does not know."
        )
    return config


def _check_weights(folder: Path) -> None:
    """Every weights file is there, whole, and safetensors."""
    index = folder / "model.safetensors.index.json"
    if index.is_file() and not (folder / "model.safetensors").is_file():  # else it is not read: it may be an old one
        try:
            shards = sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values()))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise CorruptWeights(f"{index} cannot be read: {type(error).__name__}: {_first_line(error)}") from None
        if outside := [shard for shard in shards if not isinstance(shard, str) or Path(shard).name != shard]:
            raise UntrustedArtifact(f"{index} names files outside its folder: {outside[0]!r}.")
    else:
        shards = ["model.safetensors"]
    for shard in shards:
        path = folder / shard
        if not path.is_file():
            if pickled := sorted(
                file.name for kind in ("*.bin", "*.pt", "*.pth", "*.ckpt") for file in folder.glob(kind)
            ):
                raise UntrustedArtifact(
                    f"{folder} has its weights only as pickles ({pickled[0]}), which can run code when read. "
                    "They are refused: convert them to safetensors first."
                )
            raise ModelNotFound(f"{folder} has no {shard}: its weights are missing.")
        try:
            with safe_open(path, framework="pt") as file:
                file.keys()
        except (SafetensorError, OSError, ValueError) as error:
            raise CorruptWeights(f"{path} is truncated or damaged: {_first_line(error)}. Download it again.") from None


def _check_report(folder: Path, report: dict[str, Any]) -> None:
    """Weights that are missing or of the wrong shape would be random numbers."""
    for what in ("missing_keys", "mismatched_keys", "error_msgs"):
        if names := sorted(str(name) for name in report.get(what) or ()):
            shown = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
            raise ModelLoadError(
                f"The weights in {folder} do not fit their config.json: {what.replace('_', ' ')}: {shown}."
            )


def _check_tokenizer(folder: Path, rows: int, tokenizer: PreTrainedTokenizerBase) -> None:
    if not getattr(tokenizer, "is_fast", False):
        raise ModelLoadError(f"{folder} has no tokenizer.json, and its tokenizer cannot be converted to one.")
    if len(tokenizer) > rows and max(tokenizer.get_vocab().values()) >= rows:
        raise VocabMismatch(
            f"The tokenizer in {folder} has ids up to {len(tokenizer) - 1}, the model has {rows} embeddings."
        )


@contextmanager
def _translated(folder: Path) -> Generator[None]:
    """Whatever transformers raises, as our error."""
    try:
        yield
    except AmbidexError:
        raise
    except torch.OutOfMemoryError as error:
        raise ModelLoadError(f"{folder} does not fit into the device's memory: {_first_line(error)}") from None
    except SafetensorError as error:
        raise CorruptWeights(f"The weights in {folder} are damaged: {_first_line(error)}") from None
    except Exception as error:
        raise ModelLoadError(f"{folder} cannot be loaded: {type(error).__name__}: {_first_line(error)}") from error


@contextmanager
def _quiet_transformers() -> Generator[None]:
    """Progress on a terminal only, and no reports: what matters in them is raised."""
    logging_of = transformers.utils.logging
    verbosity, progress = logging_of.get_verbosity(), logging_of.is_progress_bar_enabled()
    logging_of.set_verbosity(logging.CRITICAL)
    if not sys.stderr.isatty():
        logging_of.disable_progress_bar()
    try:
        yield
    finally:
        logging_of.set_verbosity(verbosity)
        if progress:
            logging_of.enable_progress_bar()


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__


class _NoProgress(tqdm):
    """Downloads without a progress bar."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "disable": True})  # type: ignore[no-untyped-call]  # tqdm is untyped
