"""The four messages of a conversation and the parts they are made of.

All are frozen values. A conversation is a tuple of messages; `from_openai` and `to_openai` translate OpenAI's
dicts, `to_json` and `from_json` store a conversation with a schema version (see `message_json.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from .errors import InvalidRequest

__all__ = [
    "Assistant",
    "Audio",
    "Image",
    "InvalidToolCall",
    "Message",
    "Part",
    "Reasoning",
    "System",
    "Text",
    "ToolCall",
    "ToolResult",
    "Url",
    "User",
    "checked_messages",
    "from_json",
    "from_openai",
    "to_json",
    "to_openai",
]


@dataclass(frozen=True, slots=True)
class Text:
    """Plain text."""

    text: str

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise InvalidRequest(f"Text takes a str, got {type(self.text).__name__}.")
        object.__setattr__(self, "text", _whole_characters(self.text))


@dataclass(frozen=True, slots=True)
class Reasoning:
    """What a model thought before it answered; `signature` is the provider's proof, passed back unchanged."""

    text: str
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class Url:
    """An address that is passed on to the server. Nothing here fetches it unless a program says so (docs/limits.md)."""

    address: str

    def __post_init__(self) -> None:
        if not isinstance(self.address, str) or not self.address.startswith(("https://", "http://", "data:")):
            raise InvalidRequest(
                f"Url takes an http(s) or data address, got {str(self.address)[:40]!r}. Use a Path for files."
            )

    def __str__(self) -> str:
        return self.address


MediaSource: TypeAlias = Path | bytes | Url


@dataclass(frozen=True, slots=True)
class Image:
    """A picture. A Path is read when sent, a Url is passed on; a bare str is refused, for it could be either."""

    source: MediaSource = field(repr=False)
    media_type: str | None = field(default=None, kw_only=True)
    detail: Literal["auto", "low", "high"] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        _check_media(self.source, "Image")


@dataclass(frozen=True, slots=True)
class Audio:
    """A sound; sources as for `Image`."""

    source: MediaSource = field(repr=False)
    media_type: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        _check_media(self.source, "Audio")


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A complete call that a model made. `arguments_json` is the text as the model wrote it, or repaired if flagged."""

    id: str
    name: str
    arguments: Mapping[str, Any]
    arguments_json: str = ""
    repaired: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.arguments, Mapping):
            raise InvalidRequest(f"ToolCall.arguments takes a mapping, got {type(self.arguments).__name__}.")
        if not self.arguments_json:
            try:
                written = json.dumps(dict(self.arguments), ensure_ascii=False)
            except (TypeError, ValueError, RecursionError) as problem:
                raise InvalidRequest(f"ToolCall.arguments takes what JSON can hold: {problem}.") from None
            object.__setattr__(self, "arguments_json", written)


@dataclass(frozen=True, slots=True)
class InvalidToolCall:
    """A call that was cut off or malformed: kept with its `raw` text and the `problem`, never run."""

    id: str
    name: str
    raw: str
    problem: str


Part: TypeAlias = Text | Reasoning | Image | Audio | ToolCall | InvalidToolCall


class _HasParts:
    """Shared by the four messages: `.text` joins the Text parts."""

    __slots__ = ()
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts if isinstance(part, Text))


@dataclass(frozen=True, slots=True, init=False)
class System(_HasParts):
    """Instructions from the program to the model."""

    parts: tuple[Part, ...]

    def __init__(self, *content: str | Part) -> None:
        object.__setattr__(self, "parts", _to_parts("System", content, (Text,)))


@dataclass(frozen=True, slots=True, init=False)
class User(_HasParts):
    """What the person says."""

    parts: tuple[Part, ...]

    def __init__(self, *content: str | Part) -> None:
        object.__setattr__(self, "parts", _to_parts("User", content, (Text, Image, Audio)))


@dataclass(frozen=True, slots=True, init=False)
class Assistant(_HasParts):
    """What the model answered: text, reasoning and tool calls, in the order in which they came."""

    parts: tuple[Part, ...]

    def __init__(self, *content: str | Part) -> None:
        allowed = (Text, Reasoning, ToolCall, InvalidToolCall, Image, Audio)
        object.__setattr__(self, "parts", _to_parts("Assistant", content, allowed))

    @property
    def reasoning(self) -> str:
        return "".join(part.text for part in self.parts if isinstance(part, Reasoning))

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        return tuple(part for part in self.parts if isinstance(part, ToolCall))

    @property
    def invalid_calls(self) -> tuple[InvalidToolCall, ...]:
        return tuple(part for part in self.parts if isinstance(part, InvalidToolCall))


@dataclass(frozen=True, slots=True, init=False)
class ToolResult(_HasParts):
    """What a tool returned for the call `call_id`; `is_error` when it failed."""

    call_id: str
    name: str
    parts: tuple[Part, ...]
    is_error: bool = False

    def __init__(self, call_id: str, name: str, *content: str | Part, is_error: bool = False) -> None:
        for value, what in ((call_id, "call_id"), (name, "name")):
            if not isinstance(value, str) or not value:
                raise InvalidRequest(f"ToolResult takes the {what} of its call as a non-empty str, got {value!r}.")
        object.__setattr__(self, "call_id", call_id)
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "parts", _to_parts("ToolResult", content, (Text, Image, Audio)))
        object.__setattr__(self, "is_error", is_error)


Message: TypeAlias = System | User | Assistant | ToolResult


def may_go_on(message: Message) -> bool:
    """Whether a model that is asked behind this message goes on with it, in the same turn: an answer that calls
    nothing and ends in text."""
    return (
        isinstance(message, Assistant)
        and not message.tool_calls
        and not message.invalid_calls
        and isinstance(message.parts[-1] if message.parts else None, Text)
        and bool(message.text.strip())
    )


def checked_messages(messages: Iterable[Message]) -> tuple[Message, ...]:
    """The messages as a tuple; a str, a dict or anything else is refused with what to use instead."""
    if isinstance(messages, str):
        raise InvalidRequest(
            "messages takes a sequence of System, User, Assistant and ToolResult, got a str. "
            "Wrap it: [User(text)], or pass prompt=text for raw text without a chat template."
        )
    single = isinstance(messages, Mapping) or not isinstance(messages, Iterable)
    checked: tuple[Message, ...] = (messages,) if single else tuple(messages)  # type: ignore[assignment]  # a wrong value
    for message in checked:
        if not isinstance(message, (System, User, Assistant, ToolResult)):
            hint = " Translate OpenAI's dicts with messages.from_openai(...)." if isinstance(message, Mapping) else ""
            raise InvalidRequest(
                f"messages takes System, User, Assistant and ToolResult, got {type(message).__name__}.{hint}"
            )
    return checked


def from_openai(items: Sequence[Mapping[str, Any]]) -> tuple[Message, ...]:
    """OpenAI's chat dicts as messages. Raises `InvalidRequest` that names the item and field at fault."""
    from .openai_messages import decode

    return decode(items)


def to_openai(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """Messages as OpenAI's chat dicts. Invalid calls are left out; a Path is read, a Url passed on."""
    from .openai_messages import encode

    return encode(checked_messages(messages))


def to_json(messages: Iterable[Message]) -> str:
    """A conversation as JSON text with a schema version, for `from_json` of this or any later release."""
    from .message_json import encode

    return encode(checked_messages(messages))


def from_json(text: str | bytes) -> tuple[Message, ...]:
    """The conversation that `to_json` stored. Raises `InvalidRequest` for anything else."""
    from .message_json import decode

    return decode(text)


def _to_parts(role: str, content: tuple[str | Part, ...], allowed: tuple[type, ...]) -> tuple[Part, ...]:
    parts: list[Part] = []
    for item in content:
        part = Text(item) if isinstance(item, str) else item
        if not isinstance(part, allowed):
            names = ", ".join(["str", *(kind.__name__ for kind in allowed)])
            hint = (
                " Translate OpenAI's dicts with messages.from_openai(...)." if isinstance(item, (Mapping, list)) else ""
            )
            raise InvalidRequest(f"{role} takes {names}, got {type(item).__name__}.{hint}")
        parts.append(part)
    return tuple(parts)


def _check_media(source: object, kind: str) -> None:
    if not isinstance(source, (Path, bytes, Url)):
        raise InvalidRequest(
            f"{kind} takes a Path, bytes or Url, got {type(source).__name__}. "
            "A bare str is refused, for it could be a file or an address: write Path(...) or Url(...)."
        )


def _whole_characters(text: str) -> str:
    """Surrogate pairs joined (JSON escapes cut in two leave them); a lone half becomes U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
