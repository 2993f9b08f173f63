"""A backend of ours behind a real socket that speaks OpenAI's wire: the same model, reached as a server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

from tests.servers import Chunk, chat_server, chunk, usage

from ambidex import Finished, Greedy, Request, TextDelta, Tool, ToolCallDelta, ToolCallStarted, messages
from ambidex.backend import Backend


def relay(backend: Backend, *, model: str) -> AbstractContextManager[str]:
    """A server that answers greedily from `backend`; its base URL, which ends in /v1."""
    return chat_server(lambda body: _answer(backend, body), models=(model,))


def _answer(backend: Backend, body: dict[str, Any]) -> Iterator[Chunk]:
    raw = "prompt" in body
    functions = [item["function"] for item in body.get("tools", ())]
    request = Request(
        () if raw else messages.from_openai(body["messages"]),
        prompt=body.get("prompt"),
        tools=[Tool(function["name"], function["description"], function["parameters"]) for function in functions],
        max_tokens=body.get("max_tokens"),
        stop=body.get("stop") or (),
        decoding=Greedy() if body.get("temperature") == 0 else None,
    )
    if not raw:
        yield chunk({"role": "assistant", "content": None})
    for event in backend.stream(request):
        match event:
            case TextDelta(text):
                yield _completion(text) if raw else chunk({"content": text})
            case ToolCallStarted(index, id, name):
                function = {"name": name, "arguments": ""}
                yield chunk({"tool_calls": [{"index": index, "id": id, "type": "function", "function": function}]})
            case ToolCallDelta(index, json):
                yield chunk({"tool_calls": [{"index": index, "function": {"arguments": json}}]})
            case Finished(choices, counts):
                yield _completion("", choices[0].finish_reason) if raw else chunk({}, choices[0].finish_reason)
                yield usage(counts.input_tokens or 0, counts.output_tokens or 0)
            case _:
                pass


def _completion(text: str, finish: str | None = None) -> Chunk:
    """One chunk of the completions route."""
    return {"id": "cmpl-1", "model": "served", "choices": [{"index": 0, "text": text, "finish_reason": finish}]}
