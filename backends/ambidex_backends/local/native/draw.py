"""Drawing a token by the kernels' own code (draw.c), where they are loaded."""

from __future__ import annotations

import ctypes

import torch

from .library import loaded


def draw(scores: torch.Tensor, key: int) -> int | None:
    """The id that `scores` [V] and the noise of `key` give; None where it is to be found without the kernels."""
    library = loaded()
    if library is None or scores.device.type != "cpu" or scores.dtype is not torch.float32:
        return None
    scores = scores.contiguous()
    drawn = library.draw(ctypes.c_void_p(scores.data_ptr()), ctypes.c_int64(scores.numel()), ctypes.c_uint64(key))
    return None if drawn < 0 else int(drawn)
