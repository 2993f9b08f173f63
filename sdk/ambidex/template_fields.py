"""Messages and tools as the plain dicts that chat templates read, with every text from outside marked as such."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from .errors import InvalidRequest, Unsupported
from .messages import Assistant, InvalidToolCall, Message, System, Text, ToolCall, ToolResult, User
from .provenance import Key, Name, Untrusted, Written
from .tools import Tool

Refuses = Callable[[str], bool]
"""Whether a name may not be written into a prompt."""


def message_fields(
    messages: Sequence[Message], refuses: Refuses, *, arguments_as_text: bool = False
) -> list[dict[str, Any]]:
    """One dict per message; results stand in the order of their calls. Contents are always texts, never None.

    Raises `Unsupported` for pictures and sounds, `InvalidRequest` for a name or id that holds a control token.
    """
    fields: list[dict[str, Any]] = []
    for i, message in in_call_order(messages):
        source = f"messages[{i}]"
        content = Untrusted(_text(message, source), f"{source}.content")
        match message:
            case System():
                fields.append({"role": "system", "content": content})
            case User():
                fields.append({"role": "user", "content": content})
            case ToolResult(call_id, name):
                call_id = _checked(call_id, f"{source}.call_id", refuses)
                named = Name(_checked(name, f"{source}.name", refuses), f"{source}.name")
                fields.append({"role": "tool", "content": content, "name": named, "tool_call_id": call_id})
            case Assistant():
                fields.append(_assistant(message, content, source, refuses, arguments_as_text))
    return fields


def tool_fields(tools: Iterable[Tool[..., Any]], refuses: Refuses) -> list[dict[str, Any]]:
    """OpenAI's dicts of the tools. Raises `InvalidRequest` for a name that holds a control token."""
    fields: list[dict[str, Any]] = []
    for i, tool in enumerate(tools):
        source = f"tools[{i}]"
        _checked(tool.name, f"{source}.name", refuses)
        function = tool.to_openai()["function"]
        described = cast("dict[str, Any]", untrusted(function, source, in_schema=True))
        fields.append({"type": "function", "function": {**described, "name": Name(tool.name, f"{source}.name")}})
    return fields


def untrusted(value: Any, source: str, *, in_schema: bool = False) -> Any:
    """JSON data with each text in it marked; not a schema's `type`, for templates choose by it."""
    if isinstance(value, str):
        return Untrusted(_whole(value), source)
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value).items()
        if not in_schema:
            return {_key(key): untrusted(item, f"{source}.{key}") for key, item in items}
        return {str(key): _in_schema(str(key), item, source) for key, item in items}
    if isinstance(value, (list, tuple)):
        listed = cast("Sequence[Any]", value)
        return [
            untrusted(item, f"{source}[{i}]" if source else "", in_schema=in_schema) for i, item in enumerate(listed)
        ]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    raise InvalidRequest(f"{source} must be JSON data for a chat template, got {type(value).__name__}.")


def _in_schema(keyword: str, value: Any, source: str) -> Any:
    """What stands behind a schema's keyword: properties have names of the tool's maker, and `required` repeats them."""
    at = f"{source}.{keyword}"
    if keyword in ("properties", "$defs", "definitions", "patternProperties") and isinstance(value, Mapping):
        named = cast("Mapping[Any, Any]", value).items()
        return {_key(name): untrusted(item, f"{at}.{name}", in_schema=True) for name, item in named}
    if keyword == "required" and isinstance(value, (list, tuple)):
        return [_key(name) for name in cast("Sequence[Any]", value)]
    return untrusted(value, "" if keyword == "type" else at, in_schema=keyword not in ("default", "const", "examples"))


def _key(name: Any) -> Any:
    return Key(_whole(name)) if isinstance(name, str) else name


def in_call_order(messages: Sequence[Message]) -> list[tuple[int, Message]]:
    """Each message with its index; of results that follow an answer, those of its calls first, in the calls' order."""
    ordered: list[tuple[int, Message]] = []
    order: dict[str, int] = {}
    results: list[tuple[int, Message]] = []
    for i, message in [*enumerate(messages), (-1, System())]:
        if isinstance(message, ToolResult):
            results.append((i, message))
            continue
        ordered += sorted(results, key=lambda item: order.get(cast(ToolResult, item[1]).call_id, len(order)))
        results = []
        if isinstance(message, Assistant):
            calls = [part for part in message.parts if isinstance(part, (ToolCall, InvalidToolCall))]
            order = {call.id: number for number, call in enumerate(calls)}
        if i >= 0:
            ordered.append((i, message))
    return ordered


def one_call_a_turn(fields: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """For templates that know one call a turn: several become a turn each, followed by its result."""
    made: list[dict[str, Any]] = []
    at = 0
    while at < len(fields):
        turn = fields[at]
        at += 1
        calls = turn.get("tool_calls", [])
        results: list[Mapping[str, Any]] = []
        while at < len(fields) and fields[at]["role"] == "tool":
            results.append(fields[at])
            at += 1
        for i, call in enumerate(calls[: max(len(calls) - 1, 0)]):
            made.append({**(turn if i == 0 else {"role": "assistant", "content": ""}), "tool_calls": [call]})
            made += [dict(result) for result in results if result["tool_call_id"] == call["id"]]
            results = [result for result in results if result["tool_call_id"] != call["id"]]
        last = {"role": "assistant", "content": "", "tool_calls": calls[-1:]} if len(calls) > 1 else dict(turn)
        made += [last, *(dict(result) for result in results)]
    return made


def in_parts(fields: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """For templates that go through a content's parts: those of answers and results as a list of one text."""
    return [
        {**field, "content": [{"type": "text", "text": field["content"]}]}
        if field["role"] in ("assistant", "tool")
        else dict(field)
        for field in fields
    ]


def with_ids(fields: Sequence[Mapping[str, Any]], name_id: Callable[[Any, str, int], Any]) -> list[dict[str, Any]]:
    """With the ids of calls and their results as `name_id(function, id, number)` makes them; calls are counted."""
    made: list[dict[str, Any]] = []
    ids: dict[str, Any] = {}
    for field in fields:
        if calls := field.get("tool_calls"):
            ids |= {call["id"]: name_id(call["function"], call["id"], len(ids) + i) for i, call in enumerate(calls)}
            made.append({**field, "tool_calls": [{**call, "id": ids[call["id"]]} for call in calls]})
        elif field["role"] == "tool":
            made.append({**field, "tool_call_id": ids.get(field["tool_call_id"], field["tool_call_id"])})
        else:
            made.append(dict(field))
    return made


def numbered_id(function: Mapping[str, Any], id: str, number: int) -> Written:
    """Kimi's: it says which function is called, for its template says it nowhere else."""
    return Written(("functions.", function["name"], f":{number}"))


def nine_letter_id(function: Mapping[str, Any], id: str, number: int) -> str:
    """Mistral's: nine letters and digits; its templates refuse all others."""
    if len(id) == 9 and id.isascii() and id.isalnum():
        return id
    return hashlib.sha256(id.encode()).hexdigest()[:9]


def _assistant(
    message: Assistant, content: Untrusted, source: str, refuses: Refuses, arguments_as_text: bool
) -> dict[str, Any]:
    fields: dict[str, Any] = {"role": "assistant", "content": content}
    if message.reasoning:
        reasoning = Untrusted(_whole(message.reasoning), f"{source}.reasoning")
        fields |= {"reasoning_content": reasoning, "thinking": reasoning}
    calls: list[dict[str, Any]] = []
    for i, call in enumerate(message.tool_calls):
        at = f"{source}.tool_calls[{i}]"
        name = Name(_checked(call.name, f"{at}.name", refuses), f"{at}.name")
        arguments: Any = untrusted(dict(call.arguments), f"{at}.arguments")
        if arguments_as_text:
            arguments = Untrusted(json.dumps(dict(call.arguments), ensure_ascii=False), f"{at}.arguments")
        call_id = _checked(call.id, f"{at}.id", refuses)
        calls.append({"type": "function", "id": call_id, "function": {"name": name, "arguments": arguments}})
    if calls:
        fields["tool_calls"] = calls
    return fields


def _text(message: Message, source: str) -> str:
    """The text parts, and what a model wrote when it tried to call."""
    texts: list[str] = []
    for part in message.parts:
        if isinstance(part, Text):
            texts.append(part.text)
        elif isinstance(part, InvalidToolCall):
            texts.append(part.raw)
        elif type(part).__name__ in ("Image", "Audio"):
            raise Unsupported(f"{source} has a picture or sound, which chat templates cannot be given yet.")
    return _whole("".join(texts))


def _checked(name: str, source: str, refuses: Refuses) -> str:
    if refuses(name):
        raise InvalidRequest(f"{source} is {name[:140]!r}, which holds a control token of this model: use another.")
    return name


def _whole(text: str) -> str:
    """Half a surrogate pair cannot be encoded: it becomes U+FFFD, a pair one character."""
    return Text(text).text
