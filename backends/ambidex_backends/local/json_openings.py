"""Where JSON begins in the texts of a grammar: what stands directly before its JSON values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from ambidex.grammar import Chain, Grammar, Json, OneOf, Regex, Repeat, Text, Until

from .bounded_schema import bounded

MAX_OPENING = 64
"""Bytes before a JSON value by which it is told from other text."""

START = "\0"
"""Stands before the first character of a text."""

Openings: TypeAlias = Mapping[int, tuple[bytes, ...]]
"""What stands directly before JSON values, by the byte that they begin with."""

_MARKS: Mapping[Any, str] = {
    "object": "{",
    "array": "[",
    "string": '"',
    **dict.fromkeys(("number", "integer", "boolean", "null"), ""),
}


def openings(grammar: Grammar) -> Openings:
    """What stands before the JSON values in a grammar's texts; empty if no object of them has open names."""
    found: dict[int, set[bytes]] = {}
    has_open_names = False
    for part, before in values(grammar):
        if isinstance(part, Until):
            continue
        if isinstance(part, Json):
            schema = bounded(part.schema)
            has_open_names |= _has_open_names(schema)
            marks = _marks(schema)
        else:
            marks = "'" if part.pattern.startswith("'") else ""
        for mark in marks:
            found.setdefault(ord(mark), set()).update(text.encode()[-MAX_OPENING:] for text in before if text)
    return {mark: tuple(sorted(texts)) for mark, texts in found.items()} if has_open_names else {}


def values(grammar: Grammar) -> Iterator[tuple[Json | Regex | Until, frozenset[str]]]:
    """The parts of a grammar that are no fixed texts, each with the last characters of what may stand before it; an
    empty text where that is not known."""
    found: list[tuple[Json | Regex | Until, frozenset[str]]] = []
    _collect(grammar, frozenset({START}), found)
    yield from found


def _collect(
    grammar: Grammar, before: frozenset[str], found: list[tuple[Json | Regex | Until, frozenset[str]]]
) -> frozenset[str]:
    """Adds the JSON values in `grammar` with what may stand before them; gives what may stand behind it."""
    match grammar:
        case Text(text):
            return frozenset((ahead + text)[-MAX_OPENING:] for ahead in before)
        case Json() | Regex():
            found.append((grammar, before))
            return frozenset({""})
        case Until(end):
            found.append((grammar, before))
            return frozenset({end[-MAX_OPENING:]})
        case Chain(parts):
            for part in parts:
                before = _collect(part, before, found)
            return before
        case OneOf(options):
            return frozenset(text for option in options for text in _collect(option, before, found))
        case Repeat(part, separator):
            behind = _collect(part, before, found)
            again = _collect(part, frozenset((text + separator)[-MAX_OPENING:] for text in behind), found)
            return behind | again
        case _:
            return frozenset({""})


def _has_open_names(schema: Any) -> bool:
    if isinstance(schema, list):
        return any(map(_has_open_names, schema))
    if not isinstance(schema, dict):
        return False
    kinds = schema.get("type")
    is_object = "object" in (kinds if isinstance(kinds, list) else [kinds]) or "additionalProperties" in schema
    if is_object and (schema.get("additionalProperties", True) is not False or "patternProperties" in schema):
        return True
    return any(_has_open_names(value) for keyword, value in schema.items() if keyword not in ("enum", "const"))


def _marks(schema: Mapping[str, Any]) -> str:
    """What values of a schema may begin with, where that is a bracket or a quote."""
    kinds: Any = schema.get("type")
    return "".join(_MARKS.get(kind, '{["') for kind in (kinds if isinstance(kinds, list) else [kinds]))
