"""What says that there is no memory left."""

from __future__ import annotations

import torch


def is_out_of_memory(error: BaseException) -> bool:
    """PyTorch has an error of its own for devices, and a `RuntimeError` with these words on the CPU."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error)
