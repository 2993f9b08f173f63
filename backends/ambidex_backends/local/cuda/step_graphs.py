"""Passes of a few sizes, each recorded once and replayed.

A token of one sequence takes some hundred small kernels. Launched one by one from Python they take longer than they
compute; a CUDA graph launches them all at once. It always reads the same memory and writes into the same.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Protocol

import torch

from .rows import Rows

Step = Callable[[Rows], torch.Tensor]
"""Computes rows that are on its device. It must do the same whatever they hold."""

WARM_UPS = 2
"""Passes before the one that is recorded: libraries choose their kernels and take their memory in them."""

MOST_FAILURES = 2
"""Recordings that fail before no other one is tried."""

_recording = threading.Lock()
"""CUDA records one thread's work at a time, and PyTorch one graph of a process."""

_log = logging.getLogger("ambidex")


class Recorder(Protocol):
    """Records passes on one device."""

    def record(self, step: Step, rows: Rows) -> Callable[[], torch.Tensor]:
        """`step` on `rows`, to be replayed with whatever they hold then. Gives the same tensor each time."""
        ...

    def forget(self) -> None:
        """All that was recorded is dropped."""
        ...


class StepGraphs:
    """Computes rows by `step`: by what was recorded for their size, or as they are without a `recorder`.

    Graphs are dropped all together, never singly: they share a stream and what libraries keep for it.
    """

    def __init__(self, step: Step, device: torch.device, recorder: Recorder | None) -> None:
        self._step, self._device, self._recorder = step, device, recorder
        self._recorded: dict[torch.Size, tuple[Rows, Callable[[], torch.Tensor]]] = {}
        self._failures = 0

    def __len__(self) -> int:
        """Sizes that are recorded."""
        return len(self._recorded)

    def __call__(self, rows: Rows) -> torch.Tensor:
        """What `step` gives for `rows`, which need not be on its device."""
        size = rows.packed.shape
        if size not in self._recorded and not self._record(rows):
            return self._step(rows.on(self._device))
        place, replay = self._recorded[size]
        place.packed.copy_(rows.packed)
        return replay().clone()

    def clear(self) -> None:
        """What was recorded reads memory that is no more."""
        self._recorded.clear()
        if self._recorder is not None:
            self._recorder.forget()

    def _record(self, rows: Rows) -> bool:
        """Whether it could be. It is as correct without, but slower."""
        if self._recorder is None or self._failures == MOST_FAILURES:
            return False
        place = rows.on(self._device)
        try:
            self._recorded[rows.packed.shape] = place, self._recorder.record(self._step, place)
        except RuntimeError as error:  # out of memory, too: without recording there may be enough
            self.clear()
            self._failures += 1
            _log.warning("A pass could not be recorded as a CUDA graph, and runs slower: %s", error)
            return False
        return True


class CudaRecorder:
    """Records on a CUDA device, on a stream of its own."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)
        self._memory = torch.cuda.graph_pool_handle()

    def record(self, step: Step, rows: Rows) -> Callable[[], torch.Tensor]:
        with _recording, torch.cuda.device(self._device):
            usual = torch.cuda.current_stream(self._device)
            self._stream.wait_stream(usual)
            try:
                with torch.cuda.stream(self._stream):
                    for _ in range(WARM_UPS):
                        step(rows)
                    self._stream.synchronize()
                    graph = torch.cuda.CUDAGraph()
                    graph.capture_begin(pool=self._memory, capture_error_mode="thread_local")
                    try:
                        result = step(rows)
                    finally:
                        graph.capture_end()
            finally:
                usual.wait_stream(self._stream)

        def replay() -> torch.Tensor:
            graph.replay()
            return result

        return replay

    def forget(self) -> None:
        self._memory = torch.cuda.graph_pool_handle()  # PyTorch frees the former one with its last graph
