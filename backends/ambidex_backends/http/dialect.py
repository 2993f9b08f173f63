"""What kinds of OpenAI-compatible servers differ in: which fields they know, how these are spelled, what they refuse.

One `Dialect` per kind. What a dialect says no to raises `Unsupported` before the call, for most of these servers read
past a field that they do not know. docs/wire.md shows this table; a test holds the two together.

Sources: vLLM `entrypoints/openai/chat_completion/protocol.py`; SGLang `srt/entrypoints/openai/protocol.py`; llama.cpp
`tools/server/README.md`; Ollama `openai/openai.go`; TGI `router/src/lib.rs`; OpenAI's API reference; the providers'
forms of structured output as huggingface_hub's `inference/_providers` writes them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from .call_ids import IdForm

OutputForm: TypeAlias = Literal["json_schema", "flat_json_schema", "json_object", "tgi_grammar"]

OUTPUT_FORMS: Mapping[OutputForm, str] = {
    "json_schema": '{"type": "json_schema", "json_schema": {"name", "schema"}}',
    "flat_json_schema": '{"type": "json_schema", "schema"}',
    "json_object": '{"type": "json_object", "schema"}',
    "tgi_grammar": '{"type": "json_object", "value"}',
}
"""What `response_format` is, for docs; the schema stands in it as it was given."""

_NONE: Mapping[str, Any] = MappingProxyType({})
_VLLM_EXTRAS = {
    "top_k": "top_k",
    "min_p": "min_p",
    "repetition_penalty": "repetition_penalty",
    "min_tokens": "min_tokens",
}


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one kind of server is asked.

    title            its name in messages and docs
    extras           sampling options beyond OpenAI's that it takes: our name -> its field
    beside           fields that go with one of these, by our name: they make it mean what we mean
    lacks            options of OpenAI's that it reads past or reads otherwise, by our names
    max_tokens       the field for `Request.max_tokens`
    top_k_off        what says that top_k is off
    output           the form of `response_format`
    output_and_tools whether one request may have both
    switch           `reasoning=True/False`: "template": `enable_thinking` for the chat template; "effort": the effort
                     medium or none; None: it has no say
    effort           `reasoning="low"...`: "field": `reasoning_effort`; "template": the same for the chat template
    reasoning_fields an earlier answer's reasoning is sent back under these names
    replay           "always" (its chat template keeps what its model wants), "loop" (for models that want it, while
                     tools are being called), "never"
    tool_choices     what it takes beside "auto"
    parallel         whether it knows `parallel_tool_calls`
    top_logprobs     alternatives per token at most
    completions      whether /v1/completions completes the prompt as it is
    token_prompts    whether a prompt may be token ids
    call_ids         the form of tool calls' ids, unless the model insists on its own (`model_family.py`)
    image_urls       whether it fetches pictures by their address
    """

    name: str
    title: str
    extras: Mapping[str, str] = field(default_factory=lambda: _NONE)
    beside: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: _NONE)
    lacks: frozenset[str] = frozenset()
    max_tokens: str = "max_tokens"
    top_k_off: int = 0
    output: OutputForm = "json_schema"
    output_and_tools: bool = True
    switch: Literal["template", "effort"] | None = "effort"
    effort: Literal["field", "template"] | None = "field"
    reasoning_fields: tuple[str, ...] = ()
    replay: Literal["always", "loop", "never"] = "never"
    tool_choices: frozenset[str] = frozenset({"none", "required", "named"})
    parallel: bool = True
    top_logprobs: int = 20
    completions: bool = True
    token_prompts: bool = True
    call_ids: IdForm = "letters"
    image_urls: bool = True


OPENAI = Dialect("openai", "OpenAI", max_tokens="max_completion_tokens")
"""OpenAI's own service, and servers that refuse every field that it does not document."""

VLLM = Dialect(
    "vllm",
    "vLLM",
    extras=_VLLM_EXTRAS,
    top_k_off=-1,
    switch="template",
    reasoning_fields=("reasoning", "reasoning_content"),  # renamed in 0.12; each version reads past the other's
    replay="always",
    call_ids="any",
)
"""vLLM, and the servers that took over its field names; what an unknown server is taken for."""

SGLANG = dataclasses.replace(VLLM, name="sglang", title="SGLang", reasoning_fields=("reasoning_content",))

LLAMACPP = Dialect(
    "llamacpp",
    "llama.cpp's server",
    extras={"top_k": "top_k", "min_p": "min_p", "typical_p": "typical_p", "repetition_penalty": "repeat_penalty"},
    beside={"repetition_penalty": {"repeat_last_n": -1}},  # else it looks at the last 64 tokens only
    output="json_object",
    switch="template",
    effort="template",
    reasoning_fields=("reasoning_content",),
    replay="always",
    tool_choices=frozenset({"none", "required"}),  # a named one is read as "auto"
    call_ids="any",
)

OLLAMA = Dialect(
    "ollama",
    "Ollama",
    lacks=frozenset({"logit_bias"}),
    reasoning_fields=("reasoning",),
    replay="always",
    tool_choices=frozenset(),
    parallel=False,
    completions=False,  # it puts the prompt into the model's chat template
    token_prompts=False,
    call_ids="any",
    image_urls=False,
)
"""Ollama's /v1; its own options (top_k, min_p, num_ctx) are those of the model file there."""

TGI = Dialect(
    "tgi",
    "TGI",
    lacks=frozenset({"logit_bias", "presence_penalty"}),  # read past; made a repetition penalty
    output="tgi_grammar",
    output_and_tools=False,
    switch=None,
    effort=None,
    parallel=False,
    top_logprobs=5,
    token_prompts=False,
    call_ids="any",
)
"""Text Generation Inference: what most dedicated endpoints of Hugging Face run."""

OURS = dataclasses.replace(
    VLLM,
    name="ambidex",
    title="Ambidex",
    extras={**_VLLM_EXTRAS, "typical_p": "typical_p", "no_repeat_ngram": "no_repeat_ngram", "banned": "banned"},
    top_k_off=0,
    reasoning_fields=("reasoning_content",),
)
"""A server of this project: every option of `decoding` under its own name."""

ROUTER = Dialect(
    "router",
    "Hugging Face's router",
    extras={"top_k": "top_k", "min_p": "min_p", "repetition_penalty": "repetition_penalty"},
    reasoning_fields=("reasoning_content",),
    replay="loop",
)
"""Passed on to the provider, which says so (400 or 422) when it does not know a field. `response_format` goes in
OpenAI's form also to a pinned provider: the router speaks OpenAI's wire and turns it into that of the provider."""


def _provider(name: str, title: str, output: OutputForm = "json_schema") -> Dialect:
    return dataclasses.replace(ROUTER, name=name, title=title, output=output)


PROVIDER_DIALECTS: Mapping[str, Dialect] = {
    "together": _provider("together", "Together", "flat_json_schema"),
    "fireworks-ai": _provider("fireworks-ai", "Fireworks", "json_object"),
    "cohere": _provider("cohere", "Cohere", "json_object"),
    "hf-inference": dataclasses.replace(TGI, name="hf-inference", title="hf-inference", call_ids="letters"),
    "groq": _provider("groq", "Groq"),
    "novita": _provider("novita", "Novita"),
    "deepinfra": _provider("deepinfra", "DeepInfra"),
    "zai-org": _provider("zai-org", "Z.ai"),
    "cerebras": _provider("cerebras", "Cerebras"),
    "nscale": _provider("nscale", "Nscale"),
    "scaleway": _provider("scaleway", "Scaleway"),
    "ovhcloud": _provider("ovhcloud", "OVHcloud"),
    "featherless-ai": _provider("featherless-ai", "Featherless"),
    "publicai": _provider("publicai", "Public AI"),
    "baseten": _provider("baseten", "Baseten"),
}
"""Providers asked on routes of their own, by the router's names for them."""

SELF_HOSTED = (VLLM, SGLANG, LLAMACPP, OLLAMA, TGI, OURS)
"""What a server whose kind is not known may be."""

DIALECTS: Mapping[str, Dialect] = {
    dialect.name: dialect for dialect in (OPENAI, *SELF_HOSTED, ROUTER, *PROVIDER_DIALECTS.values())
}
"""What `EndpointBackend(dialect=...)` takes."""

DialectName: TypeAlias = Literal[
    "openai",
    "vllm",
    "sglang",
    "llamacpp",
    "ollama",
    "tgi",
    "ambidex",
    "router",
    "together",
    "fireworks-ai",
    "cohere",
    "hf-inference",
    "groq",
    "novita",
    "deepinfra",
    "zai-org",
    "cerebras",
    "nscale",
    "scaleway",
    "ovhcloud",
    "featherless-ai",
    "publicai",
    "baseten",
]
