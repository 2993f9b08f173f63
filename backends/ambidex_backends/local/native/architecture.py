"""What of a model's configuration the kernels need; None where they cannot compute the architecture.

Everything here is a relative of Llama: RMS norms, rotary positions, grouped-query attention and a gated MLP, with what
its relatives do differently: norms of queries and keys, norms after each half, biases, multipliers, soft caps, sliding
windows, attention sinks, layers without positions, mixtures of experts. The source of each rule is the model's own code
in transformers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

FAMILIES = {
    "llama", "mistral", "qwen2", "qwen3", "smollm3", "granite", "phi3", "gemma2", "gemma3_text", "olmo2",
    "mixtral", "qwen2_moe", "qwen3_moe", "olmoe", "granitemoe", "gpt_oss",
}  # fmt: skip
# What a configuration says beyond what its family's code in transformers looks at means nothing there, nor here.
MIXTURES = {"mixtral", "qwen2_moe", "qwen3_moe", "olmoe", "granitemoe", "gpt_oss"}
NORMS_HEADS = {"qwen3", "qwen3_moe", "gemma3_text", "olmo2", "olmoe"}
NEVER_BIASED = {"mistral", "mixtral", "phi3"}
BIASED_MLPS = {"llama", "smollm3", "granite"}
LISTS_LAYERS = {"qwen2", "qwen3", "smollm3", "gemma2", "gemma3_text", "qwen2_moe", "gpt_oss"}
ALWAYS_SLIDES = {"mistral", "phi3", "mixtral", "qwen3_moe"}
"""Families of which every layer has the window, if there is one; the others have none in any but `LISTS_LAYERS`."""

MOST_EXPERTS = 4096
"""More of them in a layer are not believed: the kernels keep a few bytes for each on a thread's stack."""

Gate = Literal["silu", "gelu", "clamped"]
GATES: dict[str, Gate] = {"silu": "silu", "swish": "silu", "gelu_pytorch_tanh": "gelu"}
"""A configuration's name for the activation of the gate -> ours. "clamped" is that of gpt-oss, without a name there."""

FIXED_ROPES = ("linear", "llama3", "yarn")
"""Kinds of rotary positions whose frequencies do not depend on the length of the text, beside the default."""


@dataclass(frozen=True, slots=True)
class Rope:
    """Frequencies `[rotary / 2]` of rotary positions, and what their cosines and sines are multiplied by."""

    frequencies: torch.Tensor
    scaling: float


@dataclass(frozen=True, slots=True)
class LayerKind:
    """How one layer attends: `window` positions back including its own (0: all), and which rope (None: none).

    `mixes`: its MLP is a mixture of experts.
    """

    window: int
    rope: int | None
    mixes: bool = False


@dataclass(frozen=True, slots=True)
class Experts:
    """The experts of a layer: how many, how many of them for each token, and the size of their hidden layer.

    The weights of the chosen ones add up to 1 if `normalised`. `shared_hidden` is the size of the hidden layer of an
    MLP that all tokens go through beside them, 0 without one.
    """

    count: int
    chosen: int
    hidden: int
    normalised: bool
    shared_hidden: int


@dataclass(frozen=True, slots=True)
class Architecture:
    """Sizes and switches of one model."""

    family: str
    layers: tuple[LayerKind, ...]
    ropes: tuple[Rope, ...]
    width: int
    heads: int
    kv_heads: int
    head_size: int
    hidden: int
    vocabulary: int
    epsilon: float
    gate: Gate
    tied: bool
    query_scale: float
    qkv_bias: bool
    output_bias: bool
    mlp_bias: bool
    experts: Experts | None = None
    embedding_scale: float = 1.0
    residual_scale: float = 1.0
    logits_scale: float = 1.0
    attention_cap: float = 0.0
    logits_cap: float = 0.0
    gate_scale: float = 1.0
    gate_limit: float = 0.0
    """Of the clamped gate: `min(g, limit) * sigmoid(scale * min(g, limit)) * (clamp(u, -limit, limit) + 1)`."""

    @property
    def rotary(self) -> int:
        """How many of a head's numbers are turned."""
        return 2 * self.ropes[0].frequencies.shape[0]

    @property
    def norm_offset(self) -> float:
        """Gemma's norms multiply by 1 + weight."""
        return 1.0 if self.family.startswith("gemma") else 0.0

    @property
    def norms_heads(self) -> bool:
        """Whether queries and keys are normed."""
        return self.family in NORMS_HEADS

    @property
    def norms_all_heads(self) -> bool:
        """OLMo 2 and OLMoE norm the queries of all heads together."""
        return self.family in ("olmo2", "olmoe")


def read_architecture(config: Any) -> Architecture | None:
    """The architecture of a configuration of transformers, or None if it is another one."""
    family = str(config.model_type)
    activation = getattr(config, "hidden_activation", None) or getattr(config, "hidden_act", None)
    if family not in FAMILIES or activation not in GATES:
        return None
    head_size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    kinds = _layer_types(config)
    names: list[str | None] = [*sorted(set(kinds))] if family == "gemma3_text" else [None]
    ropes = [_rope(config, head_size, name) for name in names]
    if None in ropes or head_size % 2:
        return None
    experts = _experts(config) if family in MIXTURES else None
    if experts and not 1 <= experts.chosen <= experts.count <= MOST_EXPERTS:
        return None
    if family == "olmoe" and config.clip_qkv is not None:
        return None
    biased = family not in NEVER_BIASED and bool(getattr(config, "attention_bias", False))
    qkv_bias = family == "qwen2" or (config.qkv_bias if family == "qwen2_moe" else biased)
    width = int(config.hidden_size)
    query_scale = head_size**-0.5
    if family.startswith("gemma"):
        query_scale = float(config.query_pre_attn_scalar) ** -0.5
    elif family.startswith("granite"):
        query_scale = float(config.attention_multiplier)
    return Architecture(
        family=family,
        layers=tuple(_layer_kind(config, index, kind, names, experts) for index, kind in enumerate(kinds)),
        ropes=tuple(rope for rope in ropes if rope is not None),
        width=width,
        heads=config.num_attention_heads,
        kv_heads=config.num_key_value_heads,
        head_size=head_size,
        hidden=config.intermediate_size,
        vocabulary=config.vocab_size,
        epsilon=config.rms_norm_eps,
        gate="clamped" if family == "gpt_oss" else GATES[activation],
        tied=bool(config.tie_word_embeddings),
        query_scale=query_scale,
        qkv_bias=bool(qkv_bias),
        output_bias=biased and not family.startswith("qwen2"),
        mlp_bias=family in BIASED_MLPS and bool(config.mlp_bias),
        experts=experts,
        embedding_scale=math.sqrt(width)
        if family.startswith("gemma")
        else float(getattr(config, "embedding_multiplier", 1.0)),
        residual_scale=float(getattr(config, "residual_multiplier", 1.0)),
        logits_scale=1.0 / float(getattr(config, "logits_scaling", 1.0)),
        attention_cap=float(getattr(config, "attn_logit_softcapping", None) or 0.0),
        logits_cap=float(getattr(config, "final_logit_softcapping", None) or 0.0),
        gate_scale=float(config.swiglu_alpha) if family == "gpt_oss" else 1.0,
        gate_limit=float(config.swiglu_limit) if family == "gpt_oss" else 0.0,
    )


def _layer_types(config: Any) -> list[str]:
    """ "full_attention" or "sliding_attention" for each layer."""
    count, family = int(config.num_hidden_layers), config.model_type
    if family in LISTS_LAYERS and (listed := getattr(config, "layer_types", None)):
        return list(listed)
    slides = family in ALWAYS_SLIDES and config.sliding_window is not None
    return ["sliding_attention" if slides else "full_attention"] * count


def _layer_kind(config: Any, index: int, kind: str, ropes: list[str | None], experts: Experts | None) -> LayerKind:
    window = int(getattr(config, "sliding_window", None) or 0) if kind == "sliding_attention" else 0
    without = getattr(config, "no_rope_layers", None)  # of SmolLM3; despite its name, 1 means with
    rope = None if without and not without[index] else ropes.index(kind) if len(ropes) > 1 else 0
    return LayerKind(window, rope, experts is not None and _mixes(config, index))


def _mixes(config: Any, index: int) -> bool:
    """Whether this layer of a mixture has experts: Qwen's have none in some layers."""
    if not config.model_type.startswith("qwen"):
        return True
    return index not in (config.mlp_only_layers or ()) and (index + 1) % config.decoder_sparse_step == 0


def _experts(config: Any) -> Experts | None:
    """Of a mixture; None if its configuration says that there are none."""
    qwen, family = config.model_type.startswith("qwen"), config.model_type
    count = int(config.num_local_experts if family == "granitemoe" else config.num_experts)
    if not count:
        return None
    return Experts(
        count=count,
        chosen=int(config.num_experts_per_tok),
        hidden=int(config.moe_intermediate_size if qwen else config.intermediate_size),
        normalised=bool(config.norm_topk_prob) if qwen or family == "olmoe" else True,
        shared_hidden=int(config.shared_expert_intermediate_size) if family == "qwen2_moe" else 0,
    )


def _rope(config: Any, head_size: int, layer_type: str | None) -> Rope | None:
    """None where the angles depend on the length of the text."""
    settings: Any = config.rope_parameters
    if layer_type is not None:
        settings = settings[layer_type]
    kind = settings.get("rope_type", "default")
    if kind == "default":
        share = settings.get("partial_rotary_factor", 1.0) if config.model_type == "phi3" else 1.0
        rotary = int(head_size * share)
        exponents = torch.arange(0, rotary, 2, dtype=torch.float) / rotary
        return Rope(1.0 / settings["rope_theta"] ** exponents, 1.0)
    if kind not in FIXED_ROPES:
        return None
    frequencies, scaling = ROPE_INIT_FUNCTIONS[kind](config, torch.device("cpu"), layer_type=layer_type)
    return Rope(frequencies, float(scaling))
