"""A request's prompt as ids, and how its answer is to be read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ambidex.formats import Parser
from ambidex.tools import Tool


@dataclass(frozen=True, slots=True)
class Prompt:
    """`ends` end the answer, ids in `hidden` give no text; `parser` makes what reads an answer, None for raw text.

    tags  the spellings of the control tokens that are the parser's tags, by id
    """

    ids: list[int]
    ends: frozenset[int]
    hidden: frozenset[int]
    parser: Callable[[], Parser] | None
    tools: tuple[Tool[..., Any], ...] = ()
    starts_in_reasoning: bool = False
    tags: Mapping[int, str] = field(default_factory=dict[int, str])
