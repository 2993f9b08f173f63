"""The official `openai` client and ours, side by side against one server: what both send, and what both read.

Skipped where `openai` is not installed. Where the two differ on purpose, the difference stands in a list here.
"""

from __future__ import annotations

import base64
import importlib
import json
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from tests.servers import Exchange, chat_server

from ambidex import Greedy, NamedTool, Reply, Request, Sampling, Tool, collect, messages
from ambidex.errors import AmbidexError
from ambidex_backends.endpoint import EndpointBackend

openai: Any = pytest.importorskip("openai", reason="the official client is not installed: pip install openai")

PNG = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n0123456789").decode()

WEATHER: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string", "default": None}, "days": {"type": "integer", "minimum": 1}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOLS = [Tool("get_weather", "The weather in a city.", WEATHER), Tool("now", "The time.", {"type": "object"})]
THEIR_TOOLS = [
    {"type": "function", "function": {"name": t.name, "description": t.description, "parameters": dict(t.parameters)}}
    for t in TOOLS
]


@dataclass
class Person:
    name: str
    age: int


PERSON: dict[str, Any] = {
    "title": "Person",
    "type": "object",
    "properties": {"name": {"title": "Name", "type": "string"}, "age": {"title": "Age", "type": "integer"}},
    "required": ["name", "age"],
}

ASKED: list[dict[str, Any]] = [{"role": "user", "content": "Is it warm in Köln? 🌡️"}]
SEVERAL_TURNS: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Hi!"},
    {"role": "user", "content": "And now?"},
]
WITH_RESULTS: list[dict[str, Any]] = [
    {"role": "user", "content": "What is the weather?"},
    {
        "role": "assistant",
        "content": "I look.",
        "tool_calls": [
            {
                "id": "call_1",
                "type": "function",
                "function": {"name": "get_weather", "arguments": '{"city": "Köln",  "days": 2}'},
            },
            {"id": "call_2", "type": "function", "function": {"name": "now", "arguments": "{}"}},
        ],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": "Sunny"},
    {"role": "tool", "tool_call_id": "call_2", "content": ""},
]
ONLY_CALLS: list[dict[str, Any]] = [WITH_RESULTS[0], {**WITH_RESULTS[1], "content": None}, *WITH_RESULTS[2:]]
A_PICTURE: list[dict[str, Any]] = [
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}},
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        ],
    }
]


@dataclass
class Sent:
    """One request in both worlds; `model` and the streaming options are the same for all."""

    messages: list[dict[str, Any]]
    ours: dict[str, Any]
    theirs: dict[str, Any]


SENT = {
    "text": Sent(ASKED, {}, {}),
    "several turns": Sent(SEVERAL_TURNS, {}, {}),
    "tools": Sent(ASKED, {"tools": TOOLS}, {"tools": THEIR_TOOLS}),
    "tool results": Sent(WITH_RESULTS, {"tools": TOOLS}, {"tools": THEIR_TOOLS}),
    "calls without text": Sent(ONLY_CALLS, {"tools": TOOLS}, {"tools": THEIR_TOOLS}),
    "a tool by name": Sent(
        ASKED,
        {"tools": TOOLS, "tool_choice": NamedTool("now"), "parallel_tool_calls": False},
        {
            "tools": THEIR_TOOLS,
            "tool_choice": {"type": "function", "function": {"name": "now"}},
            "parallel_tool_calls": False,
        },
    ),
    "some tool": Sent(
        ASKED, {"tools": TOOLS, "tool_choice": "required"}, {"tools": THEIR_TOOLS, "tool_choice": "required"}
    ),
    "no tool": Sent(ASKED, {"tools": TOOLS, "tool_choice": "none"}, {"tools": THEIR_TOOLS, "tool_choice": "none"}),
    "a schema": Sent(
        ASKED,
        {"output": Person},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": PERSON}}},
    ),
    "log probabilities": Sent(ASKED, {"logprobs": 3}, {"logprobs": True, "top_logprobs": 3}),
    "sampling": Sent(
        ASKED,
        {
            "decoding": Sampling(
                temperature=0.7,
                top_p=0.9,
                seed=7,
                frequency_penalty=0.5,
                presence_penalty=-0.5,
                logit_bias={50256: -100.0},
            )
        },
        {
            "temperature": 0.7,
            "top_p": 0.9,
            "seed": 7,
            "frequency_penalty": 0.5,
            "presence_penalty": -0.5,
            "logit_bias": {"50256": -100.0},
        },
    ),
    "greedy": Sent(ASKED, {"decoding": Greedy()}, {"temperature": 0}),
    "limits": Sent(
        ASKED, {"max_tokens": 5, "stop": ["\n\n", "END"]}, {"max_completion_tokens": 5, "stop": ["\n\n", "END"]}
    ),
    "effort": Sent(ASKED, {"reasoning": "low"}, {"reasoning_effort": "low"}),
    "pictures": Sent(A_PICTURE, {}, {}),
    "what we do not model": Sent(
        ASKED, {"extra": {"user": "u-1", "metadata": {"a": None}}}, {"user": "u-1", "metadata": {"a": None}}
    ),
}


@contextmanager
def both(answer: Callable[[dict[str, Any]], Any]) -> Generator[tuple[Any, EndpointBackend]]:
    """The official client and ours for one server."""
    with chat_server(answer) as url:
        backend = EndpointBackend(f"{url}#gpt-test", api_key="key", dialect="openai")
        with openai.OpenAI(base_url=url, api_key="key", max_retries=0) as client:
            try:
                yield client, backend
            finally:
                backend.close()


def without_names(body: dict[str, Any]) -> dict[str, Any]:
    """The one difference in what is sent: our tool results name their tool, which Mistral and Gemini need."""
    said = [{k: v for k, v in m.items() if (m["role"], k) != ("tool", "name")} for m in body["messages"]]
    return {**body, "messages": said}


@pytest.mark.parametrize("case", SENT.values(), ids=SENT)
def test_both_send_the_same(case: Sent) -> None:
    bodies: list[dict[str, Any]] = []

    def answer(body: dict[str, Any]) -> list[dict[str, Any]]:
        bodies.append(body)
        return streamed(TEXT)

    with both(answer) as (client, backend):
        options = {"stream": True, "stream_options": {"include_usage": True}}
        list(client.chat.completions.create(model="gpt-test", messages=case.messages, **options, **case.theirs))
        collect(backend.stream(Request(messages.from_openai(case.messages), **case.ours)))
    theirs, ours = bodies
    assert without_names(ours) == theirs


def test_both_send_the_same_head() -> None:
    """Method, path, key and media types; the official client tells more about its machine (`x-stainless-*`)."""
    heads: list[tuple[str, str, Mapping[str, str]]] = []

    def answer(body: dict[str, Any]) -> Callable[[Exchange], None]:
        def exchange_(exchange: Exchange) -> None:
            heads.append((exchange.method, exchange.path, exchange.headers))
            exchange.stream(streamed(TEXT))

        return exchange_

    with both(answer) as (client, backend):
        list(client.chat.completions.create(model="gpt-test", messages=ASKED, stream=True))
        collect(backend.stream(Request(messages.from_openai(ASKED))))
    (method, path, theirs), (our_method, our_path, ours) = heads
    assert (our_method, our_path) == (method, path) == ("POST", "/v1/chat/completions")
    for name in ("authorization", "content-type", "host"):
        assert ours[name] == theirs[name]
    # They say application/json for streams as well; we do not take a compressed answer without being asked to.
    assert (ours["accept"], ours["accept-encoding"]) == ("text/event-stream", "identity")
    ours_alone = set(ours) - set(theirs)
    assert ours_alone == set()
    known = ("x-stainless-", "connection")
    assert [name for name in set(theirs) - set(ours) if not name.startswith(known)] == []


# -- what both read


@dataclass
class Said:
    """One answer of a server, to be given whole or in pieces."""

    content: str | None = None
    calls: tuple[tuple[str, str, str], ...] = ()
    finish: str = "stop"
    usage: dict[str, Any] | None = None
    logprobs: tuple[dict[str, Any], ...] = ()
    interleaved: bool = False


def token(text: str, logprob: float, *top: tuple[str, float]) -> dict[str, Any]:
    def one(text: str, logprob: float) -> dict[str, Any]:
        return {"token": text, "logprob": logprob, "bytes": list(text.encode())}

    return {**one(text, logprob), "top_logprobs": [one(*other) for other in top]}


USAGE = {"prompt_tokens": 12, "completion_tokens": 34, "total_tokens": 46}
DETAILED = {
    **USAGE,
    "prompt_tokens_details": {"cached_tokens": 8, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 20, "accepted_prediction_tokens": 0},
}
TEXT = Said("It is 21 °C in Köln. 🌞\u2028Warm,\r\n\tsays “she”.", usage=USAGE)
READ = {
    "text": TEXT,
    "nothing": Said("", usage=USAGE),
    "no usage": Said("Hello"),
    "usage in detail": Said("Hello", usage=DETAILED),
    "cut by length": Said("It is", finish="length", usage=USAGE),
    "filtered": Said("It", finish="content_filter"),
    "a call": Said(None, (("call_a", "get_weather", '{"city": "Köln", "days": 2}'),), "tool_calls", USAGE),
    "a call without arguments": Said(None, (("call_a", "now", "{}"),), "tool_calls"),
    "text and calls": Said(
        "I look.",
        (("call_a", "get_weather", '{"city":"Köln \\ud83c\\udf1e \\"x\\""}'), ("call_b", "now", '{"a":[1,2.5,null]}')),
        "tool_calls",
        USAGE,
    ),
    "calls in turns": Said(
        None,
        (("call_a", "get_weather", '{"city":"Rome","days":3}'), ("call_b", "get_weather", '{"city":"Oslo"}')),
        "tool_calls",
        interleaved=True,
    ),
    "log probabilities": Said(
        "Hé 🌞",
        logprobs=(
            token("H", -0.25, ("H", -0.25), ("A", -1.5)),
            token("é", -1e-7),
            token(" 🌞", -3.5, (" 🌞", -3.5), ("\n", -4.0)),
        ),
        usage=USAGE,
    ),
}


def whole(said: Said) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": said.content}
    if said.calls:
        message["tool_calls"] = [
            {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}
            for id, name, arguments in said.calls
        ]
    logprobs = {"content": list(said.logprobs), "refusal": None} if said.logprobs else None
    choice = {"index": 0, "message": message, "logprobs": logprobs, "finish_reason": said.finish}
    answer = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-test-2026"}
    return {**answer, "choices": [choice], **({"usage": said.usage} if said.usage else {})}


def streamed(said: Said, step: int = 3) -> list[dict[str, Any]]:
    """As OpenAI streams it: pieces of `step` characters."""
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-test-2026"}

    def chunk(delta: dict[str, Any], logprobs: Any = None, finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        return {**head, "choices": [choice], "usage": None}

    chunks = [chunk({"role": "assistant", "content": said.content and "", "refusal": None})]
    if said.logprobs:
        chunks += [chunk({"content": t["token"]}, {"content": [t], "refusal": None}) for t in said.logprobs]
    elif said.content:
        chunks += [chunk({"content": said.content[at : at + step]}) for at in range(0, len(said.content), step)]
    pieces: list[list[dict[str, Any]]] = []
    for index, (id, name, arguments) in enumerate(said.calls):
        first = {"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": ""}}
        rest = [arguments[at : at + step] for at in range(0, len(arguments), step)]
        pieces.append([first, *({"index": index, "function": {"arguments": piece}} for piece in rest)])
    if said.interleaved:
        longest = max(map(len, pieces))
        ordered = [call[at] for at in range(longest) for call in pieces if at < len(call)]
    else:
        ordered = [piece for call in pieces for piece in call]
    chunks += [chunk({"tool_calls": [piece]}) for piece in ordered]
    chunks.append(chunk({}, finish=said.finish))
    return [*chunks, {**head, "choices": [], "usage": said.usage}] if said.usage else chunks


def read_by_us(reply: Reply[Any]) -> dict[str, Any]:
    usage = reply.usage
    return {
        "text": reply.text,
        "calls": [(call.id, call.name, call.arguments_json, dict(call.arguments)) for call in reply.tool_calls],
        "finish": (reply.finish_reason, reply.choices[0].raw_finish_reason),
        "usage": (usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.reasoning_tokens),
        "logprobs": [
            (t.text, t.bytes, t.logprob, [(o.text, o.bytes, o.logprob) for o in t.top]) for t in reply.logprobs or ()
        ],
        "model": reply.model,
        "id": reply.request_id,
    }


def read_by_them(completion: Any) -> dict[str, Any]:
    """In our words. `content` is None or "" where there is no text; both are "" with us."""
    choice, usage = completion.choices[0], completion.usage
    asked = usage and usage.prompt_tokens_details
    answered = usage and usage.completion_tokens_details

    def scored(item: Any) -> tuple[str, bytes, float]:
        return item.token, bytes(item.bytes), item.logprob

    return {
        "text": choice.message.content or "",
        "calls": [
            (call.id, call.function.name, call.function.arguments, json.loads(call.function.arguments))
            for call in choice.message.tool_calls or ()
        ],
        "finish": (choice.finish_reason, choice.finish_reason),
        "usage": (
            usage and usage.prompt_tokens,
            usage and usage.completion_tokens,
            asked and asked.cached_tokens,
            answered and answered.reasoning_tokens,
        ),
        "logprobs": [
            (*scored(t), [scored(o) for o in t.top_logprobs])
            for t in (choice.logprobs and choice.logprobs.content) or ()
        ],
        "model": completion.model,
        "id": completion.id,
    }


@pytest.mark.parametrize("step", [1, 3, 1000])
@pytest.mark.parametrize("said", READ.values(), ids=READ)
def test_both_read_the_same(said: Said, step: int) -> None:
    """The stream as it is read by us, by their assembler of streams, and the same answer whole, read by them."""
    assembler = importlib.import_module("openai.lib.streaming.chat").ChatCompletionStreamState

    def answer(body: dict[str, Any]) -> Any:
        if body.get("stream"):
            return streamed(said, step)
        return lambda exchange: exchange.reply(200, whole(said))

    with both(answer) as (client, backend):
        scores = 3 if said.logprobs else None
        request = Request(messages.from_openai(ASKED), tools=TOOLS, logprobs=scores)
        ours = read_by_us(collect(backend.stream(request)))
        asked = {"model": "gpt-test", "messages": ASKED, **({"logprobs": True, "top_logprobs": 3} if scores else {})}
        state = assembler()
        for chunk in client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}):
            state.handle_chunk(chunk)
        in_pieces = read_by_them(state.current_completion_snapshot)
        at_once = read_by_them(client.chat.completions.create(**asked))
    assert ours == at_once
    assert in_pieces == at_once


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 429, 500])
def test_both_take_a_refusal_for_the_same(status: int) -> None:
    """Status, the server's words, its code and the field at fault."""
    error = {"message": "That did not work.", "type": "some_error", "code": "a_code", "param": "messages"}

    def answer(body: dict[str, Any]) -> Callable[[Exchange], None]:
        return lambda exchange: exchange.reply(
            status, {"error": error}, {"x-request-id": "req_1", "x-should-retry": "false"}
        )

    with both(answer) as (client, backend):
        with pytest.raises(openai.APIStatusError) as theirs:
            client.chat.completions.create(model="gpt-test", messages=ASKED)
        with pytest.raises(AmbidexError) as ours:
            collect(backend.stream(Request(messages.from_openai(ASKED))))
    them, us = theirs.value, ours.value
    assert (us.status, us.code, us.param, us.request_id) == (them.status_code, them.code, them.param, them.request_id)
    assert them.body["message"] in str(us)
