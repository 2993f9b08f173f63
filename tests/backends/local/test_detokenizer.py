"""Incremental text equals the decoding of all ids, on real tokenizers and on made ones."""

from __future__ import annotations

import functools
import random
from pathlib import Path

import pytest
from tokenizers import Tokenizer as BackendTokenizer
from tokenizers import decoders, models, normalizers
from transformers import PreTrainedTokenizerFast

from ambidex_backends.local.detokenizer import REPLACEMENT
from ambidex_backends.local.tokenizer import Tokenizer

from .conftest import text_tokenizer

TEXTS = (
    "Hello, world! It's a test — naïve café, 你好世界, 🙂👨‍👩‍👧 and \t tabs\n\nnew lines  two spaces",
    " leading space",
    "ends with emoji 🇦🇹",
    "日本語のテキスト。ＡＢＣ",
    "\x00\x07 control \u2028 separator",
)
REAL = ("gpt2", "llama-3.1-instruct", "mistral-v0.3-instruct", "qwen2.5-instruct", "smollm2-instruct", "gpt-oss")


def byte_fallback_tokenizer() -> Tokenizer:
    """SentencePiece-like: a space mark before words, bytes for what the vocabulary lacks."""
    pieces = [
        "<unk>",
        "<s>",
        "</s>",
        *(f"<0x{byte:02X}>" for byte in range(256)),
        "▁",
        "▁the",
        "▁rain",
        "a",
        "b",
        "é",
        ".",
    ]
    backend = BackendTokenizer(
        models.BPE(
            vocab={piece: id for id, piece in enumerate(pieces)}, merges=[], unk_token="<unk>", byte_fallback=True
        )
    )
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return Tokenizer(
        PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>", bos_token="<s>", eos_token="</s>")
    )


def cleaning_tokenizer() -> Tokenizer:
    pretrained = text_tokenizer()
    pretrained.clean_up_tokenization_spaces = True
    return Tokenizer(pretrained)


MADE = {
    "byte-level": lambda: Tokenizer(text_tokenizer()),
    "byte-fallback": byte_fallback_tokenizer,
    "cleans up": cleaning_tokenizer,
}


@functools.cache
def real_tokenizer(folder: Path) -> Tokenizer:
    return Tokenizer(PreTrainedTokenizerFast.from_pretrained(folder))


def streamed(tokenizer: Tokenizer, prompt: list[int], new: list[int]) -> str:
    detokenizer = tokenizer.detokenizer(prompt, tokenizer.special_ids)
    return "".join([*(detokenizer.push(id) for id in new), detokenizer.flush()])


def check_ids(tokenizer: Tokenizer, ids: list[int]) -> None:
    """Streaming from the start gives the decoding of everything."""
    assert streamed(tokenizer, [], ids) == tokenizer.decode(ids)


def check_split(tokenizer: Tokenizer, ids: list[int], at: int) -> None:
    """Streaming after a prompt gives what the whole has more than the prompt, where that is a beginning of it."""
    whole, before = tokenizer.decode(ids), tokenizer.decode(ids[:at])
    if whole.startswith(before):
        assert streamed(tokenizer, ids[:at], ids[at:]) == whole[len(before) :]


def exercise(tokenizer: Tokenizer, rounds: int) -> None:
    for text in TEXTS:
        ids = tokenizer.encode(text)
        check_ids(tokenizer, ids)
        for at in range(len(ids)):
            check_split(tokenizer, ids, at)
    generator = random.Random(7)
    for _ in range(rounds):
        ids = [generator.randrange(tokenizer.vocab_size) for _ in range(generator.randrange(1, 40))]
        check_ids(tokenizer, ids)
        check_split(tokenizer, ids, generator.randrange(len(ids)))


@pytest.mark.parametrize("kind", MADE)
def test_made_tokenizers(kind: str) -> None:
    exercise(MADE[kind](), 600)


@pytest.mark.parametrize("name", REAL)
def test_real_tokenizers(shared: Path, name: str) -> None:
    exercise(real_tokenizer(shared / "data" / "tokenizers" / name), 150)


def test_text_comes_as_soon_as_it_is_certain() -> None:
    tokenizer = Tokenizer(text_tokenizer())
    detokenizer = tokenizer.detokenizer([], frozenset())
    pieces = [detokenizer.push(id) for id in tokenizer.encode("é!")]
    assert pieces == ["", "é", "!"], "the first byte of two waits for the second"


def test_invalid_bytes_do_not_wait_for_ever() -> None:
    tokenizer = Tokenizer(text_tokenizer())
    lone = tokenizer.encode("é")[1]
    detokenizer = tokenizer.detokenizer([], frozenset())
    assert detokenizer.push(lone) == ""
    assert detokenizer.push(tokenizer.encode("a")[0]) == REPLACEMENT + "a"


def test_control_tokens_give_no_text() -> None:
    tokenizer = Tokenizer(text_tokenizer())
    end = tokenizer.special["<|im_end|>"]
    assert streamed(tokenizer, [], [*tokenizer.encode("a"), end, *tokenizer.encode("b")]) == "ab"


def test_token_bytes_add_up_to_the_text() -> None:
    for kind in ("byte-level", "byte-fallback"):
        tokenizer = MADE[kind]()
        text = "the rain é 🙂."
        data = b"".join(piece.bytes for piece in tokenizer.pieces(text))
        assert data.decode().strip() == text
