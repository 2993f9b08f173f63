"""`CallForm`: what a call must look like, for those who hold an answer to it while it is decoded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from ambidex.grammar import Grammar, Json, OneOf, chain
from ambidex.tools import Tool


@dataclass(frozen=True, slots=True)
class CallForm:
    """`opening` begins a call and nothing else; `body` is what follows it; `separator` stands between two calls."""

    opening: str
    body: Grammar
    separator: str = ""


def any_call(tools: Sequence[Tool], *, name: str = "name", arguments: str = "arguments") -> Grammar:
    """A call to one of `tools` as a JSON object with these keys. What of a schema cannot be held is checked later."""
    return OneOf(
        tuple(
            chain(
                f'{{"{name}": {json.dumps(tool.name, ensure_ascii=False)}, "{arguments}": ',
                Json(tool.parameters, is_checked_later=True),
                "}",
            )
            for tool in tools
        )
    )
