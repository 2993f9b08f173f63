"""Keeps tags that a model spelled out in prose apart from the control tokens that are these tags.

A parser sees text. Where it is known which pieces of it were control tokens, a spelled tag gets a mark before its last
character, so that no parser takes it for a tag; the events come without the marks. The mark is half of a surrogate
pair, which no text that was decoded holds.
"""

from __future__ import annotations

import copy
import dataclasses
import itertools
import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

from ambidex.events import (
    Event,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    ToolCalled,
    ToolCallFailed,
    ToolCallStarted,
)
from ambidex.messages import InvalidToolCall, ToolCall

from .parser import Parser

MARK = "\ud8ff"


class Quotation:
    """Marks the spellings of `tags` in text that comes in pieces. Holds nothing back."""

    def __init__(self, tags: Iterable[str]) -> None:
        self._tags = [(len(tag), re.compile(f"(?={re.escape(tag)})")) for tag in sorted(set(tags))]
        self._longest = max((length for length, _ in self._tags), default=1)
        self._tail = ""  # what a spelling may have begun in

    def text(self, piece: str) -> str:
        """A piece of text that is no control token."""
        read = len(self._tail)
        text = self._tail + piece
        ends = {
            found.start() + length - 1
            for length, tag in self._tags
            for found in tag.finditer(text)
            if found.start() + length > read
        }
        self._tail = text[max(0, len(text) - self._longest + 1) :]
        cuts = [read, *sorted(ends), len(text)]
        return MARK.join(text[start:end] for start, end in itertools.pairwise(cuts))

    def tag(self, spelling: str) -> str:
        """A control token's own text."""
        self._tail = ""
        return spelling

    def fork(self) -> Quotation:
        """The same so far, and from here on its own."""
        return copy.copy(self)


class Unquoting:
    """A parser whose events have no marks."""

    def __init__(self, parser: Parser) -> None:
        self._parser = parser

    def feed(self, text: str) -> list[Event]:
        return [unquoted(event) for event in self._parser.feed(text)]

    def close(self) -> list[Event]:
        return [unquoted(event) for event in self._parser.close()]


def unquoted(event: Event) -> Event:
    """The event without marks."""
    match event:
        case TextDelta(text) | ReasoningDelta(text) if MARK in text:
            return dataclasses.replace(event, text=_plain(text))
        case ToolCallStarted(name=name) if MARK in name:
            return dataclasses.replace(event, name=_plain(name))
        case ToolCallDelta(json=json) if MARK in json:
            return dataclasses.replace(event, json=_plain(json))
        case ToolCalled(call):
            return dataclasses.replace(event, call=_called(call)) if MARK in call.name + call.arguments_json else event
        case ToolCallFailed(call) if MARK in call.name + call.raw + call.problem:
            plain = InvalidToolCall(call.id, _plain(call.name), _plain(call.raw), _plain(call.problem))
            return dataclasses.replace(event, call=plain)
        case _:
            return event


def _called(call: ToolCall) -> ToolCall:
    arguments = cast("dict[str, Any]", _value(call.arguments))
    return ToolCall(call.id, _plain(call.name), arguments, _plain(call.arguments_json), call.repaired)


def _value(value: Any) -> Any:
    if isinstance(value, str):
        return _plain(value)
    if isinstance(value, Mapping):
        return {_plain(name): _value(item) for name, item in cast("Mapping[str, Any]", value).items()}
    return [_value(item) for item in cast("list[Any]", value)] if isinstance(value, list) else value


def _plain(text: str) -> str:
    return text.replace(MARK, "")
