"""A model's weights under the names of each family, read from its folder tensor by tensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic

import torch

from .architecture import Architecture
from .matrix import Kind
from .mlp_weights import Mixture, Mlp, read_mixture, read_mlp
from .reader import M, Reader


@dataclass(frozen=True, slots=True)
class LayerWeights(Generic[M]):
    """One layer. Norms are float32 `[width]` or `[head_size]`; None where the architecture has none."""

    qkv: M
    output: M
    mlp: Mlp[M] | Mixture[M]
    attention_norm: torch.Tensor | None
    mlp_norm: torch.Tensor | None
    attention_post: torch.Tensor | None
    mlp_post: torch.Tensor | None
    query_norm: torch.Tensor | None
    key_norm: torch.Tensor | None
    sinks: torch.Tensor | None


class Weights(Generic[M]):
    """All of them, as `reader` makes them. `base`: the dtype that the model would have unquantised.

    Raises `ModelLoadError` where a tensor is missing or of the wrong shape.
    """

    def __init__(self, shape: Architecture, reader: Reader[M], base: torch.dtype) -> None:
        self._shape = shape
        self._reader = reader
        self.base = base
        self.final_norm = self._norm("model.norm.weight", shape.width)
        self.embedding, self.head = self._embedding_and_head()
        self.layers = [self._layer(index) for index in range(len(shape.layers))]

    @property
    def nbytes(self) -> int:
        """Bytes of all matrices."""
        mixtures = [layer.mlp for layer in self.layers if isinstance(layer.mlp, Mixture)]
        experts = sum(mlp.nbytes for mixture in mixtures for mlp in mixture.experts)
        return experts + sum(matrix.nbytes for matrix in self._always())

    @property
    def nbytes_for_token(self) -> int:
        """Bytes of the matrices that a single token goes through, of whose experts it has a few."""
        sizes = self._shape.experts
        mixtures = [layer.mlp for layer in self.layers if isinstance(layer.mlp, Mixture)]
        each = sum(mixture.experts[0].nbytes for mixture in mixtures)
        return (sizes.chosen if sizes else 0) * each + sum(matrix.nbytes for matrix in self._always())

    def _always(self) -> set[M]:
        """All matrices but those of experts."""
        layers = [matrix for layer in self.layers for matrix in (layer.qkv, layer.output, *layer.mlp.matrices)]
        return {self.embedding, self.head, *layers}

    def rounded(self, value: float) -> float:
        """The number as the model's dtype holds it: Gemma multiplies its embeddings in that dtype."""
        return float(torch.tensor(value, dtype=self.base))

    def _embedding_and_head(self) -> tuple[M, M]:
        """One matrix where they are tied, whichever of the two is there; but both where they differ: then it is the
        configuration that is wrong, and transformers does not tie them either."""
        size = self._shape.vocabulary, self._shape.width
        names = ["model.embed_tokens", "lm_head"]
        held = [name for name in names if f"{name}.weight" in self._reader.checkpoint] or names
        if self._shape.tied and (len(held) < 2 or self._are_equal(held, size)):
            both = self._reader.matrix(held[0], *size)
            return both, both
        return self._reader.matrix(names[0], *size), self._reader.matrix(names[1], *size)

    def _are_equal(self, names: Sequence[str], size: tuple[int, int]) -> bool:
        first, second = (self._reader.checkpoint.tensor(f"{name}.weight", *size) for name in names)
        return first.dtype is second.dtype and torch.equal(first, second)

    def _layer(self, index: int) -> LayerWeights[M]:
        shape, reader, at = self._shape, self._reader, f"model.layers.{index}."
        query_size, key_size = shape.heads * shape.head_size, shape.kv_heads * shape.head_size
        sizes = [query_size, key_size, key_size]
        if shape.family == "phi3":
            qkv = reader.matrix(at + "self_attn.qkv_proj", sum(sizes), shape.width)
        else:
            names = [at + f"self_attn.{letter}_proj" for letter in "qkv"]
            qkv = reader.stacked(names, sizes, shape.width, bias=shape.qkv_bias)
        gemma = shape.family.startswith("gemma")
        before, after = "input_layernorm", "post_attention_layernorm"
        mlp_before = "pre_feedforward_layernorm" if gemma else after
        only_after, norms = shape.family == "olmo2", shape.norms_heads
        head_norms = [query_size, key_size] if shape.norms_all_heads else [shape.head_size] * 2
        return LayerWeights(
            qkv=qkv,
            output=reader.matrix(at + "self_attn.o_proj", shape.width, query_size, bias=shape.output_bias),
            mlp=self._mlp(index, at),
            attention_norm=None if only_after else self._norm(f"{at}{before}.weight", shape.width),
            mlp_norm=None if only_after else self._norm(f"{at}{mlp_before}.weight", shape.width),
            attention_post=self._norm(f"{at}{after}.weight", shape.width) if gemma or only_after else None,
            mlp_post=self._norm(at + "post_feedforward_layernorm.weight", shape.width) if gemma or only_after else None,
            query_norm=self._norm(at + "self_attn.q_norm.weight", head_norms[0]) if norms else None,
            key_norm=self._norm(at + "self_attn.k_norm.weight", head_norms[1]) if norms else None,
            sinks=reader.vector(at + "self_attn.sinks", shape.heads) if shape.family == "gpt_oss" else None,
        )

    def _mlp(self, index: int, at: str) -> Mlp[M] | Mixture[M]:
        if not self._shape.layers[index].mixes:
            return read_mlp(self._reader, self._shape, at + "mlp.")
        router: Kind = "float32" if self.base is torch.float32 else "bfloat16"  # choices do not suffer from quantising
        return read_mixture(self._reader, self._shape, at, router)

    def _norm(self, name: str, size: int) -> torch.Tensor:
        return self._reader.vector(name, size) + self._shape.norm_offset
