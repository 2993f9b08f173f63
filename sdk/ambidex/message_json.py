"""Conversations as JSON text; loaded when first needed. Called by `messages.to_json` / `from_json`.

    {"ambidex": "messages", "version": 1, "messages": [
      {"role": "user", "parts": [{"type": "text", "text": "What is this?"},
                                 {"type": "image", "base64": "iVBO...", "media_type": "image/png", "detail": null}]},
      {"role": "assistant", "parts": [{"type": "tool_call", "id": "1", "name": "look", "arguments": {"x": 1},
                                       "arguments_json": "{\"x\": 1}", "repaired": false}]},
      {"role": "tool_result", "call_id": "1", "name": "look", "is_error": false, "parts": []}]}

What is read back equals what was stored, with one exception: the file of a Path is stored as its bytes, so that the
text is whole by itself. Every field is written and demanded, and nothing else is taken. What stands in `arguments` is
only ever data, also where it looks like one of these objects.
"""

from __future__ import annotations

import base64
import binascii
import json
import mimetypes
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast

from .errors import InvalidRequest
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
from .strict_json import MAX_DEPTH, StrictJSONError, loads

VERSION = 1

_DEPTH = MAX_DEPTH + 6
"""Calls come nested as deep as `MAX_DEPTH`; around their arguments stand six levels of ours."""


def encode(messages: Iterable[Message]) -> str:
    """Messages as JSON text. Raises `InvalidRequest` for a file that cannot be read and arguments JSON cannot hold."""
    return to_text({"ambidex": "messages", "version": VERSION, "messages": plain(messages)})


def plain(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """Messages as what JSON text is made of, for a larger object around them; read back by `message_of`."""
    return [_encode_message(message) for message in messages]


def to_text(value: dict[str, Any]) -> str:
    """JSON text of an object with `plain` messages in its first level. Raises `InvalidRequest`."""
    try:
        text = json.dumps(value, ensure_ascii=False)
        if any("\ud800" <= character <= "\udfff" for character in text):
            text = json.dumps(value)  # halves of characters, which no encoding of the text itself could hold
        loads(text, max_depth=_DEPTH)  # what cannot be read back is not stored
    except (TypeError, ValueError, RecursionError) as problem:
        raise InvalidRequest(f"A tool call's arguments cannot be stored as JSON: {problem}.") from None
    return text


def decode(text: str | bytes) -> tuple[Message, ...]:
    """The conversation that `encode` stored. Raises `InvalidRequest`, which names the place, for anything else."""
    if not isinstance(text, (str, bytes)):
        raise InvalidRequest(f"A stored conversation is a str or bytes, got {type(text).__name__}.")
    try:
        stored = of_text("the conversation", text)
    except StrictJSONError as problem:
        raise InvalidRequest(f"This is no stored conversation: {problem}.") from None
    if stored.fields.get("ambidex") != "messages":
        raise stored.wrong('was not written by messages.to_json: it lacks "ambidex": "messages"')
    if stored.fields.get("version") != VERSION:
        version = stored.fields.get("version")
        raise stored.wrong(f"has version {version!r}; this release reads version {VERSION}, a later one may read more")
    stored.only("ambidex", "version", "messages")
    return tuple(message_of(item) for item in stored.list("messages"))


def _encode_message(message: Message) -> dict[str, Any]:
    parts = [_encode_part(part) for part in message.parts]
    match message:
        case System():
            return {"role": "system", "parts": parts}
        case User():
            return {"role": "user", "parts": parts}
        case Assistant():
            return {"role": "assistant", "parts": parts}
        case ToolResult(call_id=call_id, name=name, is_error=is_error):
            return {"role": "tool_result", "call_id": call_id, "name": name, "is_error": is_error, "parts": parts}


def _encode_part(part: Part) -> dict[str, Any]:
    match part:
        case Text(text):
            return {"type": "text", "text": text}
        case Reasoning(text, signature):
            return {"type": "reasoning", "text": text, "signature": signature}
        case Image():
            return {"type": "image", **_encode_source(part), "detail": part.detail}
        case Audio():
            return {"type": "audio", **_encode_source(part)}
        case ToolCall(id, name, arguments, arguments_json, repaired):
            return {
                "type": "tool_call",
                "id": id,
                "name": name,
                "arguments": dict(arguments),
                "arguments_json": arguments_json,
                "repaired": repaired,
            }
        case InvalidToolCall(id, name, raw, problem):
            return {"type": "invalid_tool_call", "id": id, "name": name, "raw": raw, "problem": problem}


def _encode_source(part: Image | Audio) -> dict[str, Any]:
    media_type = part.media_type
    match part.source:
        case Url(address):
            return {"url": address, "media_type": media_type}
        case Path() as file:
            media_type = media_type or mimetypes.guess_type(file.name)[0]
            try:
                data = file.read_bytes()
            except OSError as problem:
                kind = type(part).__name__
                raise InvalidRequest(f"The {kind} {file.name!r} cannot be read: {problem.strerror}.") from None
        case bytes() as data:
            pass
    return {"base64": base64.b64encode(data).decode(), "media_type": media_type}


class Stored:
    """One stored object, which knows its place for errors."""

    def __init__(self, place: str, value: Any) -> None:
        self.place = place
        if not isinstance(value, dict):
            raise self.wrong(f"is an object, got {type(value).__name__}")
        self.fields = cast("dict[str, Any]", value)

    def wrong(self, what: str, field: str | None = None) -> InvalidRequest:
        place = self.place if field is None else f"{self.place}.{field}"
        return InvalidRequest(f"{place} {what}.", param=place)

    def only(self, *names: str) -> None:
        """Exactly these fields."""
        for name in names:
            if name not in self.fields:
                raise self.wrong(f"lacks {name!r}")
        for name in self.fields:
            if name not in names:
                raise self.wrong(f"has an unknown field {name[:80]!r}; known here: {', '.join(names)}")

    def text(self, field: str) -> str:
        value = self.fields.get(field)
        if not isinstance(value, str):
            raise self.wrong(f"is a text, got {type(value).__name__}", field)
        return value

    def optional_text(self, field: str) -> str | None:
        return None if self.fields.get(field) is None else self.text(field)

    def truth(self, field: str) -> bool:
        value = self.fields.get(field)
        if not isinstance(value, bool):
            raise self.wrong(f"is true or false, got {type(value).__name__}", field)
        return value

    def list(self, field: str) -> list[Stored]:
        value = self.fields.get(field)
        if not isinstance(value, list):
            raise self.wrong(f"is a list, got {type(value).__name__}", field)
        prefix = field if self.place == "the conversation" else f"{self.place}.{field}"
        return [Stored(f"{prefix}[{at}]", item) for at, item in enumerate(cast("Sequence[Any]", value))]


def of_text(place: str, text: str | bytes) -> Stored:
    """The object that `to_text` wrote. Raises `StrictJSONError`, and `InvalidRequest` for what is no object."""
    return Stored(place, loads(text, max_depth=_DEPTH))


def message_of(item: Stored) -> Message:
    role = item.text("role")
    item.only("role", *(("call_id", "name", "is_error") if role == "tool_result" else ()), "parts")
    parts = [_decode_part(part) for part in item.list("parts")]
    try:
        match role:
            case "system":
                return System(*parts)
            case "user":
                return User(*parts)
            case "assistant":
                return Assistant(*parts)
            case "tool_result":
                return ToolResult(item.text("call_id"), item.text("name"), *parts, is_error=item.truth("is_error"))
            case _:
                raise item.wrong(f"is no message that this release knows: role {role[:80]!r}")
    except InvalidRequest as problem:
        raise problem if problem.param else item.wrong(f"is no such message: {problem.message}") from None


def _decode_part(item: Stored) -> Part:
    kind = item.text("type")
    match kind:
        case "text":
            item.only("type", "text")
            return Text(item.text("text"))
        case "reasoning":
            item.only("type", "text", "signature")
            return Reasoning(item.text("text"), item.optional_text("signature"))
        case "image":
            detail = item.fields.get("detail")
            if detail not in (None, "auto", "low", "high"):
                raise item.wrong("is null, 'auto', 'low' or 'high'", "detail")
            source = _decode_source(item, "detail")
            return Image(source, media_type=item.optional_text("media_type"), detail=detail)
        case "audio":
            return Audio(_decode_source(item), media_type=item.optional_text("media_type"))
        case "tool_call":
            item.only("type", "id", "name", "arguments", "arguments_json", "repaired")
            arguments = item.fields["arguments"]
            if not isinstance(arguments, dict):
                raise item.wrong(f"is an object, got {type(arguments).__name__}", "arguments")
            return ToolCall(
                item.text("id"),
                item.text("name"),
                cast("dict[str, Any]", arguments),
                item.text("arguments_json"),
                item.truth("repaired"),
            )
        case "invalid_tool_call":
            item.only("type", "id", "name", "raw", "problem")
            return InvalidToolCall(item.text("id"), item.text("name"), item.text("raw"), item.text("problem"))
        case _:
            raise item.wrong(f"is no part that this release knows: type {kind[:80]!r}")


def _decode_source(item: Stored, *others: str) -> bytes | Url:
    if "url" in item.fields:
        item.only("type", "url", "media_type", *others)
        try:
            return Url(item.text("url"))
        except InvalidRequest as problem:
            raise item.wrong(f"is refused: {problem}", "url") from None
    item.only("type", "base64", "media_type", *others)
    try:
        return base64.b64decode(item.text("base64"), validate=True)
    except (binascii.Error, ValueError):
        raise item.wrong("is base64", "base64") from None
