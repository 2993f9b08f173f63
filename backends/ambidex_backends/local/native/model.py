"""A Llama-shaped model computed by our own kernels on the CPU: weights read once per step for all sequences together.

Every logit is computed in one order, whatever else is computed with it: the same ids give the same bits alone, in a
batch, in chunks, and behind a prefix that was kept, in every precision.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import get_args

import torch

from ambidex_backends.local.model import Span

from .architecture import Architecture, Gate, LayerKind
from .block_model import BlockModel
from .blocks import BLOCK, BlockCache, BlockPool
from .library import kernels
from .matrix import LANES, STEP, Matrix, MatrixStruct, padded
from .mlp_weights import Mixture, Mlp
from .structs import BatchStruct, LayerStruct, MlpStruct, ModelStruct, pointer, pointers
from .weights import LayerWeights, Weights


class NativeModel(BlockModel[Matrix, BlockPool]):
    """Implements `Model` over `weights`. `cache_bytes` bounds the prefixes kept for later prompts.

    Raises `NoKernels` where they cannot be compiled.
    """

    def __init__(self, architecture: Architecture, weights: Weights[Matrix], cache_bytes: int) -> None:
        self._forward = kernels().forward
        self._architecture = shape = architecture
        half = weights.base is torch.bfloat16
        self._strides = (
            padded(shape.width, STEP),
            padded((shape.heads + 2 * shape.kv_heads) * shape.head_size, STEP),
            padded(shape.hidden, STEP),
        )
        head_stride = padded(shape.head_size, LANES)
        each = len(shape.layers) * shape.kv_heads * BLOCK * (shape.head_size + head_stride)
        pool = BlockPool(each, torch.bfloat16 if half else torch.float32, cache_bytes)
        super().__init__(architecture.vocabulary, weights, pool)
        self._experts = [_expert_structs(layer.mlp) for layer in weights.layers]  # kept: the layers point there
        layers = map(_layer_struct, weights.layers, shape.layers, self._experts)
        experts = shape.experts
        self._layers = (LayerStruct * len(shape.layers))(*layers)
        self._model = ModelStruct(
            layers=len(shape.layers),
            width=shape.width,
            heads=shape.heads,
            kv_heads=shape.kv_heads,
            head_size=shape.head_size,
            head_stride=head_stride,
            rotary=shape.rotary,
            gate=get_args(Gate).index(shape.gate),
            norm_all_heads=shape.norms_all_heads,
            cache_half=half,
            epsilon=shape.epsilon,
            query_scale=shape.query_scale,
            attention_cap=shape.attention_cap,
            logits_cap=shape.logits_cap,
            logits_scale=shape.logits_scale,
            embedding_scale=weights.rounded(shape.embedding_scale),
            residual_scale=shape.residual_scale,
            gate_scale=shape.gate_scale,
            gate_limit=shape.gate_limit,
            stack=ctypes.cast(self._layers, ctypes.c_void_p),
            embedding=weights.embedding.struct,
            head=weights.head.struct,
            final_norm=pointer(weights.final_norm),
            activation_stride=self._strides[0],
            query_stride=self._strides[1],
            hidden_stride=self._strides[2],
            experts=experts.count if experts else 0,
            chosen=experts.chosen if experts else 0,
            is_normalised=bool(experts and experts.normalised),
            routing_stride=padded(experts.count + 1, LANES) if experts else 0,
            expert_stride=padded(experts.hidden, STEP) if experts else 0,
            shared_stride=padded(experts.shared_hidden, STEP) if experts else 0,
        )
        self._batch = BatchStruct()
        self._rows = 0
        self._buffers: dict[str, torch.Tensor] = {}
        self._cosines: list[torch.Tensor] = []  # for each rope, [positions, rotary / 2]
        self._sines: list[torch.Tensor] = []
        self._positions = 0

    def forward(self, spans: Sequence[Span]) -> list[torch.Tensor]:
        """Float32 logits `[scored, V]` for each span, all computed in one pass."""
        ids: list[int] = []
        positions: list[int] = []
        scored: list[int] = []
        tables: list[int] = []
        caches: list[BlockCache] = []
        for span in spans:
            cache = span.cache
            assert isinstance(cache, BlockCache)
            count, start = len(span.ids), cache.length
            cache.reserve(count)
            caches.append(cache)
            ids += span.ids
            positions += range(start, start + count)
            tables += [cache.table] * count
            scored += range(len(ids) - span.scored, len(ids))
        logits = self._compute(ids, positions, tables, scored)
        for span, cache in zip(spans, caches, strict=True):
            cache.append(span.ids)
        return list(logits.split([span.scored for span in spans]))

    def _compute(self, ids: list[int], positions: list[int], tables: list[int], scored: list[int]) -> torch.Tensor:
        """Logits `[scored, V]`; keys and values are written into the blocks."""
        if min(ids) < 0 or max(ids) >= self.vocabulary:
            raise ValueError(f"ids must be within 0 and {self.vocabulary - 1}, got {min(ids)} to {max(ids)}")
        threads = torch.get_num_threads()
        self._fit(len(ids), max(positions) + 1)
        tokens, places = torch.tensor(ids, dtype=torch.int32), torch.tensor(positions, dtype=torch.int32)
        rows, addresses = torch.tensor(scored, dtype=torch.int32), torch.tensor(tables, dtype=torch.int64)
        logits = torch.empty(len(scored), self._model.head.rows)
        batch = self._batch
        batch.rows, batch.scored = len(ids), len(scored)
        batch.ids, batch.positions = pointer(tokens), pointer(places)
        batch.scored_rows, batch.blocks = pointer(rows), pointer(addresses)
        batch.logits = pointer(logits)
        self._forward(ctypes.byref(self._model), ctypes.byref(batch), ctypes.c_int(threads))
        return logits[:, : self.vocabulary]

    def _fit(self, rows: int, positions: int) -> None:
        """Buffers for so many rows, and angles for so many positions. Their padding stays zero."""
        batch = self._batch  # sizes are set last: without memory for what they say, the next pass tries again
        if rows > self._rows:
            count = max(rows, 2 * self._rows)
            buffers = self._buffers_for(count)
            for name, buffer in buffers.items():
                setattr(batch, name, pointer(buffer))
            self._buffers, self._rows = buffers, count
        if positions > self._positions:
            count = max(padded(positions, 256), 2 * self._positions)
            places = torch.arange(count, dtype=torch.float32)[:, None]
            angles = [(rope.scaling, places * rope.frequencies) for rope in self._architecture.ropes]
            cosines = [angle.cos() * scaling for scaling, angle in angles]
            sines = [angle.sin() * scaling for scaling, angle in angles]
            batch.cosines, batch.sines = pointers(cosines), pointers(sines)
            self._cosines, self._sines, self._positions = cosines, sines, count

    def _buffers_for(self, rows: int) -> dict[str, torch.Tensor]:
        """By their names in `batch`."""
        wide, query, hidden = self._strides
        strides = {"states": wide, "normed": wide, "qkv": query, "attended": query, "hidden": hidden, "added": wide}
        strides["softmax"] = 2 * self._architecture.heads
        buffers = {name: torch.zeros(rows, stride) for name, stride in strides.items()}
        if self._architecture.experts:
            chosen, model = self._architecture.experts.chosen, self._model
            buffers["routing"] = torch.zeros(rows, model.routing_stride)
            buffers["shares"] = torch.zeros(rows, chosen)
            buffers |= {name: torch.zeros(rows, chosen, dtype=torch.int32) for name in ("choices", "places")}
            buffers["gathered"] = torch.zeros(rows * chosen, wide)
            buffers["expert_hidden"] = torch.zeros(rows * chosen, model.expert_stride)
            buffers["shared_hidden"] = torch.zeros(rows, model.shared_stride)
        return buffers


def _mlp_struct(mlp: Mlp[Matrix] | None) -> MlpStruct:
    return MlpStruct(*(matrix.struct for matrix in mlp.matrices)) if mlp else MlpStruct()


def _expert_structs(mlp: Mlp[Matrix] | Mixture[Matrix]) -> ctypes.Array[MlpStruct] | None:
    return (MlpStruct * len(mlp.experts))(*map(_mlp_struct, mlp.experts)) if isinstance(mlp, Mixture) else None


def _layer_struct(layer: LayerWeights[Matrix], kind: LayerKind, experts: ctypes.Array[MlpStruct] | None) -> LayerStruct:
    mixture = layer.mlp if isinstance(layer.mlp, Mixture) else None
    return LayerStruct(
        qkv=layer.qkv.struct,
        output=layer.output.struct,
        mlp=_mlp_struct(layer.mlp.shared if isinstance(layer.mlp, Mixture) else layer.mlp),
        router=mixture.router.struct if mixture else MatrixStruct(),
        experts=ctypes.addressof(experts) if experts else None,
        attention_norm=pointer(layer.attention_norm),
        mlp_norm=pointer(layer.mlp_norm),
        attention_post=pointer(layer.attention_post),
        mlp_post=pointer(layer.mlp_post),
        query_norm=pointer(layer.query_norm),
        key_norm=pointer(layer.key_norm),
        sinks=pointer(layer.sinks),
        window=kind.window,
        rope=-1 if kind.rope is None else kind.rope,
    )
