"""The model's tokenizer as seen by people and by the engine: pieces, ids, special tokens."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ambidex.errors import InvalidRequest
from ambidex.request import RawPrompt, Special
from ambidex.templates import HFTokenizer

from .detokenizer import Detokenizer, QuotingDetokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class Piece:
    """One token of a text: its id, the bytes it stands for, those as text, and whether it is a control token."""

    id: int
    text: str
    bytes: bytes
    special: bool = False


class Tokenizer:
    """Text to ids and back. `plain` is the same tokenizer as chat templates use it."""

    def __init__(self, pretrained: PreTrainedTokenizerBase) -> None:
        backend: Any = pretrained.backend_tokenizer
        self._backend = backend
        self._cleans_up = bool(getattr(pretrained, "clean_up_tokenization_spaces", False))
        self._pretrained = pretrained
        self.plain = HFTokenizer(backend)
        self.special: Mapping[str, int] = {
            token.content: id for id, token in sorted(backend.get_added_tokens_decoder().items()) if token.special
        }
        """Control tokens: spelling to id."""
        self.special_ids = frozenset(self.special.values())

    @property
    def vocab_size(self) -> int:
        """Number of ids, added tokens included."""
        return int(self._backend.get_vocab_size(with_added_tokens=True))

    @property
    def vocabulary(self) -> dict[str, int]:
        """Every token as the tokenizer writes it, and its id."""
        return dict(self._backend.get_vocab(with_added_tokens=True))

    @cached_property
    def beginning(self) -> tuple[int, ...]:
        """The ids that the tokenizer puts before a text (BOS), if any."""
        marked = self._backend.encode("x", add_special_tokens=True).ids
        plain = self._backend.encode("x", add_special_tokens=False).ids
        for start in range(len(marked) - len(plain) + 1):
            if marked[start : start + len(plain)] == plain:
                return tuple(marked[:start])
        return ()

    def encode(self, text: str) -> list[int]:
        """Ids of the text alone: nothing is added, and spellings of control tokens stay text."""
        try:
            return list(self.plain.encode_plain(text))
        except (TypeError, UnicodeEncodeError):
            raise InvalidRequest("The text holds half of a surrogate pair, which is no character.") from None

    def decode(self, ids: Sequence[int], *, skip_special: bool = True) -> str:
        """Text of the ids, as the tokenizer's own decoder gives it."""
        if not self._cleans_up:
            return str(self._backend.decode(list(ids), skip_special_tokens=skip_special))
        return str(self._pretrained.decode(list(ids), skip_special_tokens=skip_special))

    def pieces(self, text: str) -> tuple[Piece, ...]:
        """How the text is cut into tokens."""
        return tuple(self.piece(id) for id in self.encode(text))

    def piece(self, id: int) -> Piece:
        """The token with this id."""
        data = self.token_bytes(id)
        return Piece(id, data.decode("utf-8", "replace"), data, id in self.special_ids)

    def token_bytes(self, id: int) -> bytes:
        """The bytes that a token stands for; empty for an id without one."""
        name = self._backend.id_to_token(id)
        return b"" if name is None else self._bytes_of(id, str(name))

    @cached_property
    def vocabulary_bytes(self) -> list[bytes]:
        """The bytes of every id, in their order."""
        found = [b""] * self.vocab_size
        for name, id in self._backend.get_vocab(with_added_tokens=True).items():
            if id < len(found):
                found[id] = self._bytes_of(id, name)
        return found

    def _bytes_of(self, id: int, name: str) -> bytes:
        if id in self._added_ids:
            return name.encode()
        if id in self._byte_ids:
            return bytes([int(name[3:5], 16)])
        if self._is_byte_level:
            return name.translate(_BYTE_OF).encode("latin-1") if _LETTERS.issuperset(name) else name.encode()
        return name.replace("\N{LOWER ONE EIGHTH BLOCK}", " ").encode()

    def is_byte(self, id: int) -> bool:
        """Whether the token is one byte of a byte-fallback vocabulary, spelled <0xNN>."""
        return id in self._byte_ids

    def raw_prompt(self, prompt: RawPrompt) -> list[int]:
        """Ids of a request's `prompt`. A text gets the tokenizer's beginning; a sequence is taken as it is."""
        if isinstance(prompt, str):
            return [*self.beginning, *self.encode(prompt)]
        ids: list[int] = []
        for item in prompt:
            match item:
                case int():
                    ids.append(item)
                case Special(spelling):
                    if spelling not in self.plain.control:
                        known = ", ".join(list(self.special)[:12]) or "none"
                        raise InvalidRequest(f"{spelling!r} is no control token of this model. It has: {known}.")
                    ids.append(self.plain.control[spelling])
                case str():
                    ids += self.encode(item)
        return ids

    def detokenizer(
        self, prompt: Sequence[int], hidden: frozenset[int], tags: Mapping[int, str] | None = None
    ) -> Detokenizer:
        """Text of the ids that follow `prompt`; those in `hidden` give none. Where other ids spell one of the `tags`, a
        mark in it says so."""

        def decode(ids: Sequence[int]) -> str:
            return self.decode(ids, skip_special=False)

        is_byte, cleans_up = self.is_byte, self._cleans_up
        if tags:
            return QuotingDetokenizer(decode, prompt, tags=tags, is_byte=is_byte, hidden=hidden, cleans_up=cleans_up)
        return Detokenizer(decode, prompt, is_byte=is_byte, hidden=hidden, cleans_up=cleans_up)

    @cached_property
    def _added_ids(self) -> frozenset[int]:
        return frozenset(self._backend.get_added_tokens_decoder())

    @cached_property
    def _byte_ids(self) -> frozenset[int]:
        if "ByteFallback" not in self._decoder_kinds:
            return frozenset()
        named = (self._backend.token_to_id(f"<0x{byte:02X}>") for byte in range(256))
        return frozenset(id for id in named if id is not None)

    @cached_property
    def _is_byte_level(self) -> bool:
        return "ByteLevel" in self._decoder_kinds

    @cached_property
    def _decoder_kinds(self) -> frozenset[str]:
        decoder = {} if self._backend.decoder is None else json.loads(self._backend.decoder.__getstate__())
        kinds = {decoder.get("type"), *(step.get("type") for step in decoder.get("decoders", []))}
        return frozenset(kind for kind in kinds if kind)

    def __repr__(self) -> str:
        return f"Tokenizer(vocab_size={self.vocab_size}, special={len(self.special)})"


def _byte_alphabet() -> dict[int, int]:
    """Byte-level BPE's letters: printable Latin-1 stands for itself, the other bytes from U+0100 on (GPT-2)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: byte for byte in printable} | {0x100 + index: byte for index, byte in enumerate(others)}


_BYTE_OF: dict[int, int] = _byte_alphabet()
_LETTERS = frozenset(map(chr, _BYTE_OF))
