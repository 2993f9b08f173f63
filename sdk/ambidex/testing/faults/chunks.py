"""Answers as OpenAI-compatible servers write them: the chunks of a stream, and the same as one JSON object."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, TypeAlias

Chunk: TypeAlias = dict[str, Any]

MODEL = "test-model"
"""The model that a fault server lists."""

WHOLE = "Hello, world"
"""The text of its good answers."""


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **fields: Any) -> Chunk:
    """One chunk of a chat's stream; `fields` stand beside its choices."""
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "served", "choices": [choice], **fields}


def usage(asked: int = 3, answered: int = 5) -> Chunk:
    """The chunk with the counts, which comes after the finish reason and has no choices."""
    counts = {"prompt_tokens": asked, "completion_tokens": answered, "total_tokens": asked + answered}
    return {"id": "chatcmpl-1", "model": "served", "choices": [], "usage": counts}


def text(*pieces: str, finish: str = "stop") -> list[Chunk]:
    """An answer of text, in these pieces."""
    deltas = [chunk({"content": piece}, usage=None) for piece in pieces]
    return [chunk({"role": "assistant", "content": ""}), *deltas, chunk({}, finish), usage()]


def calls(*wanted: tuple[str, dict[str, Any]], step: int = 7, finish: str = "tool_calls") -> list[Chunk]:
    """An answer of tool calls (name, arguments), the arguments' JSON in pieces of `step` characters."""
    chunks = [chunk({"role": "assistant", "content": None})]
    for index, (name, arguments) in enumerate(wanted):
        function = {"name": name, "arguments": ""}
        call = {"index": index, "id": f"call_{index}", "type": "function", "function": function}
        chunks.append(chunk({"tool_calls": [call]}))
        encoded = json.dumps(arguments)
        for start in range(0, len(encoded), step):
            piece = {"index": index, "function": {"arguments": encoded[start : start + step]}}
            chunks.append(chunk({"tool_calls": [piece]}))
    return [*chunks, chunk({}, finish), usage()]


def completion(chunks: Iterable[Chunk]) -> dict[str, Any]:
    """What a server answers in one piece, to a request without `stream`, where it would stream these chunks."""
    content: str | None = None
    finish: str | None = None
    calls: dict[int, dict[str, Any]] = {}
    counts: Any = None
    for item in chunks:
        counts = item.get("usage") or counts
        for choice in item["choices"]:
            delta = choice.get("delta") or {}
            finish = choice.get("finish_reason") or finish
            if delta.get("content") is not None:
                content = (content or "") + delta["content"]
            for piece in delta.get("tool_calls") or ():
                call = calls.setdefault(piece["index"], {**piece, "function": {"name": "", "arguments": ""}})
                for name, value in piece["function"].items():
                    call["function"][name] += value
    message: dict[str, Any] = {"role": "assistant", "content": content}
    if calls:
        message["tool_calls"] = [calls[index] for index in sorted(calls)]
    answer = {"index": 0, "message": message, "finish_reason": finish}
    return {"id": "chatcmpl-1", "object": "chat.completion", "model": "served", "choices": [answer], "usage": counts}
