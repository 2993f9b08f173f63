"""The forward pass of a Llama-shaped decoder in PyTorch, for rows of several sequences at once.

Nothing in it looks at a number on the device: rows of the same sizes take the same kernels, so that a pass can be
recorded and replayed. Keys and values are written into their blocks and gathered from there.
"""

from __future__ import annotations

import torch
from torch.nn.functional import gelu, rms_norm, scaled_dot_product_attention, silu

from ambidex_backends.local.native.architecture import Architecture
from ambidex_backends.local.native.blocks import BLOCK
from ambidex_backends.local.native.mlp_weights import Mlp
from ambidex_backends.local.native.weights import LayerWeights, Weights

from .dense import Dense
from .rows import Rows


class Forward:
    """Computes `Rows` with `weights`."""

    def __init__(self, shape: Architecture, weights: Weights[Dense]) -> None:
        self._shape, self._weights = shape, weights
        device = weights.embedding.weight.device
        self._frequencies = [rope.frequencies.to(device, torch.float32) for rope in shape.ropes]
        self._embedding_scale = weights.rounded(shape.embedding_scale)

    def __call__(self, rows: Rows, storage: torch.Tensor, wanted: slice) -> torch.Tensor:
        """Float32 logits `[S, n, V]` of the `wanted` ones of each sequence's ids.

        `storage` as in `DevicePool`.
        """
        shape, weights = self._shape, self._weights
        x = weights.embedding.weight[rows.ids] * self._embedding_scale  # [S, T, width]
        turns = [self._turns(rope, rows.positions) for rope in range(len(shape.ropes))]
        masks = {window: self._mask(rows, window, x.dtype) for window in {kind.window for kind in shape.layers}}
        for layer, kind, kept in zip(weights.layers, shape.layers, storage, strict=True):
            turn = None if kind.rope is None else turns[kind.rope]
            attended = self._attend(layer, self._normed(x, layer.attention_norm), turn, masks[kind.window], rows, kept)
            x = x.add(self._normed(layer.output(attended), layer.attention_post), alpha=shape.residual_scale)
            assert isinstance(layer.mlp, Mlp)
            gated = self._gated(layer.mlp, self._normed(x, layer.mlp_norm))
            x = x.add(self._normed(layer.mlp.down(gated), layer.mlp_post), alpha=shape.residual_scale)
        last = x[:, wanted]
        if not last.shape[1]:
            return last.new_empty(len(last), 0, shape.vocabulary, dtype=torch.float32)
        logits = weights.head(self._normed(last, weights.final_norm)).float() * shape.logits_scale
        return shape.logits_cap * torch.tanh(logits / shape.logits_cap) if shape.logits_cap else logits

    def _attend(
        self,
        layer: LayerWeights[Dense],
        x: torch.Tensor,
        turn: tuple[torch.Tensor, torch.Tensor] | None,
        mask: torch.Tensor,
        rows: Rows,
        kept: torch.Tensor,
    ) -> torch.Tensor:
        """`[S, T, heads * head_size]`. `kept`: the layer's part of the storage."""
        shape, (s, t, _) = self._shape, x.shape
        sizes = [shape.heads * shape.head_size, *[shape.kv_heads * shape.head_size] * 2]
        query, key, value = layer.qkv(x).split(sizes, dim=-1)
        if shape.norms_all_heads:
            query, key = self._normed(query, layer.query_norm), self._normed(key, layer.key_norm)
        query = query.view(s, t, shape.heads, shape.head_size)
        key, value = (part.view(s, t, shape.kv_heads, shape.head_size) for part in (key, value))
        if not shape.norms_all_heads:
            query, key = self._normed(query, layer.query_norm), self._normed(key, layer.key_norm)
        if turn is not None:
            query, key = _turned(query, *turn), _turned(key, *turn)
        for part, new in zip(kept, (key, value), strict=True):
            part.flatten(0, 1).index_copy_(0, rows.slots.flatten(), new.flatten(0, 1))
        keys, values = (part[rows.blocks].flatten(1, 2).transpose(1, 2) for part in kept)  # [S, kv_heads, L, head_size]
        group = shape.heads // shape.kv_heads  # queries of these heads share a key, as if they were more positions
        query = query.view(s, t, shape.kv_heads, group, -1).permute(0, 2, 3, 1, 4).flatten(2, 3)
        attended: torch.Tensor
        if shape.attention_cap:
            scores = (query @ keys.mT).float() * shape.query_scale
            scores = shape.attention_cap * torch.tanh(scores / shape.attention_cap)
            attended = (scores + mask).softmax(-1).to(values.dtype) @ values
        else:
            attended = scaled_dot_product_attention(query, keys, values, attn_mask=mask, scale=shape.query_scale)
        return attended.view(s, shape.kv_heads, group, t, -1).permute(0, 3, 1, 2, 4).reshape(s, t, -1)

    def _mask(self, rows: Rows, window: int, dtype: torch.dtype) -> torch.Tensor:
        """`[S, 1, group * T, L]`: 0 for what each query sees, else minus infinity."""
        s, t = rows.positions.shape
        places = torch.arange(rows.blocks.shape[1] * BLOCK, dtype=torch.int32, device=rows.blocks.device)
        back = rows.positions.int()[:, :, None] - places
        hidden = back < 0
        if window:
            hidden |= back >= window
        mask = torch.zeros(hidden.shape, dtype=dtype, device=hidden.device).masked_fill_(hidden, float("-inf"))
        group = self._shape.heads // self._shape.kv_heads
        return mask[:, None].expand(s, group, t, -1).reshape(s, 1, group * t, -1)

    def _turns(self, rope: int, positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosines and sines `[S, T, 1, rotary / 2]`."""
        angles = positions[:, :, None, None].float() * self._frequencies[rope]
        scaling = self._shape.ropes[rope].scaling
        return angles.cos() * scaling, angles.sin() * scaling

    def _gated(self, mlp: Mlp[Dense], x: torch.Tensor) -> torch.Tensor:
        gate = mlp.gate(x)
        return (silu(gate) if self._shape.gate == "silu" else gelu(gate, approximate="tanh")) * mlp.up(x)

    def _normed(self, x: torch.Tensor, weight: torch.Tensor | None) -> torch.Tensor:
        """Root mean square norm (1910.07467), in float32; `x` itself where the architecture has none here."""
        if weight is None:
            return x
        return rms_norm(x.float(), weight.shape, weight, self._shape.epsilon).to(x.dtype)


def _turned(heads: torch.Tensor, cosines: torch.Tensor, sines: torch.Tensor) -> torch.Tensor:
    """Rotary positions (2104.09864): pairs (i, i + rotary / 2) are turned by the position's angles."""
    half = cosines.shape[-1]
    first, second, rest = heads[..., :half].float(), heads[..., half : 2 * half].float(), heads[..., 2 * half :]
    turned = [first * cosines - second * sines, second * cosines + first * sines]
    return torch.cat([*(part.to(heads.dtype) for part in turned), rest], dim=-1)
