"""`Closing`: which tokens rather lead to the end of a JSON text, for those who must end it soon.

A heuristic, not a proof: what it leads to is tried out on a copy of the grammar's state before it is relied on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Place: TypeAlias = int
OUTSIDE, INSIDE, ESCAPED = range(3)
"""Where a JSON text ends: outside of strings, inside of one, or there behind a backslash."""

Allowed: TypeAlias = npt.NDArray[np.bool_]
"""Which ids may follow [V]."""

_OUTSIDE = {
    "}": 3.0,
    "]": 3.0,
    ")": 1.0,
    "/": 1.0,  # an end tag rather than another tag
    ",": -1.0,  # where something more must come, nothing else is allowed
    '"': -2.5,
    "{": -1.0,
    "[": -1.0,
    "(": -1.0,
    "-": -2.0,
    "+": -2.0,
    ".": -2.0,
    " ": -0.1,
    **dict.fromkeys("123456789", -1.5),  # a number ends rather than goes on
    "0": -1.6,  # behind -0. there must be another
}
_MARKS = frozenset(_OUTSIDE) | {"\\", "\n", "\t", "\r", "e", "E"}


_LIKELY = re.compile(rb'[]}[{":, )]{1,4}|[ -~]|true|null|[0-9]{2}')
"""The few tokens that nearly every step on the way to an end is among."""


_PLAIN = re.compile(rb"[A-Za-z0-9 \x80-\xff]+")
"""What is a piece of a text wherever any letter may stand."""

_DIGITS = b"0123456789"
_LETTERS = (b"a", b"q", b"Q", b"x", b"Z")


class Closing:
    """Scores of all tokens at each place of a JSON text."""

    def __init__(self, vocabulary: Sequence[bytes], size: int) -> None:
        """`vocabulary`: the bytes of each id; `size`: how many ids are scored, >= their number."""
        self._vocabulary = vocabulary
        self._size = size
        few_bytes = [(id, data) for id, data in enumerate(vocabulary[:size]) if _LIKELY.fullmatch(data)]
        few = [(id, data.decode()) for id, data in few_bytes]
        outside, inside, escaped = (_best_first(few, place) for place in (OUTSIDE, INSIDE, ESCAPED))
        ending = [id for id in inside if vocabulary[id].startswith(b'"')]
        self.likely: Mapping[Place, Sequence[int]] = {
            OUTSIDE: outside,
            INSIDE: [*ending, *outside],  # what took a text's quotes for its own is wrong about the place
            ESCAPED: escaped,
        }
        """Some ids, the best first."""
        self._digits = np.array([id for id, data in enumerate(vocabulary[:size]) if data[:1].isdigit()], dtype=np.int64)
        self.quotes = [[id] for id, data in few_bytes if data in (b'"', b"'")]
        """The ids that end texts, each by itself."""
        one_letter = {data: id for id, data in few_bytes if data in _LETTERS}
        self.letters = tuple(sorted(one_letter.values()))
        """The ids of some letters, if the vocabulary has them by themselves."""

    def best(self, allowed: Allowed, place: Place) -> int:
        """The best of the `allowed` ids."""
        scores = self._scores[place]
        return int(np.where(allowed[: len(scores)], scores[: len(allowed)], -np.inf).argmax())

    def place_after(self, token: int, place: Place) -> Place:
        """Where the text is after this token, if it was at `place` before."""
        if token >= len(self._vocabulary):
            return place
        data = self._vocabulary[token]
        if place != ESCAPED and b'"' not in data and b"\\" not in data:
            return place
        return _walk(data.decode("utf-8", "replace"), place)[1]

    def bytes_of(self, token: int) -> bytes:
        """What a token writes."""
        return self._vocabulary[token] if token < len(self._vocabulary) else b""

    def is_free(self, allowed: Allowed) -> bool:
        """Whether any letter may follow: in a text, but not where a name, a tag, or one of a few words is written."""
        letters = self.letters
        return len(letters) > 1 and letters[-1] < len(allowed) and bool(allowed[list(letters)].all())

    def digits_after(self, token: int, before: int) -> int:
        """How many digits in a row the text ends with behind this token."""
        data = self._vocabulary[token] if token < len(self._vocabulary) else b""
        return before + len(data) if data.isdigit() else len(data) - len(data.rstrip(_DIGITS))

    def without_digits(self, allowed: Allowed) -> Allowed:
        """The `allowed` without those that begin with a digit, if others are left."""
        others = allowed.copy()
        others[self._digits] = False
        return others if others.any() else allowed

    def is_text(self, valid: Callable[[list[int]], int]) -> bool:
        """The same, asked of a function that says how many of some ids may follow."""
        return len(self.letters) > 1 and all(valid([letter]) for letter in self.letters)

    def growth_of_piece(self, token: int) -> int | None:
        """By how many tokens the way to the end is at most longer behind a piece of a text: the bytes that a character
        still lacks, or one more letter. None for a token that might begin or end something."""
        data = self._vocabulary[token] if token < len(self._vocabulary) else b""
        if not _PLAIN.fullmatch(data):
            return None
        return 1 if data.isascii() else 4

    @cached_property
    def _scores(self) -> dict[Place, npt.NDArray[np.float32]]:
        texts = [data.decode("utf-8", "replace") for data in self._vocabulary[: self._size]]
        return {
            place: np.array([_score(text, place) for text in texts], dtype=np.float32)
            for place in (OUTSIDE, INSIDE, ESCAPED)
        }


def _best_first(tokens: Sequence[tuple[int, str]], place: Place) -> list[int]:
    return [id for id, _ in sorted(tokens, key=lambda token: -_score(token[1], place))]


def _score(text: str, place: Place) -> float:
    if _MARKS.isdisjoint(text):
        return (-0.01 if place == OUTSIDE else -2.01) * len(text)
    return _walk(text, place)[0]


def _walk(text: str, place: Place) -> tuple[float, Place]:
    """The score of a token that comes at this place, and where its text ends."""
    score = 0.0
    for character in text:
        if place == ESCAPED:
            score -= 1.0
            place = INSIDE
        elif place == OUTSIDE:
            score += _OUTSIDE.get(character, -0.01)
            place = INSIDE if character == '"' else OUTSIDE
        elif character == '"':
            score += 5.0
            place = OUTSIDE
        else:
            score -= 3.0 if character == "\\" else 2.0
            place = ESCAPED if character == "\\" else INSIDE
    return score, place
