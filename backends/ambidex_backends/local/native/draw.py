"""Drawing a token, or the likeliest one, by the kernels' own code (draw.c), where they are loaded."""

from __future__ import annotations

import ctypes

import torch

from .library import loaded


def library_for(scores: torch.Tensor) -> ctypes.CDLL | None:
    """The kernels, if they are loaded and can read these scores."""
    return loaded() if scores.device.type == "cpu" and scores.dtype is torch.float32 else None


def draw(scores: torch.Tensor, key: int) -> int | None:
    """The id that `scores` [V] and the noise of `key` give; None where it is to be found without the kernels."""
    if (library := library_for(scores)) is None:
        return None
    scores = scores.contiguous()
    drawn = library.draw(ctypes.c_void_p(scores.data_ptr()), ctypes.c_int64(scores.numel()), ctypes.c_uint64(key))
    return None if drawn < 0 else int(drawn)


def peak(library: ctypes.CDLL, scores: torch.Tensor) -> int | None:
    """The id of the greatest of `scores` [V], the first of equals; None where it is not finite, or one is NaN."""
    scores = scores.contiguous()
    found = library.peak(ctypes.c_void_p(scores.data_ptr()), ctypes.c_int64(scores.numel()))
    return None if found < 0 else int(found)
