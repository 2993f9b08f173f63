"""The likeliest token."""

from __future__ import annotations

import math

import torch

from .native import draw as native


def peak(scores: torch.Tensor) -> int | None:
    """The id of the greatest of `scores` [V], the first of equals; None where it is not finite, or one is NaN."""
    if (library := native.library_for(scores)) is not None:
        return native.peak(library, scores)
    return int(scores.argmax()) if math.isfinite(float(scores.max())) else None
