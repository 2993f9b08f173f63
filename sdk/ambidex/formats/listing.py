"""How tools are listed for models whose chat template does not do it, and arguments written as text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ambidex.tools import Tool


def listed(tools: Iterable[Tool], form: str) -> str:
    """The tools' schemas, a line each, and the form of a call."""
    lines = "\n".join(compact(tool.to_openai()) for tool in tools)
    return (
        "# Tools\n\nYou may call these functions; their signatures are within <tools></tools>:\n"
        f"<tools>\n{lines}\n</tools>\n\nA call is written in this form and no other:\n\n{form}"
    )


def compact(value: Any) -> str:
    """JSON on one line."""
    return json.dumps(value, ensure_ascii=False)


def texts(arguments: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Names and values as tags hold them: text as it is, everything else as JSON."""
    return ((name, value if isinstance(value, str) else compact(value)) for name, value in arguments.items())
