"""What transformers makes of a history, and tokenizers for templates whose own is not at hand."""

from __future__ import annotations

import datetime
import re
from collections.abc import Collection
from typing import Any

import tokenizers
from tests.sdk.templates.histories import NOW, History, as_dicts
from tokenizers import AddedToken, decoders, models, pre_tokenizers
from transformers.utils import chat_template_utils

SPECIAL = {"bos_token": "<s>", "eos_token": "</s>"}

_TAG = re.compile(r"<[|｜]?/?[\w:.▁ -]{1,40}[|｜]?>|\[/?[A-Z_]{3,30}\]|<\|[a-z_]+>|\]<\]minimax\[>\[")


class Clock(datetime.datetime):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:  # type: ignore[override]
        return NOW


def rendered(source: str, history: History, switches: dict[str, Any], special: dict[str, str] = SPECIAL) -> str:
    """transformers' own text, at the time `NOW`. Raises what it raises."""
    module: Any = chat_template_utils
    kept = module.datetime
    module.datetime = Clock
    try:
        texts, _ = module.render_jinja_template(
            conversations=[as_dicts(history.messages)],
            tools=[tool.to_openai() for tool in history.tools] or None,
            chat_template=source,
            add_generation_prompt=history.add_generation_prompt,
            continue_final_message=history.continue_final,
            **special,
            **switches,
        )
    finally:
        module.datetime = kept
    return str(texts[0])


def byte_level(control: Collection[str], *, special: bool = True) -> tokenizers.Tokenizer:
    """A tokenizer of single bytes and these control tokens."""
    vocabulary = {character: id for id, character in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = tokenizers.Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_tokens([AddedToken(spelling, special=special, normalized=False) for spelling in sorted(control)])
    return tokenizer


def control_tokens_in(source: str) -> frozenset[str]:
    """What looks like a control token in a template's source."""
    return frozenset(_TAG.findall(source)) | frozenset(SPECIAL.values())


def pretrained(tokenizer: tokenizers.Tokenizer, source: str, special: dict[str, str] = SPECIAL) -> Any:
    """transformers' tokenizer around this one."""
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, chat_template=source, **special)
