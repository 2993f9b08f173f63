"""`Closing`: which tokens rather lead to the end of a JSON text, for those who must end it soon.

A heuristic, not a proof: what it leads to is tried out on a copy of the grammar's state before it is relied on.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

_OUTSIDE = {
    "}": 3.0,
    "]": 3.0,
    ")": 1.0,
    ",": 2.0,
    '"': -0.5,
    "{": -1.0,
    "[": -1.0,
    "(": -1.0,
    "-": -2.0,
    "+": -2.0,
    ".": -2.0,
    " ": -0.1,
}
_MARKS = frozenset(_OUTSIDE) | {"\\", "\n", "\t", "\r", "e", "E"}


class Closing:
    """Scores of all tokens, outside of strings and inside of them; and whether a text ends inside of one."""

    def __init__(self, vocabulary: Sequence[bytes], size: int) -> None:
        """`vocabulary`: the bytes of each id; `size`: how many ids are scored, >= their number."""
        self._texts = [data.decode("utf-8", "replace") for data in vocabulary]
        self._scores = {inside: self._scored(inside, size) for inside in (False, True)}
        self.size = size

    def best(self, allowed: torch.Tensor, in_string: bool) -> int:
        """The best of the `allowed` ids [V]."""
        return int(self._scores[in_string].masked_fill(~allowed, float("-inf")).argmax())

    def in_string_after(self, token: int, in_string: bool) -> bool:
        """Whether the text is inside a JSON string after this token, if it was `in_string` before."""
        return _walk(self._texts[token], in_string)[1] if token < len(self._texts) else in_string

    def _scored(self, in_string: bool, size: int) -> torch.Tensor:
        plain = -2.0 if in_string else 0.0
        scores = [
            plain * len(text) - 0.01 * len(text) if _MARKS.isdisjoint(text) else _walk(text, in_string)[0]
            for text in self._texts
        ]
        return torch.tensor([*scores, *[-1e6] * (size - len(scores))][:size])


def _walk(text: str, in_string: bool) -> tuple[float, bool]:
    """The score of a token that comes in a string or outside, and where its text ends."""
    score, escaped = 0.0, False
    for character in text:
        if escaped:
            escaped = False
        elif not in_string:
            score += _OUTSIDE.get(character, -0.01)
            in_string = character == '"'
        elif character == '"':
            score += 5.0
            in_string = False
        else:
            score -= 3.0 if character == "\\" else 2.0
            escaped = character == "\\"
    return score, in_string
