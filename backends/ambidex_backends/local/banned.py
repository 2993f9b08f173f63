"""Texts that never occur in an answer, however they are cut into tokens."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import torch

from ambidex.errors import InvalidRequest

from .sampling import NEVER, Processor


class TokenIndex:
    """The bytes of every id of a vocabulary, and which begin or hold some bytes. Control tokens are no text: b""."""

    def __init__(self, tokens: Sequence[bytes]) -> None:
        self.tokens = tokens
        self._order = sorted(range(len(tokens)), key=lambda id: tokens[id])
        self._sorted = [tokens[id] for id in self._order]

    def beginning(self, start: bytes) -> list[int]:
        """Ids whose bytes begin with `start`."""
        first = last = bisect_left(self._sorted, start)
        while last < len(self._sorted) and self._sorted[last].startswith(start):
            last += 1
        return self._order[first:last]

    def holding(self, part: bytes) -> list[int]:
        """Ids whose bytes have `part` in them."""
        return [id for id, token in enumerate(self.tokens) if part in token]


def banned_texts(texts: Sequence[str], index: TokenIndex, prompt_length: int) -> Processor:
    """Excludes every id that would complete one of `texts` in the answer, which begins after `prompt_length` ids.

    UTF-8 is read the same from any character's first byte on, so that a text occurs just where its bytes do.
    """
    try:
        banned = [text.encode() for text in texts]
    except UnicodeEncodeError:
        raise InvalidRequest("banned holds half of a surrogate pair, which no text has.", param="banned") from None
    longest = max(map(len, banned))
    at_once = sorted({id for text in banned for id in index.holding(text)})
    completing: dict[tuple[bytes, int], list[int]] = {}

    def process(logits: torch.Tensor, seen: Sequence[int]) -> torch.Tensor:
        tail = b""
        for position in range(len(seen) - 1, prompt_length - 1, -1):
            if len(tail) >= longest:
                break
            if seen[position] < len(index.tokens):
                tail = index.tokens[seen[position]] + tail
        ids = list(at_once)
        for text in banned:
            for length in range(1, len(text)):
                if tail.endswith(text[:length]):
                    if (text, length) not in completing:
                        completing[text, length] = index.beginning(text[length:])
                    ids += completing[text, length]
        if not ids:
            return logits
        return logits.index_fill(0, torch.tensor(ids, device=logits.device), NEVER)

    return process
