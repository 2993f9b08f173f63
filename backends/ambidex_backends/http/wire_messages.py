"""A conversation as the messages that one target takes: names, ids and reasoning in its form. No I/O.

The conversation itself never changes: another target gets its own form of the same values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ambidex.errors import Unsupported
from ambidex.messages import Image, InvalidToolCall, Message, Reasoning, ToolCall, ToolResult, Url, User, to_openai

from .call_ids import CallIds, is_legal
from .dialect import Dialect
from .model_family import Family, family_of
from .tool_names import to_wire

_REASONING = "reasoning_content"
"""Where `to_openai` puts it."""


def wire_messages(messages: Sequence[Message], model: str, dialect: Dialect) -> list[dict[str, Any]]:
    """OpenAI's dicts. Raises `Unsupported` for pictures by address where the server fetches none."""
    if not dialect.image_urls and any(_is_remote(part) for message in messages for part in message.parts):
        raise Unsupported(
            f"{dialect.title} fetches no pictures by their address: give Image(Path(...)) or its bytes.", param="images"
        )
    family = family_of(model)
    ids = CallIds(family.call_ids or dialect.call_ids)
    replayed = _first_replayed(messages, family, dialect)
    items = to_openai(messages)
    for position, item in enumerate(items):
        reasoning = item.pop(_REASONING, None)
        if reasoning is not None and position >= replayed:
            item.update(dict.fromkeys(dialect.reasoning_fields, reasoning))
        if item["role"] == "assistant":
            ids.begin_answer()
            for call in item.get("tool_calls") or ():
                call["function"]["name"] = to_wire(call["function"]["name"])
                call["id"] = ids.call(call["id"], call["function"]["name"])
        elif item["role"] == "tool":
            item["name"] = to_wire(item["name"])
            item["tool_call_id"] = ids.result(item["tool_call_id"], item["name"])
    return items


def depend_on_dialect(messages: Sequence[Message], model: str) -> bool:
    """Whether servers are sent different messages for this conversation, so that their kind has to be known."""
    parts = [part for message in messages for part in message.parts]
    if any(isinstance(part, Reasoning) or _is_remote(part) for part in parts):
        return True
    if family_of(model).call_ids is not None:
        return False
    ids = [part.id for part in parts if isinstance(part, (ToolCall, InvalidToolCall))]
    ids += [message.call_id for message in messages if isinstance(message, ToolResult)]
    return not all(is_legal(call_id, "letters") for call_id in ids)


def _first_replayed(messages: Sequence[Message], family: Family, dialect: Dialect) -> int:
    """The position from which on reasoning is sent back."""
    if dialect.replay == "always":
        return 0
    if dialect.replay == "never" or not family.wants_reasoning:
        return len(messages)
    said = [position for position, message in enumerate(messages) if isinstance(message, User)]
    return said[-1] if said else 0


def _is_remote(part: object) -> bool:
    return isinstance(part, Image) and isinstance(part.source, Url) and not part.source.address.startswith("data:")
