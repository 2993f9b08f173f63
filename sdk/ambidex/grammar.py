"""What a text may look like, as a value: the form of an answer, or of the calls in it, to which decoding holds it.

Chain(Text("<tool_call>"), Json(schema), Text("</tool_call>"))
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from .errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class Text:
    """Exactly this text; a control token's spelling in it is that token."""

    text: str


@dataclass(frozen=True, slots=True)
class Json:
    """A JSON value that fits a schema. `is_checked_later`: keywords that cannot be held are left to that check."""

    schema: Mapping[str, Any]
    is_checked_later: bool = False


@dataclass(frozen=True, slots=True)
class Regex:
    """A text that a regular expression matches as a whole (Rust's syntax: no look-around, no back-references)."""

    pattern: str

    def __post_init__(self) -> None:
        _check_text(self.pattern, "Regex")


@dataclass(frozen=True, slots=True)
class Lark:
    """A text of a context-free grammar in Lark's notation, as llguidance reads it; its first rule is `start`."""

    grammar: str

    def __post_init__(self) -> None:
        _check_text(self.grammar, "Lark")


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of these."""

    options: tuple[Grammar, ...]


@dataclass(frozen=True, slots=True)
class Chain:
    """One after another."""

    parts: tuple[Grammar, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """Once or more, `separator` between."""

    part: Grammar
    separator: str = ""


@dataclass(frozen=True, slots=True)
class Until:
    """Any text up to `end`, and `end`; what stands before it matches `pattern` and holds none of `without`.

    A control token's spelling in `end` is that token.
    """

    end: str
    without: tuple[str, ...] = ()
    pattern: str = "(?s:.*)"


Grammar: TypeAlias = Text | Json | Regex | Lark | OneOf | Chain | Repeat | Until


def _check_text(text: object, kind: str) -> None:
    if not isinstance(text, str):
        raise InvalidRequest(f"{kind} takes a str, got {type(text).__name__}.")


def one_of(*options: str) -> OneOf:
    """One of these texts."""
    return OneOf(tuple(Text(option) for option in options))


def chain(*parts: Grammar | str) -> Chain:
    """One after another; a str is a `Text`."""
    return Chain(tuple(Text(part) if isinstance(part, str) else part for part in parts))
