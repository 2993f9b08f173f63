"""The model: a small Llama, written out.

Deep enough to compose "find the matching tool" with "copy its name", narrow enough for two CPU cores. Input and output
embeddings are one matrix, and the vocabulary is small, so nearly all parameters do work in the layers. The parameters
have the names that transformers gives to a Llama, so that ``export.py`` only has to write them down for any runtime.

Its parts and where they come from: RMSNorm (Zhang and Sennrich 2019), rotary positions (Su and others 2021), SwiGLU
(Shazeer 2020), norms before each part instead of after it (Xiong and others 2020), one matrix for input and output
(Press and Wolf 2017). Shapes below: ``batch`` rows of ``length`` tokens, each a vector of ``width`` channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import LlamaConfig

FACTOR = 3.0  # how much longer texts may be than rows: 1152 tokens instead of 384
INITIAL_STD = 0.04  # of the first weights: of the order of width**-0.5; Llama's 0.02 is meant for wider models


@dataclass(frozen=True)
class Shape:
    """The sizes of the model."""

    vocabulary: int  # tokens
    width: int = 256  # channels of a token's vector
    inner: int = 640  # channels inside a feed-forward: 2.5 times the width, as SwiGLU has three matrices, not two
    layers: int = 8
    heads: int = 8  # of 32 channels each
    theta: float = 10000.0  # the slowest pair of channels takes some 35,000 positions for a turn
    epsilon: float = 1e-6  # keeps a norm from dividing by zero


class Norm(nn.Module):
    """RMSNorm: divides a token's vector by its root mean square, then scales every channel by a learnt weight."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(shape.width))
        self.epsilon = shape.epsilon

    def forward(self, x: Tensor) -> Tensor:
        """Vectors (batch, length, width) in float32, each with a root mean square of one before the weights."""
        scale = torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + self.epsilon)
        return x.float() * scale * self.weight


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions: turns pairs of channels by an angle that grows with the position.

    ``x`` is (batch, heads, length, size), ``cos`` and ``sin`` (batch, 1, length, size). A pair is channel i with channel
    i + size / 2, as in transformers' Llama. The product of two turned vectors depends on how far apart they stand only.
    """
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


class Attention(nn.Module):
    """Every token looks back at the tokens it may see and takes from them what it asks for (Vaswani and others 2017)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads, self.size = shape.heads, shape.width // shape.heads
        self.q_proj = nn.Linear(shape.width, shape.width, bias=False)
        self.k_proj = nn.Linear(shape.width, shape.width, bias=False)
        self.v_proj = nn.Linear(shape.width, shape.width, bias=False)
        self.o_proj = nn.Linear(shape.width, shape.width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor) -> Tensor:
        """Vectors (batch, length, width). ``mask`` (batch, 1, length, length) is added to the scores: 0 where the token
        of the row may see that of the column, else a number that leaves it no share."""
        batch, length, width = x.shape
        q, k, v = (
            project(x).view(batch, length, self.heads, self.size).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        q, k = rotate(q, cos, sin).to(v.dtype), rotate(k, cos, sin).to(v.dtype)
        # Small heads and short rows: written out, this is faster on a CPU than the fused kernel.
        scores = (q @ k.transpose(-1, -2)).float() * self.size**-0.5 + mask
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
        """Vectors (batch, length, width), each made from that of its own token alone."""
        return cast(Tensor, self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x)))


class Layer(nn.Module):
    """Attention and feed-forward, each adding to what goes past them: a residual stream (He and others 2015)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.input_layernorm = Norm(shape)
        self.self_attn = Attention(shape)
        self.post_attention_layernorm = Norm(shape)
        self.mlp = FeedForward(shape)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor) -> Tensor:
        """Vectors (batch, length, width); the arguments are those of :class:`Attention`."""
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, mask)
        return cast(Tensor, x + self.mlp(self.post_attention_layernorm(x)))


class Trunk(nn.Module):
    """Embedding, layers, last norm."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embed_tokens = nn.Embedding(shape.vocabulary, shape.width)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = Norm(shape)

    def forward(self, ids: Tensor, positions: Tensor, mask: Tensor) -> Tensor:
        """Vectors (batch, length, width) for ``ids`` (batch, length) that stand at ``positions`` (batch, length)."""
        size = self.shape.width // self.shape.heads
        frequencies = self.shape.theta ** (-torch.arange(0, size, 2, device=ids.device).float() / size)
        angles = positions[..., None].float() * torch.cat((frequencies, frequencies))
        cos, sin = angles.cos()[:, None], angles.sin()[:, None]
        x = self.embed_tokens(ids)
        for layer in self.layers:
            x = layer(x, cos, sin, mask)
        return cast(Tensor, self.norm(x))


class Pocket(nn.Module):
    """The language model. ``forward`` gives the vectors from which :meth:`logits` scores the next token.

    The first weights follow from ``seed``, with which torch's global generator is seeded anew.
    """

    def __init__(self, shape: Shape, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.shape = shape
        self.model = Trunk(shape)
        for parameter in self.parameters():
            if parameter.dim() == 2:
                nn.init.normal_(parameter, std=INITIAL_STD)

    def forward(self, ids: Tensor, positions: Tensor, family: Tensor, branch: Tensor) -> Tensor:
        """Vectors (batch, length, width) for ``ids``, which are packed as ``dataset.py`` tells.

        All four are (batch, length). A token sees itself and earlier tokens of its own family that belong to the
        family's common beginning (branch 0) or to its own branch.
        """
        length = ids.shape[1]
        earlier = torch.ones(length, length, dtype=torch.bool, device=ids.device).tril()
        same = family[:, :, None] == family[:, None, :]
        mine = (branch[:, None, :] == 0) | (branch[:, :, None] == branch[:, None, :])
        mask = torch.where(earlier & same & mine, 0.0, -1e4)[:, None]
        return cast(Tensor, self.model(ids, positions, mask))

    def logits(self, vectors: Tensor) -> Tensor:
        """Scores of all tokens (..., vocabulary) from vectors (..., width); the output matrix is the embedding."""
        return functional.linear(vectors, self.model.embed_tokens.weight)

    def grow(self, layers: int) -> None:
        """Add at most as many layers as there are, which change nothing until they are trained: they add zero at first.

        :raises ValueError: if there are not as many places for them.
        """
        if layers > len(self.model.layers):
            raise ValueError(
                f"{layers} layers more than {len(self.model.layers)}: they are put between those, one for each."
            )
        for number in range(layers):
            layer = Layer(self.shape)
            for name, parameter in layer.named_parameters():
                if parameter.dim() == 2:
                    nn.init.normal_(parameter, std=INITIAL_STD)
                if name in ("self_attn.o_proj.weight", "mlp.down_proj.weight"):
                    nn.init.zeros_(parameter)
            # between the old ones, from the end, so that old neighbours keep their distance
            self.model.layers.insert(len(self.model.layers) - 2 * number - 1, layer)
        self.shape = Shape(**{**self.shape.__dict__, "layers": len(self.model.layers)})
        self.model.shape = self.shape


def stretched(shape: Shape, trained: int) -> dict[str, float | str]:
    """Rotary positions for texts longer than the ``trained`` tokens of a row: no angle that the model has not seen.

    A pair of channels that turns at least once within a row has been seen at every angle, and keeps its speed. A slower
    one meets angles beyond a row that it has never seen, and fails there; it is slowed down as far as ``FACTOR``, to meet
    them ``FACTOR`` times as late. Within a row it turns less than in training then, which costs little, and the model needs
    no training for it (NTK by parts: Peng and others 2023, YaRN, section 3.2; written in
    the way of Llama 3, by which pairs in between are slowed a little).
    """
    return {
        "rope_type": "llama3",
        "rope_theta": shape.theta,
        "factor": FACTOR,
        "low_freq_factor": 0.5,  # turns within a row, below which a pair is slowed down altogether
        "high_freq_factor": 1.0,  # and from which on it is not
        "original_max_position_embeddings": trained,
    }


def llama_config(shape: Shape, context: int, trained: int, end: int, pad: int) -> LlamaConfig:
    """The same model for transformers, for a ``context`` of more tokens than the rows on which it was ``trained`` had."""
    return LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=context,
        rms_norm_eps=shape.epsilon,
        rope_parameters=stretched(shape, trained),
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=end,
        pad_token_id=pad,
        initializer_range=INITIAL_STD,
    )
