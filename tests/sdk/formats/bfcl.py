"""Calls that are right, of the Berkeley function-calling leaderboard's cases."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

from ambidex.messages import ToolCall


def declares(tools: list[dict[str, Any]], call: ToolCall) -> bool:
    """Whether the tool has all arguments of the call; a few of the benchmark's own calls have more."""
    schemas = [tool["function"]["parameters"] for tool in tools if tool["function"]["name"] == call.name]
    return len(schemas) == 1 and call.arguments.keys() <= schemas[0]["properties"].keys()


@functools.cache
def calls_of_bfcl(folder: Path) -> list[tuple[list[dict[str, Any]], list[ToolCall]]]:
    """Tools, and the calls that are right: the ground truth, where it fits the tools' schemas."""
    found: list[tuple[list[dict[str, Any]], list[ToolCall]]] = []
    for file in sorted(folder.glob("*.jsonl")):
        for line in file.read_text(encoding="utf-8").splitlines():
            case: dict[str, Any] = json.loads(line)
            wanted: list[dict[str, Any]] = case.get("example_calls") or []
            calls = [ToolCall(f"abcdefg{i:02}", call["name"], call["arguments"]) for i, call in enumerate(wanted)]
            if calls and all(declares(case["tools"], call) for call in calls):
                found.append((case["tools"], calls))
    return found


def without_untyped(call: ToolCall, tools: list[dict[str, Any]]) -> dict[str, Any]:
    """The arguments, those of no declared type as text: in tags, `5` and `"5"` are written alike."""
    (schema,) = (tool["function"]["parameters"] for tool in tools if tool["function"]["name"] == call.name)
    untyped = {key for key, value in schema["properties"].items() if not value.keys() & {"type", "enum", "anyOf"}}
    return {
        key: json.dumps(value) if key in untyped and not isinstance(value, str) else value
        for key, value in call.arguments.items()
    }
