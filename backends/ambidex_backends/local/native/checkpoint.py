"""The tensors of a model's folder, read one at a time, so that no second copy of the weights is ever in memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from ambidex.errors import ModelLoadError

MOST_MAPPED = 16 << 20
"""Bytes read from files before they are opened anew: what was read of a mapped file counts as this process's memory."""


class Checkpoint:
    """The safetensors files of `folder`, sharded or not. The caller has checked that they are whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[str, Any] = {}
        self._read = 0
        index = folder / "model.safetensors.index.json"
        if index.is_file():
            self._files: dict[str, str] = json.loads(index.read_text("utf-8"))["weight_map"]
        else:
            self._files = dict.fromkeys(self._file("model.safetensors").keys(), "model.safetensors")

    def __contains__(self, name: str) -> bool:
        return name in self._files

    def tensor(self, name: str, *shape: int) -> torch.Tensor:
        """The tensor of that name. Raises `ModelLoadError` if it is missing or of another shape."""
        if name not in self._files:
            raise ModelLoadError(f"The weights in {self._folder} do not fit their config.json: missing keys: {name}.")
        found: torch.Tensor = self._file(self._files[name]).get_tensor(name)
        self._read += found.nbytes
        if self._read > MOST_MAPPED:
            self._open.clear()
            self._read = 0
        if found.shape != shape:
            raise ModelLoadError(
                f"The weights in {self._folder} do not fit their config.json: mismatched keys: {name} is "
                f"{list(found.shape)}, expected {list(shape)}."
            )
        return found

    def _file(self, name: str) -> Any:
        if name not in self._open:
            self._open[name] = safe_open(self._folder / name, framework="pt")
        return self._open[name]
