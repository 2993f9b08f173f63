"""`DistinctNames`: a grammar in which no JSON object has a name twice.

No grammar can say that of an object whose names are open, so the text is followed beside it: which object it stands in,
and which names that has. A token that would end a name for the second time may not follow.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .constraint import Matcher
from .json_openings import MAX_OPENING, START, Openings

_FIRST_OF_VALUE = re.compile(rb"[\"'{\[]")
_IN_JSON = re.compile(rb'["{}\[\],:]')
_IN_STRING = re.compile(rb'["\\]')
_IN_QUOTES = re.compile(rb"['\\]")
_QUOTE = re.compile(rb'[^"\\]*"')

_ELSEWHERE, _BETWEEN, _STRING, _NAME, _QUOTES = range(5)
"""Where a text ends: outside of JSON, between the strings of a JSON value, in a string, in a name, in single quotes."""

_QUOTES_OF_A_NAME = {_NAME: 1, _BETWEEN: 2, _STRING: 3, _QUOTES: 4, _ELSEWHERE: 4}
"""How many double quotes a token has at least that ends a name, by where it begins."""


class Inside(NamedTuple):
    """A JSON object or array that is open. names: those that an object has so far; None: an array."""

    names: frozenset[str] | None
    around: Inside | None


class Place(NamedTuple):
    """Where a text ends.

    before       the last bytes outside of JSON
    is_escaped   behind a backslash
    name         the bytes of the name that is being written
    expects_name the next string of this object is a name
    """

    mode: int = _ELSEWHERE
    inside: Inside | None = None
    before: bytes = START.encode()
    is_escaped: bool = False
    name: bytes = b""
    expects_name: bool = False

    @property
    def may_repeat(self) -> bool:
        """Whether any object around has a name already."""
        inside = self.inside
        while inside is not None and not inside.names:
            inside = inside.around
        return inside is not None


class QuotesOfTokens:
    """The tokens of a vocabulary that have double quotes, by what matters for names. Made once for a vocabulary."""

    def __init__(self, vocabulary: Sequence[bytes]) -> None:
        self.vocabulary = vocabulary
        counts = np.array([data.count(b'"') for data in vocabulary], dtype=np.int64)
        self._by_count = {least: np.flatnonzero(counts >= least) for least in set(_QUOTES_OF_A_NAME.values())}
        self._by_beginning: dict[bytes, list[int]] = {}
        """Tokens by what they have before their first quote."""
        others: list[int] = []
        for id in self._by_count[1].tolist():
            if (found := _QUOTE.match(vocabulary[id])) and counts[id] < 3:
                self._by_beginning.setdefault(found[0][:-1], []).append(id)
            else:
                others.append(id)
        self._others = np.array(others, dtype=np.int64)
        """Those with a backslash before it, or with so many quotes that they may hold whole names."""

    def that_may_repeat(self, place: Place) -> npt.NDArray[np.int64]:
        """The ids among which are all that could end a name which is there already."""
        names = None if place.inside is None else place.inside.names
        if place.mode != _NAME or place.is_escaped or b"\\" in place.name or names is None:
            return self._by_count[_QUOTES_OF_A_NAME[place.mode]]
        written = (name.encode("utf-8", "surrogatepass") for name in names)
        rests = (name[len(place.name) :] for name in written if name.startswith(place.name))
        ending = [id for rest in rests for id in self._by_beginning.get(rest, ())]
        return np.concatenate([self._others, np.array(ending, dtype=np.int64)])


class DistinctNames:
    """A `Matcher` in front of another. `openings`: where JSON begins in its texts."""

    def __init__(
        self, matcher: Matcher, tokens: QuotesOfTokens, openings: Openings, place: Place | None = None
    ) -> None:
        self._matcher = matcher
        self._tokens = tokens
        self._openings = openings
        self._place = place or Place()

    def compute_logit_bias(self) -> bytes:
        bias = self._matcher.compute_logit_bias()
        if not self._place.may_repeat:
            return bias
        allowed = np.frombuffer(bias, dtype=np.uint8)
        doubtful = self._tokens.that_may_repeat(self._place)
        repeats = [id for id in doubtful[allowed[doubtful] != 0].tolist() if self._after(id) is None]
        if not repeats:
            return bias
        allowed = allowed.copy()
        allowed[repeats] = 0
        return allowed.tobytes() if allowed.any() else bias  # a pattern may have no further name

    def consume_token(self, sampled_token: int, /) -> bool:
        self._place = self._after(sampled_token) or self._place
        return self._matcher.consume_token(sampled_token)

    def compute_ff_tokens(self) -> list[int]:
        return self._distinct(self._matcher.compute_ff_tokens())

    def try_consume_tokens(self, tokens: list[int], /) -> int:
        taken = self._matcher.try_consume_tokens(self._distinct(tokens))
        for token in tokens[:taken]:
            self._place = self._after(token) or self._place
        return taken

    def validate_tokens(self, tokens: list[int], /) -> int:
        return self._matcher.validate_tokens(self._distinct(tokens))

    def is_stopped(self) -> bool:
        return self._matcher.is_stopped()

    def is_error(self) -> bool:
        return self._matcher.is_error()

    def get_error(self) -> str:
        return self._matcher.get_error()

    def is_accepting(self) -> bool:
        return self._matcher.is_accepting()

    def deep_copy(self) -> DistinctNames:
        return DistinctNames(self._matcher.deep_copy(), self._tokens, self._openings, self._place)

    def _distinct(self, tokens: list[int]) -> list[int]:
        """The tokens up to the first that repeats a name."""
        place: Place | None = self._place
        for at, token in enumerate(tokens):
            if place is not None and (place := self._after(token, place)) is None:
                return tokens[:at]
        return tokens

    def _after(self, token: int, place: Place | None = None) -> Place | None:
        known = self._tokens.vocabulary
        return walked(place or self._place, known[token] if token < len(known) else b"", self._openings)


def walked(place: Place, data: bytes, openings: Openings) -> Place | None:
    """Where a text ends that goes on with `data`; None if an object in it has a name twice."""
    at = 0
    while at < len(data):
        if place.is_escaped:
            is_name = place.mode == _NAME
            place = place._replace(is_escaped=False, name=place.name + data[at : at + 1] if is_name else b"")
            at += 1
            continue
        found = _NEXT[place.mode].search(data, at)
        end = len(data) if found is None else found.end()
        following = _passed(place, data[at:end], found is not None, openings)
        if following is None:
            return None
        place, at = following, end
    return place


_NEXT = {
    _ELSEWHERE: _FIRST_OF_VALUE,
    _BETWEEN: _IN_JSON,
    _STRING: _IN_STRING,
    _NAME: _IN_STRING,
    _QUOTES: _IN_QUOTES,
}


def _passed(place: Place, piece: bytes, has_mark: bool, openings: Openings) -> Place | None:
    """Behind a piece of text that ends with a mark of its mode, or has none."""
    if place.mode == _ELSEWHERE:
        mark = piece[-1] if has_mark else 0
        before = (place.before + (piece[:-1] if has_mark else piece))[-MAX_OPENING:]
        if any(before.endswith(opening) for opening in openings.get(mark, ())):
            return _begun(Place(), mark)
        return Place(before=(before + piece[-1:])[-MAX_OPENING:] if has_mark else before)
    if place.mode == _NAME:
        place = place._replace(name=place.name + (piece if not has_mark or piece.endswith(b"\\") else piece[:-1]))
    if not has_mark:
        return place
    if piece.endswith(b"\\"):
        return place._replace(is_escaped=True)
    if place.mode == _NAME:
        return _named(place)
    if place.mode in (_STRING, _QUOTES):
        return _back_in(place.inside)
    return _between(place, piece[-1])


def _between(place: Place, mark: int) -> Place:
    """Behind a mark between the strings of a JSON value."""
    if mark in b",:":
        is_object = place.inside is not None and place.inside.names is not None
        return place._replace(expects_name=is_object and mark == ord(","))
    if mark in b"}]":
        return _back_in(None if place.inside is None else place.inside.around)
    return _begun(place, mark)


def _begun(place: Place, mark: int) -> Place:
    """Behind the first byte of a value or of a name."""
    if mark == ord('"'):
        return place._replace(mode=_NAME if place.expects_name else _STRING, name=b"", expects_name=False)
    if mark == ord("'"):
        return place._replace(mode=_QUOTES)
    is_object = mark == ord("{")
    return Place(_BETWEEN, Inside(frozenset() if is_object else None, place.inside), expects_name=is_object)


def _back_in(inside: Inside | None) -> Place:
    """Behind a value in what is around it."""
    return Place(before=b"") if inside is None else Place(_BETWEEN, inside)


def _named(place: Place) -> Place | None:
    """Behind a name; None if it is there already."""
    written = place.name.decode("utf-8", "replace")
    try:
        name = str(json.loads(f'"{written}"', strict=False))
    except ValueError:
        name = written
    assert place.inside is not None
    names = place.inside.names or frozenset()
    return None if name in names else Place(_BETWEEN, Inside(names | {name}, place.inside.around))
