"""A model's weights as the kernels take them, read from its folder tensor by tensor and packed at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from .architecture import Architecture, Experts
from .arena import Arena
from .checkpoint import Checkpoint
from .matrix import Kind, Matrix
from .stored import Mxfp4


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
    sinks: torch.Tensor | None


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
            sinks=self._vector(at + "self_attn.sinks", shape.heads) if shape.family == "gpt_oss" else None,
        )

    def _mlp(self, at: str) -> Mlp:
        width, hidden = self._shape.width, self._shape.hidden
        if self._shape.family == "phi3":
            gate, up = self._checkpoint.tensor(at + "gate_up_proj.weight", 2 * hidden, width).split(hidden)
            return self._packed([gate, up, self._checkpoint.tensor(at + "down_proj.weight", width, hidden)])
        return self._gated([at + f"{name}_proj" for name in ("gate", "up", "down")], hidden)

    def _mixture(self, at: str) -> tuple[Mlp | None, Matrix, tuple[Mlp, ...]]:
        """The MLP that all tokens go through, the router, and the experts, under the names of the family."""
        shape, tensor = self._shape, self._checkpoint.tensor
        sizes = shape.experts
        assert sizes is not None
        block = at + ("block_sparse_moe." if shape.family in ("mixtral", "granitemoe") else "mlp.")
        name = block + {"granitemoe": "router.layer", "gpt_oss": "router"}.get(shape.family, "gate")
        router, shared = [tensor(name + ".weight", sizes.count, shape.width)], None
        if sizes.shared_hidden:
            names = [block + f"shared_expert.{part}_proj" for part in ("gate", "up", "down")]
            shared = self._gated(names, sizes.shared_hidden)
            router.append(tensor(block + "shared_expert_gate.weight", 1, shape.width))
        bias = tensor(name + ".bias", sizes.count) if name + ".bias" in self._checkpoint else None
        kind: Kind = "float32" if self.base is torch.float32 else "bfloat16"  # a choice is not to depend on quantising
        return shared, Matrix(router, kind, self._arena, bias), tuple(self._experts(block, sizes))

    def _experts(self, block: str, sizes: Experts) -> Iterator[Mlp]:
        shape, tensor = self._shape, self._checkpoint.tensor
        count, width, hidden = sizes.count, shape.width, sizes.hidden
        if shape.family == "gpt_oss":
            yield from self._interleaved_experts(block + "experts.", sizes)
        elif shape.family == "granitemoe":
            both = tensor(block + "input_linear.weight", count, 2 * hidden, width)
            down = tensor(block + "output_linear.weight", count, width, hidden)
            for index in range(count):
                yield self._packed([*both[index].split(hidden), down[index]])
        else:
            names = ("w1", "w3", "w2") if shape.family == "mixtral" else ("gate_proj", "up_proj", "down_proj")
            for index in range(count):
                yield self._gated([f"{block}experts.{index}.{name}" for name in names], hidden)

    def _interleaved_experts(self, at: str, sizes: Experts) -> Iterator[Mlp]:
        """Those of gpt-oss: rows of gate and up take turns; in MXFP4, or transposed in floats."""
        count, width, hidden, tensor = sizes.count, self._shape.width, sizes.hidden, self._checkpoint.tensor
        both_bias = tensor(at + "gate_up_proj_bias", count, 2 * hidden)
        down_bias = tensor(at + "down_proj_bias", count, width)
        biases = [(both[::2], both[1::2], down) for both, down in zip(both_bias, down_bias, strict=True)]
        if at + "gate_up_proj_blocks" in self._checkpoint:
            packed = self._checkpoint.mxfp4(at + "gate_up_proj", count, 2 * hidden, width)
            downs = self._checkpoint.mxfp4(at + "down_proj", count, width, hidden)
            for both, down, bias in zip(packed, downs, biases, strict=True):
                yield self._packed([both.every_other(0), both.every_other(1), down], bias)
            return
        wide = tensor(at + "gate_up_proj", count, width, 2 * hidden)
        deep = tensor(at + "down_proj", count, hidden, width)
        for index, bias in enumerate(biases):
            parts = [wide[index, :, ::2].T, wide[index, :, 1::2].T, deep[index].T]
            yield self._packed([part.contiguous() for part in parts], bias)

    def _gated(self, names: list[str], hidden: int) -> Mlp:
        """`names`: of gate, up and down."""
        gate, up, down = names
        width = self._shape.width
        return Mlp(
            self._matrix(gate, hidden, width), self._matrix(up, hidden, width), self._matrix(down, width, hidden)
        )

    def _packed(
        self, parts: Sequence[torch.Tensor | Mxfp4], biases: Sequence[torch.Tensor | None] = (None, None, None)
    ) -> Mlp:
        """`parts`: gate, up and down. What is stored in MXFP4 stays so, unless all is to be in float32."""
        gate, up, down = (
            Matrix(
                [part],
                "mxfp4" if isinstance(part, Mxfp4) and self._kind != "float32" else self._kind,
                self._arena,
                bias,
            )
            for part, bias in zip(parts, biases, strict=True)
        )
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

    def _vector(self, name: str, size: int) -> torch.Tensor:
        return self._checkpoint.tensor(name, size).float()

    def _norm(self, name: str, size: int) -> torch.Tensor:
        return self._vector(name, size) + self._shape.norm_offset

    def _optional_norm(self, name: str, size: int) -> torch.Tensor | None:
        return self._norm(name, size) if name in self._checkpoint else None
