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


NESTED_TAGS = {"minimax_m3"}
"""Families in which the members of objects are tags as well."""


def has_tags_for(call: ToolCall, family: str) -> bool:
    """Whether a family has tags for all names in the arguments: one with a slash in front makes an end tag."""
    return family not in NESTED_TAGS or not any(
        key.startswith("/") for value in call.arguments.values() if isinstance(value, dict) for key in value
    )


def without_untyped(call: ToolCall, tools: list[dict[str, Any]], family: str) -> dict[str, Any]:
    """The arguments, those of no declared type as text: in tags, `5` and `"5"` are written alike."""
    (schema,) = (tool["function"]["parameters"] for tool in tools if tool["function"]["name"] == call.name)
    return {
        key: _without_untyped(value, schema["properties"].get(key), family) for key, value in call.arguments.items()
    }


def _without_untyped(value: Any, schema: Any, family: str) -> Any:
    is_typed = isinstance(schema, dict) and schema.keys() & {"type", "enum", "anyOf"}
    if isinstance(value, dict) and family in NESTED_TAGS:
        members = {**dict.fromkeys(value, schema.get("additionalProperties")), **schema.get("properties", {})}
        return {key: _without_untyped(item, members.get(key), family) for key, item in value.items()}
    return value if is_typed or isinstance(value, str) else json.dumps(value)
