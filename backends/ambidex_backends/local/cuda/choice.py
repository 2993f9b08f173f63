"""Whether a model is computed by our own passes on a GPU, and the model if it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ambidex.errors import Unsupported
from ambidex_backends.local.native.architecture import Architecture, read_architecture
from ambidex_backends.local.native.checkpoint import Checkpoint
from ambidex_backends.local.native.stored import block_size, stored_as
from ambidex_backends.local.native.weights import Weights

from .dense import DenseReader
from .model import CudaModel
from .step_graphs import CudaRecorder

FORMATS = (None, "fp8")
"""How weights may be stored; None: as floats."""


def cuda_model(
    folder: Path,
    config: Any,
    device: torch.device,
    dtype: torch.dtype,
    wanted: bool | None,
    cuda_graphs: bool,
    cache_bytes: int,
) -> CudaModel | None:
    """The model, or None where transformers computes it: `wanted` is False, or there is no way.

    Raises `Unsupported` where `cuda_graphs` were asked for and cannot be had, `ModelLoadError` where the weights do not
    fit the configuration.
    """
    shape = read_architecture(config)
    obstacle = _obstacle(config, device, shape, wanted)
    if shape is None or obstacle is not None:
        if cuda_graphs:
            raise Unsupported(f"cuda_graphs=True cannot be had: {obstacle}.", param="cuda_graphs")
        return None
    reader = DenseReader(Checkpoint(folder, block_size(config)), dtype, device)
    with torch.inference_mode():
        recorder = CudaRecorder(device) if cuda_graphs else None
        return CudaModel(shape, Weights(shape, reader, dtype), cache_bytes, recorder)


def _obstacle(config: Any, device: torch.device, shape: Architecture | None, wanted: bool | None) -> str | None:
    """Why the model is not computed here; None if it is."""
    if device.type != "cuda":
        return f"the model is on {device}"
    if wanted is False:
        return "kernels=False and deterministic=True are computed by transformers"
    if shape is None or shape.experts is not None:
        return f"the architecture {config.model_type!r} with these settings is computed by transformers"
    if (stored := stored_as(config)) not in FORMATS:
        return f"weights that are stored as {stored!r} are computed by transformers"
    return None
