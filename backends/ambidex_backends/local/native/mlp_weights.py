"""The weights of a layer's second half, under the names of each family."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic

import torch

from .architecture import Architecture, Experts
from .matrix import Kind
from .reader import M, Reader
from .stored import Mxfp4

PARTS = ("gate_proj", "up_proj", "down_proj")
BLOCKS = {"mixtral": ("block_sparse_moe.", "mlp."), "granitemoe": ("block_sparse_moe.",)}
ROUTERS = {"granitemoe": ("router.layer.weight", "router.weight"), "gpt_oss": ("router.weight",)}
"""Where names are others than "mlp." and "gate.weight"; the last ones are those that transformers has today."""


@dataclass(frozen=True, slots=True)
class Mlp(Generic[M]):
    """`down(act(gate(x)) * up(x))`."""

    gate: M
    up: M
    down: M

    @property
    def matrices(self) -> tuple[M, ...]:
        """The three."""
        return self.gate, self.up, self.down

    @property
    def nbytes(self) -> int:
        """Bytes of the three."""
        return sum(matrix.nbytes for matrix in self.matrices)


@dataclass(frozen=True, slots=True)
class Mixture(Generic[M]):
    """Experts, of which each token goes through a few, and `shared`, through which all go.

    The `router` has a row for each expert, and one more that scales `shared` if there is that.
    """

    router: M
    experts: tuple[Mlp[M], ...]
    shared: Mlp[M] | None

    @property
    def matrices(self) -> tuple[M, ...]:
        """All but those of the experts."""
        return (self.router, *(self.shared.matrices if self.shared else ()))


def read_mlp(reader: Reader[M], shape: Architecture, at: str) -> Mlp[M]:
    """The MLP whose names begin with `at`. Raises `ModelLoadError`."""
    width, hidden = shape.width, shape.hidden
    if shape.family == "phi3":
        gate, up = reader.checkpoint.tensor(at + "gate_up_proj.weight", 2 * hidden, width).split(hidden)
        return Mlp(reader.pack([gate]), reader.pack([up]), reader.matrix(at + "down_proj", width, hidden))
    return _gated(reader, at, PARTS, width, hidden, shape.mlp_bias)


def read_mixture(reader: Reader[M], shape: Architecture, at: str, router_kind: Kind) -> Mixture[M]:
    """The mixture of the layer whose names begin with `at`. Raises `ModelLoadError`."""
    sizes, width, tensor = shape.experts, shape.width, reader.checkpoint.tensor
    assert sizes is not None
    routers = [
        block + name
        for block in BLOCKS.get(shape.family, ("mlp.",))
        for name in ROUTERS.get(shape.family, ("gate.weight",))
    ]
    name = next((name for name in routers if at + name in reader.checkpoint), routers[0])
    block = at + name.partition(".")[0] + "."
    rows, shared = [tensor(at + name, sizes.count, width)], None
    if sizes.shared_hidden:
        shared = _gated(reader, block + "shared_expert.", PARTS, width, sizes.shared_hidden)
        rows.append(tensor(block + "shared_expert_gate.weight", 1, width))
    bias = reader.vector(block + "router.bias", sizes.count) if shape.family == "gpt_oss" else None
    if shape.family == "gpt_oss":
        experts = _interleaved_experts(reader, block + "experts.", width, sizes)
    else:
        experts = _experts(reader, shape.family, block, width, sizes)
    return Mixture(reader.pack(rows, bias, router_kind), tuple(experts), shared)


def _experts(reader: Reader[M], family: str, block: str, width: int, sizes: Experts) -> Iterator[Mlp[M]]:
    """One matrix each, or those of all experts in one tensor."""
    count, hidden, tensor = sizes.count, sizes.hidden, reader.checkpoint.tensor
    for both, down in (("input_linear.weight", "output_linear.weight"), ("experts.gate_up_proj", "experts.down_proj")):
        if block + both in reader.checkpoint:
            wide = tensor(block + both, count, 2 * hidden, width)
            deep = tensor(block + down, count, width, hidden)
            for index in range(count):
                gate, up = wide[index].split(hidden)
                yield Mlp(reader.pack([gate]), reader.pack([up]), reader.pack([deep[index]]))
            return
    parts = ("w1", "w3", "w2") if family == "mixtral" else PARTS
    for index in range(count):
        yield _gated(reader, f"{block}experts.{index}.", parts, width, hidden)


def _interleaved_experts(reader: Reader[M], at: str, width: int, sizes: Experts) -> Iterator[Mlp[M]]:
    """Those of gpt-oss: rows of gate and up take turns; in MXFP4, or transposed in floats."""
    count, hidden, tensor = sizes.count, sizes.hidden, reader.checkpoint.tensor
    both_bias = tensor(at + "gate_up_proj_bias", count, 2 * hidden)
    down_bias = tensor(at + "down_proj_bias", count, width)
    weights: Iterator[tuple[torch.Tensor | Mxfp4, torch.Tensor | Mxfp4, torch.Tensor | Mxfp4]]
    if at + "gate_up_proj_blocks" in reader.checkpoint:
        packed = reader.checkpoint.mxfp4(at + "gate_up_proj", count, 2 * hidden, width)
        downs = reader.checkpoint.mxfp4(at + "down_proj", count, width, hidden)
        pairs = zip(packed, downs, strict=True)
        weights = ((both.every_other(0), both.every_other(1), down) for both, down in pairs)
    else:
        wide = tensor(at + "gate_up_proj", count, width, 2 * hidden)
        deep = tensor(at + "down_proj", count, hidden, width)
        weights = ((both[:, ::2].T, both[:, 1::2].T, down.T) for both, down in zip(wide, deep, strict=True))
    for (gate, up, down), both, last in zip(weights, both_bias, down_bias, strict=True):
        yield Mlp(reader.pack([gate], both[::2]), reader.pack([up], both[1::2]), reader.pack([down], last))


def _gated(reader: Reader[M], at: str, parts: tuple[str, ...], width: int, hidden: int, bias: bool = False) -> Mlp[M]:
    gate, up, down = parts
    return Mlp(
        reader.matrix(at + gate, hidden, width, bias=bias),
        reader.matrix(at + up, hidden, width, bias=bias),
        reader.matrix(at + down, width, hidden, bias=bias),
    )
