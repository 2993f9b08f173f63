"""Conversations that hold a text which spells control tokens, and what must hold of their prompts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ambidex.messages import Assistant, Message, System, Text, ToolCall, ToolResult, User
from ambidex.templates import ChatTemplate, HFTokenizer, RenderedPrompt
from ambidex.tools import Tool

HARMLESS = "harmless"


class Case(NamedTuple):
    id: str
    family: str
    where: str
    payload: str


class Asked(NamedTuple):
    """A conversation, and the source of the span that its payload must be in."""

    messages: tuple[Message, ...]
    tools: tuple[Tool[..., Any], ...]
    source: str
    variables: dict[str, Any] | None = None


def cases(shared: Path) -> list[Case]:
    read = json.loads((shared / "data" / "special_token_injection.json").read_text(encoding="utf-8"))
    found = []
    for case in read["cases"]:
        payload = case["payload"]
        found.append(
            Case(case["id"], case["family"], case["where"], "".join(payload) if isinstance(payload, list) else payload)
        )
    return found


def families(shared: Path) -> dict[str, list[str]]:
    read = json.loads((shared / "data" / "special_token_injection.json").read_text(encoding="utf-8"))
    return {name: family["control"] for name, family in read["families"].items()}


def conversations(where: str, payload: str) -> Iterator[Asked]:
    """The payload at its place; None of them where a history has no such place."""
    tool = Tool("look", "Looks.", {"type": "object", "properties": {"q": {"type": "string", "description": "What"}}})
    call = ToolCall("abcdefgh1", "look", {"q": "x"})
    match where:
        case "user_content" | "model_output" | "image_alt_text":
            yield Asked((User(payload),), (), "messages[0].content")
            yield Asked((User("One."), Assistant("Two."), User(payload)), (), "messages[2].content")
        case "adjacent_content_parts":
            middle = len(payload) // 2
            yield Asked((User(Text(payload[:middle]), Text(payload[middle:])),), (), "messages[0].content")
        case "system_content":
            yield Asked((System(payload), User("One.")), (), "messages[0].content")
        case "assistant_history":
            yield Asked((User("One."), Assistant(payload), User("Two.")), (), "messages[1].content")
        case "tool_result":
            told = ToolResult("abcdefgh1", "look", payload)
            yield Asked((User("One."), Assistant(call), told), (tool,), "messages[2].content")
        case "tool_call_arguments":
            given = ToolCall("abcdefgh1", "look", {"q": payload})
            yield Asked(
                (User("One."), Assistant(given), ToolResult("abcdefgh1", "look", "done")),
                (tool,),
                "messages[1].tool_calls[0].arguments",
            )
        case "tool_description":
            yield Asked((User("One."),), (Tool("look", payload, tool.parameters),), "tools[0].description")
        case "tool_schema_enum":
            schema = {"type": "object", "properties": {"q": {"type": "string", "enum": [payload], "description": "x"}}}
            yield Asked((User("One."),), (Tool("look", "Looks.", schema),), "tools[0].parameters.properties.q.enum[0]")
        case "document":
            yield Asked((User("One."),), (), "documents[0].text", {"documents": [{"title": "a", "text": payload}]})
        case _:
            return


def control_ids(template: ChatTemplate, prompt: RenderedPrompt) -> list[int]:
    known = set(template.tokenizer.control.values())
    return [id for id in prompt.ids if id in known]


def spanned(template: ChatTemplate, prompt: RenderedPrompt, source: str) -> list[str]:
    """What the ids of the spans from `source` decode to."""
    spans = [span for span in prompt.spans if span.source.startswith(source)]
    return [template.tokenizer.decode(prompt.ids[span.start : span.end]) for span in spans]


def alone(template: ChatTemplate, text: str) -> str:
    """What a text decodes to that stands alone, control tokens kept as text."""
    assert isinstance(template.tokenizer, HFTokenizer)
    return template.tokenizer.decode(template.tokenizer.encode_plain(text))
