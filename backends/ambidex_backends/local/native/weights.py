"""A model's weights as the kernels take them, read from its folder tensor by tensor and packed at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .architecture import Architecture
from .arena import Arena
from .checkpoint import Checkpoint
from .matrix import Kind, Matrix


@dataclass(frozen=True, slots=True)
class Mlp:
    """`down(act(gate(x)) * up(x))`."""

    gate: Matrix
    up: Matrix
    down: Matrix

    @property
    def nbytes(self) -> int:
        """Bytes of the three."""
        return self.gate.nbytes + self.up.nbytes + self.down.nbytes


@dataclass(frozen=True, slots=True)
class LayerWeights:
    """One layer. Norms are float32 `[width]` or `[head_size]`; None where the architecture has none.

    A mixture has `experts`, and a `router` with a row for each of them, and one for the `mlp` that all tokens share if
    there is one. Other layers have the `mlp` alone.
    """

    qkv: Matrix
    output: Matrix
    mlp: Mlp | None
    router: Matrix | None
    experts: tuple[Mlp, ...]
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
        experts = sum(mlp.nbytes for layer in self.layers for mlp in layer.experts)
        return experts + sum(matrix.nbytes for matrix in self._always())

    @property
    def nbytes_for_token(self) -> int:
        """Bytes of the matrices that a single token goes through, of whose experts it has a few."""
        sizes = self._shape.experts
        experts = sum(layer.experts[0].nbytes for layer in self.layers if layer.experts)
        return (sizes.chosen if sizes else 0) * experts + sum(matrix.nbytes for matrix in self._always())

    def _always(self) -> set[Matrix]:
        """All matrices but those of experts."""
        matrices = {self.embedding, self.head}
        for layer in self.layers:
            mlp = (layer.mlp.gate, layer.mlp.up, layer.mlp.down) if layer.mlp else ()
            matrices |= {matrix for matrix in (layer.qkv, layer.output, layer.router, *mlp) if matrix}
        return matrices

    def rounded(self, value: float) -> float:
        """The number as the model's dtype holds it: Gemma multiplies its embeddings in that dtype."""
        return float(torch.tensor(value, dtype=self.base))

    def _layer(self, index: int) -> LayerWeights:
        shape, at = self._shape, f"model.layers.{index}."
        query_size, key_size = shape.heads * shape.head_size, shape.kv_heads * shape.head_size
        sizes = [query_size, key_size, key_size]
        if shape.family == "phi3":
            qkv = self._matrix(at + "self_attn.qkv_proj", sum(sizes), shape.width)
        else:
            names = [at + f"self_attn.{letter}_proj" for letter in "qkv"]
            qkv = self._stacked(names, sizes, shape.width)
        mlp, router, experts = self._mixture(at) if shape.layers[index].mixes else (self._mlp(at + "mlp."), None, ())
        gemma = shape.family.startswith("gemma")
        before, after = "input_layernorm", "post_attention_layernorm"
        mlp_before = "pre_feedforward_layernorm" if gemma else after
        only_after = shape.family == "olmo2"
        head_norms = [query_size, key_size] if shape.norms_all_heads else [shape.head_size] * 2
        return LayerWeights(
            qkv=qkv,
            output=self._matrix(at + "self_attn.o_proj", shape.width, query_size),
            mlp=mlp,
            router=router,
            experts=experts,
            attention_norm=None if only_after else self._norm(f"{at}{before}.weight", shape.width),
            mlp_norm=None if only_after else self._norm(f"{at}{mlp_before}.weight", shape.width),
            attention_post=self._norm(f"{at}{after}.weight", shape.width) if gemma or only_after else None,
            mlp_post=self._norm(at + "post_feedforward_layernorm.weight", shape.width) if gemma or only_after else None,
            query_norm=self._optional_norm(at + "self_attn.q_norm.weight", head_norms[0]),
            key_norm=self._optional_norm(at + "self_attn.k_norm.weight", head_norms[1]),
        )

    def _mlp(self, at: str) -> Mlp:
        width, hidden = self._shape.width, self._shape.hidden
        if self._shape.family == "phi3":
            gate, up = self._checkpoint.tensor(at + "gate_up_proj.weight", 2 * hidden, width).split(hidden)
            return self._packed(gate, up, self._checkpoint.tensor(at + "down_proj.weight", width, hidden))
        return self._gated([at + "gate_proj", at + "up_proj", at + "down_proj"], hidden)

    def _mixture(self, at: str) -> tuple[Mlp | None, Matrix, tuple[Mlp, ...]]:
        """The MLP that all tokens go through, the router, and the experts, under the names of the family."""
        shape, tensor = self._shape, self._checkpoint.tensor
        sizes, width = shape.experts, shape.width
        assert sizes is not None
        count, hidden = sizes.count, sizes.hidden
        block = at + ("block_sparse_moe." if shape.family in ("mixtral", "granitemoe") else "mlp.")
        gate = "router.layer.weight" if shape.family == "granitemoe" else "gate.weight"
        router = [tensor(block + gate, count, width)]
        shared = None
        if sizes.shared_hidden:
            names = [block + f"shared_expert.{name}_proj" for name in ("gate", "up", "down")]
            shared = self._gated(names, sizes.shared_hidden)
            router.append(tensor(block + "shared_expert_gate.weight", 1, width))
        experts: list[Mlp] = []
        if shape.family == "granitemoe":
            both = tensor(block + "input_linear.weight", count, 2 * hidden, width)
            down = tensor(block + "output_linear.weight", count, width, hidden)
            experts = [self._packed(*both[index].split(hidden), down[index]) for index in range(count)]
        else:
            letters = ("w1", "w3", "w2") if shape.family == "mixtral" else ("gate_proj", "up_proj", "down_proj")
            for index in range(count):
                experts.append(self._gated([f"{block}experts.{index}.{name}" for name in letters], hidden))
        kind: Kind = "float32" if self.base is torch.float32 else "bfloat16"  # a choice is not to depend on quantising
        return shared, Matrix(router, kind, self._arena), tuple(experts)

    def _gated(self, names: list[str], hidden: int) -> Mlp:
        """`names`: of gate, up and down."""
        gate, up, down = names
        width = self._shape.width
        return Mlp(
            self._matrix(gate, hidden, width), self._matrix(up, hidden, width), self._matrix(down, width, hidden)
        )

    def _packed(self, *parts: torch.Tensor) -> Mlp:
        """`parts`: gate, up and down."""
        gate, up, down = (Matrix([part], self._kind, self._arena) for part in parts)
        return Mlp(gate, up, down)

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
