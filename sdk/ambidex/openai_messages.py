"""Messages to and from OpenAI's chat dicts; loaded when first needed. Called by `messages.from_openai` / `to_openai`.

Not everything has a place there: a failed tool's result is marked by "Error: " before its text, `Reasoning.signature`
and the order of text and calls inside one answer are lost, and a call's place is kept only while it is valid (or has
a result: then it is sent with no arguments, so that the result has its call).
"""

from __future__ import annotations

import base64
import binascii
import mimetypes
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard, cast

from .errors import InvalidRequest
from .media_type import media_type_of
from .messages import (
    Assistant,
    Audio,
    Image,
    InvalidToolCall,
    Message,
    Part,
    Reasoning,
    System,
    Text,
    ToolCall,
    ToolResult,
    Url,
    User,
)
from .strict_json import StrictJSONError, loads

_ERROR_MARK = "Error: "


def encode(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """Messages as OpenAI's chat dicts. Raises `InvalidRequest` for media that cannot be read or sent."""
    messages = tuple(messages)
    answered = {message.call_id for message in messages if isinstance(message, ToolResult)}
    return [_encode_message(message, answered) for message in messages]


def decode(items: Sequence[Mapping[str, Any]]) -> tuple[Message, ...]:
    """OpenAI's chat dicts as messages. Raises `InvalidRequest` that names the item and field at fault."""
    if isinstance(items, (str, bytes, Mapping)) or not isinstance(items, Sequence):
        raise InvalidRequest(f"from_openai takes a list of dicts, got {type(items).__name__}.")
    messages: list[Message] = []
    names: dict[str, str] = {}  # of the calls so far, by id
    for position, item in enumerate(items):
        message = _decode_message(_Item(f"messages[{position}]", item), names)
        if isinstance(message, Assistant):
            names |= {part.id: part.name for part in message.parts if isinstance(part, (ToolCall, InvalidToolCall))}
        messages.append(message)
    return tuple(messages)


def _encode_message(message: Message, answered: set[str]) -> dict[str, Any]:
    match message:
        case System():
            return {"role": "system", "content": message.text}
        case User():
            return {"role": "user", "content": _encode_content(message.parts)}
        case ToolResult():
            content = _encode_content(message.parts)
            if message.is_error and isinstance(content, str) and not content.lower().startswith("error"):
                content = _ERROR_MARK + content
            return {"role": "tool", "tool_call_id": message.call_id, "name": message.name, "content": content}
        case Assistant():
            return _encode_assistant(message, answered)


def _encode_assistant(message: Assistant, answered: set[str]) -> dict[str, Any]:
    calls: list[dict[str, Any]] = []
    for part in message.parts:
        if isinstance(part, ToolCall):
            calls.append(_encode_call(part.id, part.name, part.arguments_json))
        elif isinstance(part, InvalidToolCall) and part.id in answered:
            calls.append(_encode_call(part.id, part.name, "{}"))
        elif isinstance(part, (Image, Audio)):
            raise InvalidRequest(f"OpenAI's dicts hold no {type(part).__name__} in an assistant's message.")
    item: dict[str, Any] = {"role": "assistant", "content": message.text or (None if calls else "")}
    if message.reasoning:
        item["reasoning_content"] = message.reasoning
    if calls:
        item["tool_calls"] = calls
    return item


def _encode_call(call_id: str, name: str, arguments: str) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def _encode_content(parts: tuple[Part, ...]) -> str | list[dict[str, Any]]:
    """One str where there is only text, for many chat templates take nothing else."""
    if all(isinstance(part, Text) for part in parts):
        return "".join(part.text for part in parts if isinstance(part, Text))
    return [_encode_part(part) for part in parts]


def _encode_part(part: Part) -> dict[str, Any]:
    match part:
        case Image():
            media_type, data = _media(part)
            url = data if media_type is None else f"data:{media_type};base64,{data}"
            return {"type": "image_url", "image_url": {"url": url, **({"detail": part.detail} if part.detail else {})}}
        case Audio():
            media_type, data = _media(part)
            if media_type is None:
                return {"type": "audio_url", "audio_url": {"url": data}}
            kind = media_type.partition("/")[2].removeprefix("x-")
            return {"type": "input_audio", "input_audio": {"data": data, "format": {"mpeg": "mp3"}.get(kind, kind)}}
        case Text(text):
            return {"type": "text", "text": text}
        case _:
            raise InvalidRequest(f"OpenAI's dicts have no place for {type(part).__name__} here.")


def _media(part: Image | Audio) -> tuple[str | None, str]:
    """(media type, base64); of a Url: (None, its address)."""
    source, kind, media_type = part.source, type(part).__name__, part.media_type
    if isinstance(source, Url):
        return None, source.address
    if isinstance(source, Path):
        name = source.name
        media_type = media_type or mimetypes.guess_type(name)[0]
        try:
            source = source.read_bytes()
        except OSError as problem:
            raise InvalidRequest(f"The {kind} {name!r} cannot be read: {problem.strerror}.") from None
    media_type = media_type or media_type_of(source)
    if media_type is None or not media_type.startswith(f"{kind.lower()}/"):
        raise InvalidRequest(
            f"{kind} has an unknown or wrong media type ({media_type}): give media_type=, "
            f"for instance {'image/png' if kind == 'Image' else 'audio/wav'!r}."
        )
    return media_type, base64.b64encode(source).decode()


def _is_list(value: Any) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


class _Item:
    """One dict of the input, which knows its place for errors."""

    def __init__(self, place: str, value: Any) -> None:
        self.place = place
        if not isinstance(value, Mapping):
            raise self.wrong(f"is a dict, got {type(value).__name__}")
        self.fields = cast("Mapping[str, Any]", value)

    def wrong(self, what: str, field: str | None = None) -> InvalidRequest:
        place = self.place if field is None else f"{self.place}.{field}"
        return InvalidRequest(f"{place} {what}.", param=place)

    def text(self, field: str, default: str | None = None) -> str:
        value = self.fields.get(field)
        if value is None and default is not None:
            return default
        if not isinstance(value, str):
            raise self.wrong(f"is a str, got {type(value).__name__}", field)
        return value

    def inner(self, field: str) -> _Item:
        return _Item(f"{self.place}.{field}", self.fields.get(field))

    def list(self, field: str) -> list[_Item]:
        value = self.fields.get(field)
        if not _is_list(value):
            raise self.wrong(f"is a list, got {type(value).__name__}", field)
        return [_Item(f"{self.place}.{field}[{position}]", item) for position, item in enumerate(value)]

    def only(self, *known: str) -> None:
        """Refuses what would be lost; empty values are nothing."""
        for field, value in self.fields.items():
            if field not in known and value not in (None, "", [], {}):
                raise self.wrong(f"has no place in Ambidex's messages; known here: {', '.join(known)}", field)


def _decode_message(item: _Item, names: Mapping[str, str]) -> Message:
    role = item.text("role")
    match role:
        case "system" | "developer":
            item.only("role", "content")
            return System(*_decode_content(item))
        case "user":
            item.only("role", "content")
            return User(*_decode_content(item))
        case "tool":
            item.only("role", "content", "tool_call_id", "name")
            call_id = item.text("tool_call_id")
            name = item.text("name", names.get(call_id, ""))
            if not call_id or not name:
                raise item.wrong(
                    "names a call of an earlier assistant's message, or has a name beside it", "tool_call_id"
                )
            return ToolResult(call_id, name, *_decode_content(item))
        case "assistant":
            item.only(
                "role",
                "content",
                "reasoning_content",
                "reasoning",
                "tool_calls",
                "refusal",
                "annotations",
                "id",
                "type",
            )
            return _decode_assistant(item)
        case _:
            raise item.wrong(f"is 'system', 'developer', 'user', 'assistant' or 'tool', got {role[:40]!r}", "role")


def _decode_assistant(item: _Item) -> Assistant:
    reasoning = item.text("reasoning_content", "") or item.text("reasoning", "")
    parts: list[str | Part] = [Reasoning(reasoning)] if reasoning else []
    parts += _decode_content(item) if item.fields.get("content") else []
    if refusal := item.text("refusal", ""):
        parts.append(refusal)
    if item.fields.get("tool_calls"):
        parts += [_decode_call(call) for call in item.list("tool_calls")]
    return Assistant(*parts)


def _decode_call(call: _Item) -> ToolCall | InvalidToolCall:
    """A call whose arguments are no JSON object is kept as an `InvalidToolCall`."""
    function = call.inner("function")
    call_id, name = call.text("id"), function.text("name")
    given = function.fields.get("arguments")
    if isinstance(given, Mapping):
        return ToolCall(call_id, name, cast("Mapping[str, Any]", given))
    raw = function.text("arguments", "")
    arguments: Any = {}
    try:
        arguments = loads(raw) if raw.strip() else arguments
    except StrictJSONError as problem:
        return InvalidToolCall(call_id, name, raw, f"the arguments are no JSON: {problem}")
    if not isinstance(arguments, dict):
        return InvalidToolCall(call_id, name, raw, f"the arguments are no object but a {type(arguments).__name__}")
    return ToolCall(call_id, name, cast("dict[str, Any]", arguments), raw)


def _decode_content(item: _Item) -> list[str | Part]:
    content = item.fields.get("content")
    if isinstance(content, str):
        return [content]
    if content is None:
        raise item.wrong("is a str or a list of parts, got None", "content")
    return [_decode_part(part) for part in item.list("content")]


def _decode_part(part: _Item) -> Part:
    kind = part.text("type")
    match kind:
        case "text" | "refusal":
            return Text(part.text(kind))
        case "image_url":
            if isinstance(part.fields.get("image_url"), str):
                return Image(Url(part.text("image_url")))
            image = part.inner("image_url")
            detail = image.fields.get("detail")
            if detail not in (None, "auto", "low", "high"):
                raise image.wrong("is 'auto', 'low' or 'high'", "detail")
            return Image(Url(image.text("url")), detail=detail)
        case "audio_url":
            return Audio(Url(part.inner("audio_url").text("url")))
        case "input_audio":
            audio = part.inner("input_audio")
            kind = audio.text("format")
            try:
                data = base64.b64decode(audio.text("data"), validate=True)
            except (binascii.Error, ValueError):
                raise audio.wrong("is base64", "data") from None
            return Audio(data, media_type=f"audio/{'mpeg' if kind == 'mp3' else kind}")
        case _:
            raise part.wrong(f"is 'text', 'image_url', 'input_audio' or 'audio_url', got {kind[:40]!r}", "type")
