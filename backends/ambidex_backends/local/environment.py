"""What this machine has for models in this process; for `ambidex env`."""

from __future__ import annotations

import torch

from .native.library import state
from .weights import pick_device


def facts() -> dict[str, str]:
    """PyTorch's version, the device that "auto" means, how many threads compute on a CPU, and its kernels."""
    device = pick_device("auto")
    found = {"torch": torch.__version__, "on": str(device)}
    if device.type == "cuda":
        found["GPU"] = torch.cuda.get_device_name(device)
    if device.type == "cpu":
        found["threads"] = str(torch.get_num_threads())
        found["kernels"] = state()
    return found
