"""The kernels' structures, field for field as in model.h and matrix.h."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import torch

from .matrix import MatrixStruct

_INT, _FLOAT, _POINTER = ctypes.c_int32, ctypes.c_float, ctypes.c_void_p


class MlpStruct(ctypes.Structure):
    """`mlp`."""

    _fields_ = [(name, MatrixStruct) for name in ("gate", "up", "down")]


class LayerStruct(ctypes.Structure):
    """`layer`."""

    _fields_ = [
        ("qkv", MatrixStruct),
        ("output", MatrixStruct),
        ("mlp", MlpStruct),
        ("router", MatrixStruct),
        ("experts", _POINTER),
        *(
            (name, _POINTER)
            for name in ("attention_norm", "mlp_norm", "attention_post", "mlp_post", "query_norm", "key_norm")
        ),
        ("sinks", _POINTER),
        ("window", _INT),
        ("rope", _INT),
    ]


class ModelStruct(ctypes.Structure):
    """`model`."""

    _fields_ = [
        *((name, _INT) for name in ("layers", "width", "heads", "kv_heads", "head_size", "head_stride", "rotary")),
        *((name, _INT) for name in ("gate", "norm_all_heads", "cache_half")),
        *((name, _FLOAT) for name in ("epsilon", "query_scale", "attention_cap", "logits_cap", "logits_scale")),
        *((name, _FLOAT) for name in ("embedding_scale", "residual_scale", "gate_scale", "gate_limit")),
        ("stack", _POINTER),
        ("embedding", MatrixStruct),
        ("head", MatrixStruct),
        ("final_norm", _POINTER),
        *((name, _INT) for name in ("activation_stride", "query_stride", "hidden_stride")),
        *(
            (name, _INT)
            for name in ("experts", "chosen", "is_normalised", "routing_stride", "expert_stride", "shared_stride")
        ),
    ]


class BatchStruct(ctypes.Structure):
    """`batch`."""

    _fields_ = [
        ("rows", _INT),
        ("scored", _INT),
        *((name, _POINTER) for name in ("ids", "positions", "blocks", "scored_rows", "cosines", "sines")),
        *((name, _POINTER) for name in ("states", "normed", "qkv", "attended", "hidden", "added", "softmax")),
        ("shared_hidden", _POINTER),
        *((name, _POINTER) for name in ("routing", "shares", "choices", "places", "gathered", "expert_hidden")),
        ("logits", _POINTER),
    ]


def pointer(tensor: torch.Tensor | None) -> int | None:
    """Where a tensor's numbers lie; it must be contiguous and outlive the call."""
    return None if tensor is None else tensor.data_ptr()


def pointers(tensors: Sequence[torch.Tensor]) -> ctypes.c_void_p:
    """An array of such addresses."""
    array = (_POINTER * max(len(tensors), 1))(*[tensor.data_ptr() for tensor in tensors])
    return ctypes.cast(array, _POINTER)
