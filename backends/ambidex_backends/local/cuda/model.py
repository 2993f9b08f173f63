"""A Llama-shaped model on a GPU: sequences that go on by one token go through it together."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ambidex_backends.local.model import Span
from ambidex_backends.local.native.architecture import Architecture
from ambidex_backends.local.native.block_model import BlockModel
from ambidex_backends.local.native.blocks import BLOCK, BlockCache
from ambidex_backends.local.native.weights import Weights

from .dense import Dense
from .forward import Forward
from .pool import SCRAP, ZEROS, DevicePool
from .rows import Rows
from .step_graphs import Recorder, StepGraphs

FEWEST_BLOCKS = 16
"""Of a sequence in a pass. Each next size has twice as many: libraries prepare themselves for each size anew."""


class CudaModel(BlockModel[Dense, DevicePool]):
    """Implements `Model`. It is PyTorch alone, so that it computes on any device; only CUDA has a `recorder`.

    `cache_bytes`: keys and values, taken with the first request. Logits are given on the CPU, where tokens are picked:
    each look at a number on a GPU waits for it.
    """

    def __init__(
        self, shape: Architecture, weights: Weights[Dense], cache_bytes: int, recorder: Recorder | None = None
    ) -> None:
        embedding = weights.embedding.weight
        self._device = embedding.device
        super().__init__(shape.vocabulary, weights, DevicePool(shape, embedding.dtype, self._device, cache_bytes))
        self._forward = Forward(shape, weights)
        self._graphs = StepGraphs(self._step, self._device, recorder)
        self._moved = self.pool.moved

    def forward(self, spans: Sequence[Span]) -> list[torch.Tensor]:
        """Float32 logits `[scored, V]` for each span.

        Those of one id with about as many blocks go through the model together, each other one in a pass of its own.
        """
        caches = [_blocks_of(span) for span in spans]
        for span, cache in zip(spans, caches, strict=True):
            if min(span.ids) < 0 or max(span.ids) >= self.vocabulary:  # on a GPU that would end the process
                raise ValueError(f"ids must be within 0 and {self.vocabulary - 1}, got {list(span.ids)}")
            cache.reserve(len(span.ids))
        if self._moved != self.pool.moved:
            self._graphs.clear()
            self._moved = self.pool.moved
        logits: dict[int, torch.Tensor] = {}
        steps: dict[int, list[int]] = {}
        for index, (span, cache) in enumerate(zip(spans, caches, strict=True)):
            if len(span.ids) == span.scored == 1:
                steps.setdefault(_room_for(cache), []).append(index)
            else:
                end = len(span.ids)
                rows = self._rows([span]).on(self._device)
                logits[index] = self._forward(rows, self.pool.storage, slice(end - span.scored, end))[0]
        for indices in steps.values():
            logits.update(zip(indices, self._graphs(self._rows([spans[index] for index in indices])), strict=False))
        given = [logits[index].to("cpu", copy=True) for index in range(len(spans))]
        for span, cache in zip(spans, caches, strict=True):
            cache.append(span.ids)
        return given

    def clear(self) -> None:
        """Frees what is kept, and the recorded steps, which hold it too."""
        self._graphs.clear()
        super().clear()

    def _step(self, rows: Rows) -> torch.Tensor:
        """Logits `[S, 1, V]` of rows of one id."""
        return self._forward(rows, self.pool.storage, slice(0, 1))

    def _rows(self, spans: Sequence[Span]) -> Rows:
        """The spans, all of one length and about as many blocks, filled up to one of a few sizes."""
        caches = [_blocks_of(span) for span in spans]
        length, room = len(spans[0].ids), max(map(_room_for, caches))
        count, width = _power_of_two(len(spans)), _power_of_two(length)
        rows = Rows(torch.zeros(count, 3 * width + room, dtype=torch.long), width)
        rows.slots.fill_(SCRAP * BLOCK)
        rows.blocks.fill_(ZEROS)
        for row, cache in enumerate(caches):
            rows.blocks[row, : len(cache.addresses)] = cache.addresses
        used = len(spans), length
        positions = torch.tensor([[cache.length] for cache in caches]) + torch.arange(length)
        rows.ids[: used[0], : used[1]] = torch.tensor([list(span.ids) for span in spans])
        rows.positions[: used[0], : used[1]] = positions
        slots = rows.blocks[: used[0]].gather(1, positions // BLOCK) * BLOCK + positions % BLOCK
        rows.slots[: used[0], : used[1]] = slots
        return rows


def _blocks_of(span: Span) -> BlockCache:
    assert isinstance(span.cache, BlockCache)
    return span.cache


def _room_for(cache: BlockCache) -> int:
    """Blocks of a pass that holds it."""
    return max(FEWEST_BLOCKS, _power_of_two(len(cache.addresses)))


def _power_of_two(number: int) -> int:
    """The least one that is not below `number`."""
    return 1 << (number - 1).bit_length()
