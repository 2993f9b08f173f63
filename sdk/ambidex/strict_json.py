"""The one reader of JSON that a model or a server wrote: what is ambiguous or unbounded is refused, never guessed.

Refused beside what RFC 8259 refuses: a name twice in one object, NaN and infinities (also as a number too large for
a double), nesting deeper than `max_depth`, more than `max_values` values, whole numbers of more
than 4300 digits, bytes that are not UTF-8.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from typing import Any, NoReturn

MAX_DEPTH = 64
MAX_INTEGER_DIGITS = 4300
"""As CPython's own limit, which a program may lift: the cost of reading one grows with the square of its length."""

_STRING_OR_COMMA = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[{,]', re.DOTALL)
_STRING_OR_BRACKET = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL)


class StrictJSONError(ValueError):
    """Not one strict JSON value; the text says what is wrong and where.

    limit  the name and the size of the limit that it goes beyond, if that is what is wrong
    """

    def __init__(self, text: str, *, limit: tuple[str, int] | None = None) -> None:
        super().__init__(text)
        self.limit = limit


def loads(text: str | bytes, *, max_depth: int = MAX_DEPTH, max_values: int | None = None) -> Any:
    """The one JSON value in `text`. Raises `StrictJSONError`. Time is linear in its length."""
    if isinstance(text, bytes):
        try:
            text = text.decode()
        except UnicodeDecodeError as problem:
            raise StrictJSONError(f"not UTF-8 at byte {problem.start}") from None
    _check_depth(text, max_depth)
    if max_values is not None and len(text) > max_values:
        _check_count(text, max_values)
    try:
        return (_decoder if len(text) <= MAX_INTEGER_DIGITS else _digit_counting_decoder).decode(text)
    except json.JSONDecodeError as problem:
        raise StrictJSONError(str(problem)) from None
    except RecursionError:
        raise StrictJSONError("nested deeper than this program's stack allows") from None


def _check_depth(text: str, limit: int) -> None:
    if text.count("{") + text.count("[") <= limit:
        return
    depth = 0
    for found in _STRING_OR_BRACKET.finditer(text):
        token = found[0]
        if token in "[{":
            depth += 1
            if depth > limit:
                raise StrictJSONError(
                    f"nested deeper than {limit} levels at char {found.start()}", limit=("json_depth", limit)
                )
        elif token in "]}":
            depth -= 1


def _check_count(text: str, limit: int) -> None:
    """Each value but the first of all stands behind a comma or the bracket that it is the first in."""
    if text.count(",") + text.count("[") + text.count("{") < limit:
        return
    count = 1
    for found in _STRING_OR_COMMA.finditer(text):
        count += found[0] in "[{,"
        if count > limit:
            raise StrictJSONError(f"of more than {limit} values at char {found.start()}", limit=("json_values", limit))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        (twice, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise StrictJSONError(f"the name {twice[:80]!r} stands twice in one object")
    return value


def _integer(digits: str) -> int:
    if len(digits) > MAX_INTEGER_DIGITS:
        raise StrictJSONError(f"a number of {len(digits)} digits; at most {MAX_INTEGER_DIGITS} are read")
    return int(digits)


def _real(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise StrictJSONError(f"the number {digits[:40]} is too large")
    return value


def _constant(name: str) -> NoReturn:
    raise StrictJSONError(f"{name} is not JSON")


_decoder = json.JSONDecoder(object_pairs_hook=_object, parse_float=_real, parse_constant=_constant)
_digit_counting_decoder = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_real, parse_constant=_constant
)
