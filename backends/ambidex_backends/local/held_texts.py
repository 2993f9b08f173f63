"""`HeldTexts`: how a text that must match a pattern, or have some length, ends soonest.

No mask says how far its end is: letters may be allowed for ever. But where its length has a limit, whatever a mask
allows leads to its end, and so the least limit under which the text so far fits gives the shortest way.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeAlias

from ambidex.grammar import Grammar, Json, Regex, Until

from .closing import OUTSIDE, Closing, Place
from .constraint import MAX_WAY, Matcher, allowed_by
from .json_openings import values

_LENGTHS = {"pattern": str, "format": str, "minLength": int}
"""What a schema says of a text that cannot end anywhere, and the types in which it says so."""
_OF_TEXTS = {*_LENGTHS, "maxLength", "allOf"}
_ANY_TEXT = "(?s:.*)"

MOST_KNOWN, MOST_MATCHERS = 1024, 64
"""Ways and matchers that are kept at the same time."""

Part: TypeAlias = Json | Regex | Until


class HeldText(NamedTuple):
    """The grammar of such a text alone, and what may stand before it; before one in JSON, its quote is looked for."""

    part: Part
    before: tuple[bytes, ...]

    def begin(self, written: bytes, place: Place) -> int:
        """Where in a text it begins that goes on to the end; -1 if nowhere."""
        if not isinstance(self.part, Json):
            found = ((written.rfind(before), len(before)) for before in self.before)
            return max((at + length for at, length in found if at >= 0), default=-1)
        at = -1 if place == OUTSIDE else written.rfind(b'"')
        while at > 0 and _is_escaped(written[:at]):
            at = written.rfind(b'"', 0, at)
        return at


class HeldTexts:
    """Those of one grammar.

    make    a matcher of a text's grammar, with no more than so many characters in it
    ids_of  bytes as ids, one by one; fewer, if there are not all
    """

    def __init__(
        self,
        grammar: Grammar,
        make: Callable[[Part, int | None], Matcher],
        ids_of: Callable[[bytes], list[int]],
        closing: Closing,
        ends: frozenset[int],
    ) -> None:
        self._texts = list(_found(grammar))
        self._make = make
        self._ids_of = ids_of
        self._closing = closing
        self._ends = ends
        self._matchers: dict[tuple[int, int | None], Matcher] = {}
        self._known: dict[tuple[int, bytes], list[int] | None] = {}
        """What was found before: most texts begin more than once."""
        self._hopeless: set[int] = set()
        """Texts out of which no way was found, though they fitted: a search that fails takes long."""

    def __bool__(self) -> bool:
        return bool(self._texts)

    def ways(self, written: bytes, place: Place) -> Iterator[list[int]]:
        """The shortest ways to the end of what each of them would make of the end of `written`."""
        for at, text in enumerate(self._texts):
            begin = text.begin(written, place)
            way = None if begin < 0 or at in self._hopeless else self._way(at, written[begin:])
            if way:
                yield way

    def _way(self, at: int, so_far: bytes) -> list[int] | None:
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        if (at, so_far) not in self._known:
            self._known[at, so_far] = self._looked_for(at, so_far)
        return self._known[at, so_far]

    def _matcher(self, at: int, limit: int | None) -> Matcher:
        if len(self._matchers) >= MOST_MATCHERS:
            self._matchers.clear()
        if (at, limit) not in self._matchers:
            self._matchers[at, limit] = self._make(self._texts[at].part, limit)
        return self._matchers[at, limit]

    def _looked_for(self, at: int, so_far: bytes) -> list[int] | None:
        ids = self._ids_of(so_far)
        if len(ids) < len(so_far) or not _fits(self._matcher(at, None), ids):
            return None
        way = self._limited_way(at, ids, len(so_far) + MAX_WAY)
        if way is None and ids:  # any limit fits one that has not begun
            self._hopeless.add(at)
        return way

    def _limited_way(self, at: int, ids: list[int], longest: int) -> list[int] | None:
        too_few, most = 0, 8  # powers of two: much of what is tried was tried before
        while not _fits(self._matcher(at, most), ids):
            if most > longest:
                return None
            too_few, most = most, 2 * most
        limit = bisect_left(range(most), True, too_few, key=lambda limit: _fits(self._matcher(at, limit), ids))
        matcher: Matcher = self._matcher(at, limit).deep_copy()
        matcher.try_consume_tokens(ids)
        place = OUTSIDE
        for id in ids:
            place = self._closing.place_after(id, place)
        return self._walked(matcher, place)

    def _walked(self, matcher: Matcher, place: Place) -> list[int] | None:
        way: list[int] = []
        while not matcher.is_accepting() and not matcher.is_stopped():
            tokens = [token for token in matcher.compute_ff_tokens() if token not in self._ends]
            if not tokens:
                letters = [id for id in self._closing.letters if matcher.validate_tokens([id])]
                tokens = letters[:1] or [self._closing.best(allowed_by(matcher), place)]
            if matcher.try_consume_tokens(tokens) < len(tokens) or len(way) > MAX_WAY:
                return None
            for token in tokens:
                place = self._closing.place_after(token, place)
            way += tokens
        return way


def _fits(matcher: Matcher, ids: list[int]) -> bool:
    return not matcher.is_error() and matcher.validate_tokens(ids) == len(ids)


def _is_escaped(before: bytes) -> bool:
    return (len(before) - len(before.rstrip(b"\\"))) % 2 == 1


def _found(grammar: Grammar) -> Iterator[HeldText]:
    """Each once."""
    seen: list[Any] = []
    for part, before in values(grammar):
        texts: list[Part]
        if isinstance(part, Json):
            texts = [Json(schema, part.is_checked_later) for schema in _schemas(part.schema)]
        else:
            texts = [part] if not isinstance(part, Until) or part.pattern != _ANY_TEXT else []
        for text in texts:
            held = HeldText(text, tuple(sorted(each.encode() for each in before if each)))
            if held not in seen:
                seen.append(held)
                yield held


def _schemas(schema: Any) -> Iterator[dict[str, Any]]:
    """The schemas of such texts in a schema, by themselves."""
    if isinstance(schema, list):
        for item in schema:
            yield from _schemas(item)
    if not isinstance(schema, dict):
        return
    parts = schema.get("allOf")
    if any(_has_length(each) for each in (schema, *(parts if isinstance(parts, list) else ()))):
        yield {"type": "string", **{name: value for name, value in schema.items() if name in _OF_TEXTS}}
    names = schema.get("patternProperties")
    for name in names if isinstance(names, dict) else ():
        yield {"type": "string", "pattern": name}
    for value in schema.values():
        yield from _schemas(value)


def _has_length(schema: Any) -> bool:
    return isinstance(schema, dict) and any(isinstance(schema.get(name), kind) for name, kind in _LENGTHS.items())
