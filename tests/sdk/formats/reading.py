"""Reading answers in tests: events of text in pieces, compared as if adjacent deltas were one."""

from __future__ import annotations

import dataclasses
import functools
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ambidex import formats
from ambidex.accumulator import Accumulator
from ambidex.events import (
    Event,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    ToolCalled,
    ToolCallFailed,
    ToolCallStarted,
)
from ambidex.formats import OfferedTools
from ambidex.messages import Assistant


def read(
    pieces: Iterable[str],
    tools: OfferedTools | None = None,
    *,
    family: str = "hermes",
    starts_in_reasoning: bool = False,
) -> list[Event]:
    parser = formats.get(family).parser(tools, starts_in_reasoning=starts_in_reasoning)
    events: list[Event] = []
    for piece in pieces:
        events += parser.feed(piece)
    return events + parser.close()


def merged(events: Iterable[Event]) -> list[Event]:
    """Adjacent deltas as one; ids, which are random, as their call's number."""
    result: list[Event] = []
    for event in events:
        last = result[-1] if result else None
        match event, last:
            case TextDelta(text), TextDelta(before):
                result[-1] = TextDelta(before + text)
            case ReasoningDelta(text), ReasoningDelta(before):
                result[-1] = ReasoningDelta(before + text)
            case ToolCallDelta(index, text), ToolCallDelta(same, before) if index == same:
                result[-1] = ToolCallDelta(index, before + text)
            case ToolCallStarted(index), _:
                result.append(dataclasses.replace(event, id=f"id{index}"))
            case ((ToolCalled() | ToolCallFailed()), _):
                call: Any = dataclasses.replace(event.call, id=f"id{event.index}")
                result.append(dataclasses.replace(event, call=call))
            case _:
                result.append(event)
    return result


def message(events: Iterable[Event]) -> Assistant:
    so_far = Accumulator()
    for event in events:
        so_far.add(event)
    return so_far.choice().message


def cut(text: str, places: Iterable[int]) -> list[str]:
    """The text in pieces; a place beyond its end counts on from its beginning."""
    ends = sorted({place % (len(text) + 1) for place in places})
    return [text[start:end] for start, end in zip([0, *ends], [*ends, len(text)], strict=True)]


@functools.cache
def _lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def cases(file: Path, *families: str) -> list[dict[str, Any]]:
    """The lines of a file of cases that are of these families; of all if none is named."""
    return [case for case in _lines(file) if case["family"] in families or not families]


def work(text: str, size: int, *, starts: bool = False, family: str = "hermes") -> int:
    """Python functions entered and C functions called, reading the text in pieces of `size`."""
    count = 0

    def on_event(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    sys.setprofile(on_event)
    try:
        read(pieces, family=family, starts_in_reasoning=starts)
    finally:
        sys.setprofile(None)
    return count
