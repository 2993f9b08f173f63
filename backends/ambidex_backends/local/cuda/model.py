"""A Llama-shaped model on a GPU: sequences that go on by one token go through it together, in recorded passes."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch

from ambidex_backends.local.model import SequenceCache, Span
from ambidex_backends.local.native.architecture import Architecture
from ambidex_backends.local.native.blocks import BLOCK, BlockCache
from ambidex_backends.local.native.weights import Weights

from .dense import Dense
from .forward import Forward
from .pool import SCRAP, DevicePool
from .rows import Rows
from .step_graph import StepGraph

FEWEST_BLOCKS = 16
"""Of a recorded pass. Each next size has twice as many blocks; the numbers of sequences are powers of two, too."""

_log = logging.getLogger("ambidex")


class CudaModel:
    """Implements `Model`. It is PyTorch alone, so that it computes on any device; only CUDA records passes.

    `cache_bytes`: keys and values, taken with the first request.
    """

    can_rewind = True

    def __init__(self, shape: Architecture, weights: Weights[Dense], cache_bytes: int) -> None:
        self.vocabulary = shape.vocabulary
        self._weights = weights
        self._forward = Forward(shape, weights)
        self._device = weights.embedding.weight.device
        self.pool = DevicePool(shape, weights.embedding.weight.dtype, self._device, cache_bytes)
        self._graphs: dict[tuple[int, int], StepGraph] = {}  # by sequences and blocks
        self._graphs_moved = self.pool.moved
        self._memory = torch.cuda.graph_pool_handle() if self._device.type == "cuda" else None
        self._records = True

    @property
    def nbytes_for_token(self) -> int:
        """Bytes of the weights that are read for a token alone."""
        return self._weights.nbytes_for_token

    def open(self, ids: Sequence[int]) -> BlockCache:
        """A cache with the longest kept prefix of `ids`."""
        return BlockCache.find(self.pool, ids)

    def forward(self, spans: Sequence[Span]) -> list[torch.Tensor]:
        """Float32 logits `[scored, V]` for each span: those of one id in one pass, each other one in one of its own."""
        for span in spans:
            if min(span.ids) < 0 or max(span.ids) >= self.vocabulary:  # on a GPU that would end the process
                raise ValueError(f"ids must be within 0 and {self.vocabulary - 1}, got {list(span.ids)}")
            assert isinstance(span.cache, BlockCache)
            span.cache.reserve(len(span.ids))
        steps = [index for index, span in enumerate(spans) if len(span.ids) == span.scored == 1]
        logits: dict[int, torch.Tensor] = {}
        if steps:
            logits.update(zip(steps, self._step([spans[index] for index in steps]), strict=True))
        for index, span in enumerate(spans):
            if index not in logits:
                logits[index] = self._compute(self._rows([span]).on(self._device), span.scored)[0]
        for span in spans:
            assert isinstance(span.cache, BlockCache)
            span.cache.append(span.ids)
        return [logits[index] for index in range(len(spans))]

    def release(self, cache: SequenceCache, ids: Sequence[int]) -> None:
        """Gives the blocks back; they are kept for later prompts, as far as the budget goes."""
        assert isinstance(cache, BlockCache)
        cache.close()

    def clear(self) -> None:
        """Frees what is kept."""
        self._graphs.clear()
        self.pool.clear()

    def _step(self, spans: Sequence[Span]) -> torch.Tensor:
        """Logits `[S, 1, V]` of spans of one id."""
        rows = self._rows(spans, steady=True)
        if self._graphs_moved != self.pool.moved:
            self._graphs.clear()
            self._graphs_moved = self.pool.moved
        size = (rows.blocks.shape[0], rows.blocks.shape[1])
        if self._records and size not in self._graphs:
            try:
                self._graphs[size] = StepGraph(self._compute, rows, self._device, self._memory)
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:  # correct without, but slower
                self._records = False
                self._graphs.clear()
                _log.warning("Passes cannot be recorded as CUDA graphs here, and run slower: %s", error)
        logits = self._graphs[size](rows) if self._records else self._compute(rows.on(self._device))
        return logits[: len(spans)]

    def _compute(self, rows: Rows, scored: int = 1) -> torch.Tensor:
        return self._forward(rows, self.pool.storage, scored)

    def _rows(self, spans: Sequence[Span], *, steady: bool = False) -> Rows:
        """The spans, all of one length. `steady`: filled up to one of a few sizes."""
        caches = [span.cache for span in spans if isinstance(span.cache, BlockCache)]
        count, blocks = len(spans), max(len(cache.addresses) for cache in caches)
        if steady:
            count, blocks = _power_of_two(count), max(FEWEST_BLOCKS, _power_of_two(blocks))
        length = len(spans[0].ids)
        rows = Rows(torch.full((count, 3 * length + blocks), SCRAP), length)
        for row, cache in enumerate(caches):
            rows.blocks[row, : len(cache.addresses)] = cache.addresses
        starts = torch.tensor([[cache.length] for cache in caches])
        rows.ids[: len(spans)] = torch.tensor([list(span.ids) for span in spans])
        rows.positions[: len(spans)] = starts + torch.arange(length)
        rows.slots.copy_(rows.blocks.gather(1, rows.positions // BLOCK) * BLOCK + rows.positions % BLOCK)
        return rows


def _power_of_two(number: int) -> int:
    """The least one that is not below `number`."""
    return 1 << (number - 1).bit_length()
