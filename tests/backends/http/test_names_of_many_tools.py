"""Tools that others wrote, on the wire: every one is taken, under a legal name that leads back to its own."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ambidex import NamedTool, Request, Tool, User
from ambidex_backends.http.dialect import OPENAI
from ambidex_backends.http.request_body import chat_body
from ambidex_backends.http.tool_names import ToolNames, to_wire

LEGAL = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def offered_together(shared: Path) -> list[list[Tool[..., Any]]]:
    """The functions of each of the Berkeley function-calling leaderboard's cases."""
    cases: list[list[Tool[..., Any]]] = []
    for file in sorted((shared / "data" / "bfcl").glob("*.jsonl")):
        for line in file.read_text(encoding="utf-8").splitlines():
            functions = [item["function"] for item in json.loads(line)["tools"]]
            cases.append([Tool(item["name"], item.get("description", ""), item["parameters"]) for item in functions])
    return cases


def check(tools: Sequence[Tool[..., Any]]) -> None:
    body = chat_body(Request([User("a")], tools=tools, tool_choice=NamedTool(tools[-1].name)), "some-model", OPENAI)
    sent = [item["function"] for item in body["tools"]]
    names = ToolNames(tuple(tool.name for tool in tools))
    assert all(LEGAL.fullmatch(item["name"]) for item in sent)
    assert [names.original(item["name"]) for item in sent] == [tool.name for tool in tools]
    assert names.original(body["tool_choice"]["function"]["name"]) == tools[-1].name
    assert [item["parameters"] for item in sent] == [tool.parameters for tool in tools]


def test_every_function_is_taken_and_found_again(shared: Path) -> None:
    cases = offered_together(shared)
    assert len(cases) > 1000
    for tools in cases:
        unlike = {tool.name: tool for tool in tools}  # a few cases name one function twice
        check(list(unlike.values()))
    names = {tool.name for tools in cases for tool in tools}
    assert sum(LEGAL.fullmatch(name) is None for name in names) > 500
    assert len({to_wire(name) for name in names}) == len(names), "all of them at once are told apart too"
