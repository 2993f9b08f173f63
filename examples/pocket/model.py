"""The model: a small Llama, written out.

Deep enough to compose "find the matching tool" with "copy its name", narrow enough for two CPU cores. Input and output
embeddings are one matrix, and the vocabulary is small, so nearly all parameters do work in the layers. The parameters
have the names that transformers gives to a Llama, so that a checkpoint is a model file that any runtime can load.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import LlamaConfig


@dataclass(frozen=True)
class Shape:
    """The sizes of the model."""

    vocabulary: int
    width: int = 256
    inner: int = 640
    layers: int = 8
    heads: int = 8
    theta: float = 10000.0
    epsilon: float = 1e-6


class Norm(nn.Module):
    """Scales every token's vector to unit size, then every channel by a learnt weight."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(shape.width))
        self.epsilon = shape.epsilon

    def forward(self, x: Tensor) -> Tensor:
        scale = torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + self.epsilon)
        return x.float() * scale * self.weight


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions: turns pairs of channels by an angle that grows with the position."""
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


class Attention(nn.Module):
    """Every token looks back at the tokens it may see and takes from them what it asks for."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads, self.size = shape.heads, shape.width // shape.heads
        self.q_proj = nn.Linear(shape.width, shape.width, bias=False)
        self.k_proj = nn.Linear(shape.width, shape.width, bias=False)
        self.v_proj = nn.Linear(shape.width, shape.width, bias=False)
        self.o_proj = nn.Linear(shape.width, shape.width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, hidden: Tensor) -> Tensor:
        batch, length, width = x.shape
        q, k, v = (
            project(x).view(batch, length, self.heads, self.size).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        q, k = rotate(q, cos, sin).to(v.dtype), rotate(k, cos, sin).to(v.dtype)
        # Small heads and short rows: written out, this is faster on a CPU than the fused kernel.
        scores = (q @ k.transpose(-1, -2)).float() * self.size**-0.5 + hidden
        taken = torch.softmax(scores, dim=-1).to(v.dtype) @ v
        return cast(Tensor, self.o_proj(taken.transpose(1, 2).reshape(batch, length, width)))


class FeedForward(nn.Module):
    """What each token makes of what it has gathered (SwiGLU)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.width, shape.inner, bias=False)
        self.up_proj = nn.Linear(shape.width, shape.inner, bias=False)
        self.down_proj = nn.Linear(shape.inner, shape.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x)))


class Layer(nn.Module):
    """Attention and feed-forward, each adding to what goes past them."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.input_layernorm = Norm(shape)
        self.self_attn = Attention(shape)
        self.post_attention_layernorm = Norm(shape)
        self.mlp = FeedForward(shape)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, hidden: Tensor) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, hidden)
        return cast(Tensor, x + self.mlp(self.post_attention_layernorm(x)))


class Trunk(nn.Module):
    """Embedding, layers, last norm."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embed_tokens = nn.Embedding(shape.vocabulary, shape.width)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = Norm(shape)

    def forward(self, ids: Tensor, positions: Tensor, hidden: Tensor) -> Tensor:
        size = self.shape.width // self.shape.heads
        speeds = self.shape.theta ** (-torch.arange(0, size, 2, device=ids.device).float() / size)
        angles = positions[..., None].float() * torch.cat((speeds, speeds))
        cos, sin = angles.cos()[:, None], angles.sin()[:, None]
        x = self.embed_tokens(ids)
        for layer in self.layers:
            x = layer(x, cos, sin, hidden)
        return cast(Tensor, self.norm(x))


class Pocket(nn.Module):
    """The language model. ``forward`` gives the vectors from which :meth:`logits` scores the next token."""

    def __init__(self, shape: Shape, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.shape = shape
        self.model = Trunk(shape)
        for parameter in self.parameters():
            if parameter.dim() == 2:
                nn.init.normal_(parameter, std=0.04)

    def forward(self, ids: Tensor, positions: Tensor, family: Tensor, branch: Tensor) -> Tensor:
        """Vectors (batch, length, width) for ``ids``, which are packed as ``dataset.py`` tells.

        A token sees earlier tokens of its own family that belong to the family's common beginning (branch 0) or to
        its own branch.
        """
        length = ids.shape[1]
        earlier = torch.ones(length, length, dtype=torch.bool, device=ids.device).tril()
        same = family[:, :, None] == family[:, None, :]
        mine = (branch[:, None, :] == 0) | (branch[:, :, None] == branch[:, None, :])
        hidden = torch.where(earlier & same & mine, 0.0, -1e4)[:, None]
        return cast(Tensor, self.model(ids, positions, hidden))

    def logits(self, vectors: Tensor) -> Tensor:
        """Scores of all tokens; the output matrix is the embedding."""
        return functional.linear(vectors, self.model.embed_tokens.weight)

    def grow(self, layers: int) -> None:
        """Add at most as many layers as there are, which change nothing until they are trained: they add zero at first."""
        if layers > len(self.model.layers):
            raise ValueError(
                f"{layers} layers more than {len(self.model.layers)}: they are put between those, one for each."
            )
        for number in range(layers):
            layer = Layer(self.shape)
            for name, parameter in layer.named_parameters():
                if parameter.dim() == 2:
                    nn.init.normal_(parameter, std=0.04)
                if name in ("self_attn.o_proj.weight", "mlp.down_proj.weight"):
                    nn.init.zeros_(parameter)
            # between the old ones, from the end, so that old neighbours keep their distance
            self.model.layers.insert(len(self.model.layers) - 2 * number - 1, layer)
        self.shape = Shape(**{**self.shape.__dict__, "layers": len(self.model.layers)})
        self.model.shape = self.shape


def llama_config(shape: Shape, context: int, end: int, pad: int) -> LlamaConfig:
    """The same model for transformers."""
    return LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=context,
        rms_norm_eps=shape.epsilon,
        rope_parameters={"rope_type": "default", "rope_theta": shape.theta},
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=end,
        pad_token_id=pad,
        initializer_range=0.04,
    )
