"""One conversation, several hands: tool calls stay native calls in each one's form, and the conversation is its own."""

from __future__ import annotations

import re
from contextlib import ExitStack
from typing import Any

from tests.servers import chat_server, chunk, text, usage

from ambidex import Chat, ToolResult
from ambidex.messages import to_openai
from ambidex.tools import Tool
from ambidex_backends.endpoint import EndpointBackend

WEATHER = Tool("weather.today", "Forecast.", {"type": "object", "properties": {"city": {"type": "string"}}})


def answers_like(call_id: str, seen: list[Any]) -> Any:
    """A server that calls the tool, and tells what it got when it has a result; its reasoning comes first."""

    def script(body: dict[str, Any]) -> Any:
        seen.append(body)
        if body["messages"][-1]["role"] == "tool":
            return text("Sun.")
        name = body["tools"][0]["function"]["name"]
        call = {
            "index": 0,
            "id": call_id,
            "type": "function",
            "function": {"name": name, "arguments": '{"city": "Rome"}'},
        }
        return [chunk({"reasoning_content": "hm"}), chunk({"tool_calls": [call]}), chunk({}, "tool_calls"), usage()]

    return script


def test_a_conversation_over_three_hands() -> None:
    hands = [
        ("moonshotai/Kimi-K2-Instruct", "sglang", "functions.{name}:0", r"functions\.weather_today_[0-9a-f]{8}:[0-9]"),
        ("mistralai/Mistral-Small-24B", "vllm", "Ab3dEf6hI", r"[a-zA-Z0-9]{9}"),
        ("gpt-5", "openai", "call_abc", r"[a-zA-Z0-9_-]{1,40}"),
    ]
    wire_name = "weather_today_"
    history: tuple[Any, ...] = ()
    given: list[str] = []
    with ExitStack() as opened:
        for model, dialect, call_id, form in hands:
            seen: list[Any] = []
            given.append(call_id.format(name="weather.today"))
            url = opened.enter_context(chat_server(answers_like(given[-1], seen)))
            backend = EndpointBackend(url, model=model, dialect=dialect)  # type: ignore[arg-type]  # one of its names
            opened.callback(backend.close)
            chat = Chat(backend, tools=[WEATHER])
            for message in history:
                chat.append(message)
            before = to_openai(history)
            reply = chat.ask("The weather?")
            assert [call.id for call in reply.tool_calls] == [given[-1]]  # as the server gave it
            assert reply.tool_calls[0].name == "weather.today"
            assert chat.ask(ToolResult(reply.tool_calls[0].id, "weather.today", "sun")).text == "Sun."
            assert to_openai(chat.messages)[: len(before)] == before
            sent = seen[-1]["messages"]
            calls = [call for message in sent for call in message.get("tool_calls", ())]
            assert all(re.fullmatch(form, call["id"]) for call in calls), calls
            assert [message["tool_call_id"] for message in sent if message["role"] == "tool"] == [
                c["id"] for c in calls
            ]
            assert all(call["function"]["name"].startswith(wire_name) for call in calls)
            assert len(calls) == len(given)
            assert any("reasoning_content" in message for message in sent) is (dialect != "openai")
            history = chat.messages
    assert [call.id for message in history for call in getattr(message, "tool_calls", ())] == given
