"""What kinds of OpenAI-compatible servers differ in: which fields they know and how they are spelled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DialectName = Literal["openai", "vllm"]


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one kind of server is asked.

    extras            sampling options beyond OpenAI's that it takes, by our names (its own are the same)
    max_tokens        the field for `Request.max_tokens`
    reasoning_switch  `reasoning=True/False` goes to the chat template as `enable_thinking`; else it is an effort
    reasoning_field   the field in which an earlier answer's reasoning is sent back; None: it is not
    """

    name: str
    extras: frozenset[str] = frozenset()
    max_tokens: str = "max_tokens"
    reasoning_switch: bool = False
    reasoning_field: str | None = None


OPENAI = Dialect("openai", max_tokens="max_completion_tokens")
"""OpenAI's own service, and servers that refuse every field that it does not document."""

VLLM = Dialect(
    "vllm",
    extras=frozenset({"top_k", "min_p", "repetition_penalty", "min_tokens"}),
    reasoning_switch=True,
    reasoning_field="reasoning_content",
)
"""vLLM, SGLang, and the servers that took over its field names; what an endpoint is taken for unless told otherwise."""

ROUTER = Dialect("Hugging Face's router", extras=frozenset({"top_k", "min_p", "repetition_penalty"}))
"""Passed on to the provider, which says so (400 or 422) when it does not know a field. Reasoning is not sent back:
providers disagree on the field, and some refuse the request for one they do not know."""

DIALECTS: dict[str, Dialect] = {"openai": OPENAI, "vllm": VLLM}
