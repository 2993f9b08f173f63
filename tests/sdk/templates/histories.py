"""Histories that any chat may have, as messages of ours and as the dicts that `apply_chat_template` takes."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any, NamedTuple

from ambidex.messages import Assistant, Message, Reasoning, System, Text, ToolCall, ToolResult, User
from ambidex.tools import Tool

NOW = datetime.datetime(2026, 3, 9, 14, 5, 6)

WEATHER = Tool(
    "get_weather",
    "Tells the weather.\nOne city at a time.",
    {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": 'The city, e.g. "Genoa"'},
            "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "description": "The unit"},
            "days": {"type": "integer", "description": "How many days", "default": 1},
        },
        "required": ["city"],
    },
)
SEARCH = Tool(
    "search",
    "Searches the archive.",
    {
        "type": "object",
        "properties": {
            "query": {"type": "string", "description": "What to look for"},
            "filters": {
                "type": "object",
                "description": "Which ones",
                "properties": {"year": {"type": "integer", "description": "Year"}},
            },
            "tags": {"type": "array", "description": "Tags", "items": {"type": "string"}},
        },
        "required": ["query"],
    },
)


class History(NamedTuple):
    name: str
    messages: tuple[Message, ...]
    tools: tuple[Tool[..., Any], ...] = ()
    add_generation_prompt: bool = True
    continue_final: bool = False
    reasoning: bool | str | None = None


def _call(id: str, name: str, **arguments: Any) -> ToolCall:
    return ToolCall(id, name, arguments)


_ASKED = (System("Be brief."), User("What is the weather in Genoa?"))
_CALL = _call("a1b2c3d4e", "get_weather", city="Savona", unit="celsius", days=2)
_OTHER = _call("f5g6h7i8j", "search", query='say "ça va" <b>&amp;', filters={"year": 1987}, tags=["x", "y"])
_RESULT = ToolResult("a1b2c3d4e", "get_weather", '{"temperature": 21, "sky": "clear"}')
_OTHER_RESULT = ToolResult("f5g6h7i8j", "search", "two entries:\n- one\n- two")
_TOOLS = (WEATHER, SEARCH)

HISTORIES = (
    History("text", (User("Hello, world!"),)),
    History("no generation prompt", (User("Hello, world!"), Assistant("Hi.")), add_generation_prompt=False),
    History("system", _ASKED),
    History("unicode", (User("Ünïcödé 🙂 e\u0301 日本語 \u200b\u202e\ttab\r\nline  two   spaces"),)),
    History("markup", (User("<b>bold</b> & {{ x }} {% y %} [link](a) `code` \\n </p> if a < b | c > d: [1, 2]"),)),
    History("spaces around", (User("  \n two spaces \n\n"), Assistant(" yes \n"), User("\tno"))),
    History(
        "turns",
        (System("Be brief."), User("One?"), Assistant("Two."), User("Three?"), Assistant("Four.\nFive."), User("Six?")),
    ),
    History("continued", (User("Count."), Assistant("One, two,")), add_generation_prompt=False, continue_final=True),
    History(
        "continued, with a space",
        (User("Count."), Assistant("One, ")),
        add_generation_prompt=False,
        continue_final=True,
    ),
    History("tools", _ASKED, _TOOLS),
    History("tools, no system", (User("What is the weather in Genoa?"),), (WEATHER,)),
    History("call", (*_ASKED, Assistant(_CALL)), _TOOLS, add_generation_prompt=False),
    History("result", (*_ASKED, Assistant(_CALL), _RESULT), _TOOLS),
    History("text and call", (*_ASKED, Assistant("Let me look.", _CALL), _RESULT), _TOOLS),
    History("other call", (*_ASKED, Assistant(_OTHER), _OTHER_RESULT, Assistant("Two.")), _TOOLS, False),
    History(
        "call without arguments",
        (*_ASKED, Assistant(_call("a1b2c3d4e", "search")), ToolResult("a1b2c3d4e", "search", "nothing")),
        (WEATHER,),
    ),
    History("parallel calls", (*_ASKED, Assistant(_CALL, _OTHER), _RESULT, _OTHER_RESULT), _TOOLS),
    History(
        "steps",
        (*_ASKED, Assistant(_CALL), _RESULT, Assistant(_OTHER), _OTHER_RESULT, Assistant("Clear, 21."), User("So?")),
        _TOOLS,
    ),
    History(
        "reasoning",
        (User("17 * 3?"), Assistant(Reasoning("10 * 3 = 30,\n7 * 3 = 21."), Text("51")), User("And 18 * 3?")),
    ),
    History(
        "reasoning and call",
        (*_ASKED, Assistant(Reasoning("I need the weather."), _CALL), _RESULT),
        _TOOLS,
    ),
    History("reasoning on", _ASKED, reasoning=True),
    History("reasoning off", _ASKED, reasoning=False),
    History("reasoning on, tools", (*_ASKED, Assistant(_CALL), _RESULT), _TOOLS, reasoning=True),
    History("reasoning off, tools", (*_ASKED, Assistant(_CALL), _RESULT), _TOOLS, reasoning=False),
    History("little reasoning", _ASKED, reasoning="low"),
    History("much reasoning, tools", (*_ASKED, Assistant(_CALL), _RESULT), _TOOLS, reasoning="high"),
)


def as_dicts(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """As transformers documents them: arguments as data, content always a text."""
    dicts: list[dict[str, Any]] = []
    for message in messages:
        match message:
            case System():
                dicts.append({"role": "system", "content": message.text})
            case User():
                dicts.append({"role": "user", "content": message.text})
            case ToolResult(call_id, name):
                dicts.append({"role": "tool", "tool_call_id": call_id, "name": name, "content": message.text})
            case Assistant():
                item: dict[str, Any] = {"role": "assistant", "content": message.text}
                if message.reasoning:
                    item["reasoning_content"] = message.reasoning
                if message.tool_calls:
                    item["tool_calls"] = [_call_dict(call) for call in message.tool_calls]
                dicts.append(item)
    return dicts


def words(history: History) -> list[str]:
    """What must be in any prompt for this history: a word of each system message, question, tool, call and result."""
    found = [tool.description.split()[0] for tool in history.tools]
    for message in history.messages:
        match message:
            case Assistant() if message.tool_calls:
                for call in message.tool_calls:
                    found += [call.name, *(word for word in ("Savona", "1987") if word in call.arguments_json)]
            case Assistant():
                pass
            case ToolResult():
                found.append(next(word for word in ("temperature", "entries", "nothing") if word in message.text))
            case _:
                found.append(message.text.split()[0])
    return found


def _call_dict(call: ToolCall) -> dict[str, Any]:
    return {"type": "function", "id": call.id, "function": {"name": call.name, "arguments": dict(call.arguments)}}
