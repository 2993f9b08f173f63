"""A pass of fixed sizes, recorded once and replayed.

A token of one sequence takes some hundred small kernels. Launched one by one from Python they take longer than they
compute; a CUDA graph launches them all at once. It always reads the same memory and writes into the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from .rows import Rows

WARM_UPS = 2
"""Passes before the one that is recorded: libraries choose their kernels and take their memory in them."""


class StepGraph:
    """`step` on `device`; it must do the same whatever `rows` hold. On other devices than CUDA it is called as it is.

    `pool`: a handle of CUDA's memory that graphs share which are never replayed at the same time, or None.
    """

    def __init__(
        self, step: Callable[[Rows], torch.Tensor], rows: Rows, device: torch.device, pool: Any
    ) -> None:
        """Computes `rows` some times, if it records them."""
        self._step, self._rows = step, rows.on(device)
        self._graph: torch.cuda.CUDAGraph | None = None
        if device.type == "cuda":
            self._record(device, pool)

    def __call__(self, rows: Rows) -> torch.Tensor:
        """What `step` gives for `rows`, which have the sizes of the first ones."""
        self._rows.packed.copy_(rows.packed)
        if self._graph is None:
            return self._step(self._rows)
        self._graph.replay()
        return self._result.clone()

    def _record(self, device: torch.device, pool: Any) -> None:
        with torch.cuda.device(device):
            aside = torch.cuda.Stream(device)
            aside.wait_stream(torch.cuda.current_stream(device))
            with torch.cuda.stream(aside):
                for _ in range(WARM_UPS):
                    self._step(self._rows)
            torch.cuda.current_stream(device).wait_stream(aside)
            graph = torch.cuda.CUDAGraph()
            # other threads of the program may use the device meanwhile
            with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
                self._result = self._step(self._rows)
            self._graph = graph
