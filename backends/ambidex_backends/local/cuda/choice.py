"""Whether a model is computed by our own passes on a GPU, and the model if it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ambidex_backends.local.native.architecture import Architecture, read_architecture
from ambidex_backends.local.native.checkpoint import Checkpoint
from ambidex_backends.local.native.stored import block_size, stored_as
from ambidex_backends.local.native.weights import Weights

from .dense import DenseReader
from .model import CudaModel

FORMATS = (None, "fp8")


def cuda_model(
    folder: Path, config: Any, device: torch.device, dtype: torch.dtype, cache_bytes: int
) -> CudaModel | None:
    """The model, or None where transformers computes it.

    Raises `ModelLoadError` where the weights do not fit the configuration.
    """
    shape = read_architecture(config)
    if device.type != "cuda" or shape is None or not is_computed(shape) or stored_as(config) not in FORMATS:
        return None
    reader = DenseReader(Checkpoint(folder, block_size(config)), dtype, device)
    with torch.inference_mode():
        return CudaModel(shape, Weights(shape, reader, dtype), cache_bytes)


def is_computed(shape: Architecture) -> bool:
    """Mixtures of experts choose by numbers on the device, which a recorded pass cannot; gpt-oss has sinks, too."""
    return shape.experts is None and shape.gate != "clamped"
