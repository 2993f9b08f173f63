"""Whether a model is computed by our own kernels, and the model if it is."""

from __future__ import annotations

import functools
import logging
import sys
from pathlib import Path
from typing import Any, Literal

import torch

from ambidex.errors import Unsupported

from .architecture import read_architecture
from .checkpoint import Checkpoint
from .library import NoKernels, kernels
from .matrix import Kind
from .matrix_reader import MatrixReader
from .model import NativeModel
from .stored import FORMATS, block_size, stored_as
from .weights import Weights

Quantize = Literal["int8", "int4"]

FLOATS: dict[torch.dtype, Kind] = {torch.float32: "float32", torch.bfloat16: "bfloat16"}

_log = logging.getLogger("ambidex")


def native_model(
    folder: Path,
    config: Any,
    device: torch.device,
    dtype: torch.dtype,
    quantize: Quantize | None,
    wanted: bool | None,
    cache_bytes: int,
) -> NativeModel | None:
    """The model, or None where transformers computes it: `wanted` is False, or there is no way and None.

    Raises `Unsupported` where it was asked for and cannot be had, and for `quantize` with it, since only the kernels
    multiply with quantised weights; `ModelLoadError` where the weights do not fit the configuration.
    """
    if wanted is False and quantize is None:
        return None
    architecture = read_architecture(config)
    obstacle = _obstacle(config, device, dtype, architecture is not None, wanted)
    if architecture is not None and obstacle is None:
        kind: Kind = quantize or FLOATS[dtype]
        reader = MatrixReader(Checkpoint(folder, block_size(config)), kind)
        return NativeModel(architecture, Weights(architecture, reader, dtype), cache_bytes)
    if quantize is not None:
        raise Unsupported(f"quantize={quantize!r} needs the kernels for CPUs, but {obstacle}.", param="quantize")
    if wanted:
        raise Unsupported(f"kernels=True cannot be had: {obstacle}.", param="kernels")
    return None


def _obstacle(config: Any, device: torch.device, dtype: torch.dtype, known: bool, wanted: bool | None) -> str | None:
    """Why the kernels cannot compute this model; None if they can."""
    if wanted is False:
        return "kernels=False was asked for"
    if device.type != "cpu":
        return f"the model is on {device}"
    if not known:
        return f"they do not know the architecture {config.model_type!r} with these settings"
    if (stored := stored_as(config)) not in FORMATS:
        return f"they do not read weights that are stored as {stored!r}"
    if dtype not in FLOATS:
        return f"they compute in float32 and bfloat16, not in {str(dtype).removeprefix('torch.')}"
    try:
        kernels()
    except NoKernels as missing:
        _say_once(str(missing))
        return str(missing)
    return None


@functools.cache
def _say_once(reason: str) -> None:
    """Without a compiler everything works, but several times slower: worth a line."""
    line = f"Models on the CPU run several times slower than they could, since {reason}."
    _log.warning(line)
    if sys.stderr.isatty():
        print(line, file=sys.stderr)
