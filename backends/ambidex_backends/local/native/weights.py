"""A model's weights as the kernels take them, read from its folder tensor by tensor and packed at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .architecture import Architecture
from .arena import Arena
from .checkpoint import Checkpoint
from .matrix import Kind, Matrix


@dataclass(frozen=True, slots=True)
class LayerWeights:
    """One layer. Norms are float32 `[width]` or `[head_size]`; None where the architecture has none."""

    qkv: Matrix
    output: Matrix
    gate: Matrix
    up: Matrix
    down: Matrix
    attention_norm: torch.Tensor | None
    mlp_norm: torch.Tensor | None
    attention_post: torch.Tensor | None
    mlp_post: torch.Tensor | None
    query_norm: torch.Tensor | None
    key_norm: torch.Tensor | None


class Weights:
    """All of them. `kind`: how matrices are stored; `base`: the dtype that the model would have unquantised.

    Raises `ModelLoadError` where a tensor is missing or of the wrong shape.
    """

    def __init__(self, shape: Architecture, checkpoint: Checkpoint, kind: Kind, base: torch.dtype) -> None:
        self._shape = shape
        self._checkpoint = checkpoint
        self._arena = Arena()
        self._kind: Kind = kind
        self.base = base
        self.final_norm = self._norm("model.norm.weight", shape.width)
        self.embedding = self._matrix("model.embed_tokens", shape.vocabulary, shape.width)
        self.head = self.embedding if shape.tied else self._matrix("lm_head", shape.vocabulary, shape.width)
        self.layers = [self._layer(index) for index in range(len(shape.layers))]

    @property
    def nbytes(self) -> int:
        """Bytes of all matrices."""
        layers = [matrix for one in self.layers for matrix in (one.qkv, one.output, one.gate, one.up, one.down)]
        return sum(matrix.nbytes for matrix in {self.embedding, self.head, *layers})

    def rounded(self, value: float) -> float:
        """The number as the model's dtype holds it: Gemma multiplies its embeddings in that dtype."""
        return float(torch.tensor(value, dtype=self.base))

    def _layer(self, index: int) -> LayerWeights:
        shape, at = self._shape, f"model.layers.{index}."
        query_size, key_size = shape.heads * shape.head_size, shape.kv_heads * shape.head_size
        sizes = [query_size, key_size, key_size]
        if shape.family == "phi3":
            qkv = self._matrix(at + "self_attn.qkv_proj", sum(sizes), shape.width)
            both = self._checkpoint.tensor(at + "mlp.gate_up_proj.weight", 2 * shape.hidden, shape.width)
            gate, up = (Matrix([half], self._kind, self._arena) for half in both.split(shape.hidden))
        else:
            names = [at + f"self_attn.{letter}_proj" for letter in "qkv"]
            qkv = self._stacked(names, sizes, shape.width)
            gate = self._matrix(at + "mlp.gate_proj", shape.hidden, shape.width)
            up = self._matrix(at + "mlp.up_proj", shape.hidden, shape.width)
        gemma = shape.family.startswith("gemma")
        before, after = "input_layernorm", "post_attention_layernorm"
        mlp_before = "pre_feedforward_layernorm" if gemma else after
        only_after = shape.family == "olmo2"
        head_norms = [query_size, key_size] if shape.norms_all_heads else [shape.head_size] * 2
        return LayerWeights(
            qkv=qkv,
            output=self._matrix(at + "self_attn.o_proj", shape.width, query_size),
            gate=gate,
            up=up,
            down=self._matrix(at + "mlp.down_proj", shape.width, shape.hidden),
            attention_norm=None if only_after else self._norm(f"{at}{before}.weight", shape.width),
            mlp_norm=None if only_after else self._norm(f"{at}{mlp_before}.weight", shape.width),
            attention_post=self._norm(f"{at}{after}.weight", shape.width) if gemma or only_after else None,
            mlp_post=self._norm(at + "post_feedforward_layernorm.weight", shape.width) if gemma or only_after else None,
            query_norm=self._optional_norm(at + "self_attn.q_norm.weight", head_norms[0]),
            key_norm=self._optional_norm(at + "self_attn.k_norm.weight", head_norms[1]),
        )

    def _matrix(self, name: str, rows: int, columns: int) -> Matrix:
        return self._stacked([name], [rows], columns)

    def _stacked(self, names: list[str], rows: list[int], columns: int) -> Matrix:
        """Several matrices that are multiplied with the same input, as one."""
        weights = [
            self._checkpoint.tensor(name + ".weight", count, columns) for name, count in zip(names, rows, strict=True)
        ]
        bias = None
        if names[0] + ".bias" in self._checkpoint:
            parts = zip(names, rows, strict=True)
            bias = torch.cat([self._checkpoint.tensor(name + ".bias", count) for name, count in parts])
        return Matrix(weights, self._kind, self._arena, bias)

    def _norm(self, name: str, size: int) -> torch.Tensor:
        return self._checkpoint.tensor(name, size).float() + self._shape.norm_offset

    def _optional_norm(self, name: str, size: int) -> torch.Tensor | None:
        return self._norm(name, size) if name in self._checkpoint else None
