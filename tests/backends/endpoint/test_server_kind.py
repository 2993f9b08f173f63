"""Which kind of server answers: known by its address, else asked once, and only where it makes a difference."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.servers import Exchange, serve, text

from ambidex.decoding import Sampling
from ambidex.errors import DeadlineExceeded, Unsupported
from ambidex.messages import Assistant, Message, Reasoning, ToolCall, ToolResult, User
from ambidex.request import Request
from ambidex.stream import acollect, collect
from ambidex.tools import Tool
from ambidex_backends.endpoint import EndpointBackend
from ambidex_backends.endpoint.server_kind import kind_of_server
from ambidex_backends.http.dialect import DIALECTS
from ambidex_backends.http.provider_routes import dialect_of_host
from ambidex_backends.http.routes import Routes

TOOL = Tool("f", "d", {"type": "object", "properties": {}})
PLAIN = Request(
    [User("hi")], tools=[TOOL], decoding=Sampling(0.5, top_p=0.9, seed=1), max_tokens=5, stop="x", logprobs=2
)
HELD = Request([User("hi")], output=int)

VLLM = {"id": "m", "object": "model", "created": 1730000000, "owned_by": "vllm", "max_model_len": 4096}
SGLANG = {"id": "m", "object": "model", "created": 1730000000, "owned_by": "sglang"}
LLAMACPP = {"id": "m", "object": "model", "created": 1730000000, "owned_by": "llamacpp", "meta": {"n_vocab": 5}}
OLLAMA = {"id": "qwen3:8b", "object": "model", "created": 1730000000, "owned_by": "library"}
OLLAMA_OF_SOMEONE = {"id": "ana/tuned:latest", "object": "model", "created": 1730000000, "owned_by": "ana"}
TGI = {"id": "org/m", "object": "model", "created": 0, "owned_by": "org/m"}


@contextmanager
def server(models: Any, answer: Callable[[Exchange], None] | None = None) -> Generator[tuple[str, list[Exchange]]]:
    """Lists these models, or does with that question what `answer` does; keeps what came."""
    seen: list[Exchange] = []

    def handler(exchange: Exchange) -> None:
        seen.append(exchange)
        if exchange.method == "POST":
            exchange.stream(text("1"))
        elif answer is not None:
            answer(exchange)
        else:
            exchange.reply(200, {"object": "list", "data": models})

    with serve(handler) as address:
        yield f"{address}/v1#m", seen


def methods(seen: list[Exchange]) -> list[str]:
    return [f"{exchange.method} {exchange.path}" for exchange in seen]


POST, GET = "POST /v1/chat/completions", "GET /v1/models"


def test_a_plain_chat_sends_one_post_and_nothing_else() -> None:
    history: list[Message] = [User("a"), Assistant(ToolCall("call_1", "f", {})), ToolResult("call_1", "f", "1")]
    with server([VLLM]) as (url, seen):
        backend = EndpointBackend(url)
        collect(backend.stream(PLAIN))
        collect(backend.stream(Request(history, tools=[TOOL])))
        backend.close()
    assert methods(seen) == [POST, POST]


@pytest.mark.parametrize(
    ("model", "form"),
    [
        (VLLM, "json_schema"),
        (SGLANG, "json_schema"),
        (LLAMACPP, "json_object"),
        (OLLAMA, "json_schema"),
        (TGI, "json_object"),
    ],
)
def test_the_kind_is_asked_once_where_it_matters(model: dict[str, Any], form: str) -> None:
    with server([model]) as (url, seen):
        backend = EndpointBackend(url)
        for request in (HELD, PLAIN, HELD):
            collect(backend.stream(request))
        backend.close()
    assert methods(seen) == [GET, POST, POST, POST]
    assert [exchange.json["response_format"]["type"] for exchange in (seen[1], seen[3])] == [form, form]


@pytest.mark.anyio
async def test_the_async_twin_asks_the_same() -> None:
    with server([LLAMACPP]) as (url, seen):
        backend = EndpointBackend(url)
        for _ in range(2):
            await acollect(backend.astream(HELD))
        await backend.aclose()
    assert methods(seen) == [GET, POST, POST]
    assert seen[1].json["response_format"]["type"] == "json_object"


def test_a_dialect_that_is_given_asks_nothing() -> None:
    with server([VLLM]) as (url, seen):
        backend = EndpointBackend(url, dialect="tgi")
        collect(backend.stream(HELD))
        backend.close()
    assert methods(seen) == [POST]
    assert "value" in seen[0].json["response_format"]


def test_the_question_for_the_only_model_also_tells_the_kind() -> None:
    with server([{**TGI, "id": "org/only", "owned_by": "org/only"}]) as (url, seen):
        backend = EndpointBackend(url.removesuffix("#m"))
        collect(backend.stream(HELD))
        backend.close()
    assert methods(seen) == [GET, POST]
    assert seen[1].json["model"] == "org/only"
    assert "value" in seen[1].json["response_format"]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(lambda exchange: exchange.reply(404, {"error": "no"}), id="404"),
        pytest.param(lambda exchange: exchange.reply(500, "boom"), id="500"),
        pytest.param(lambda exchange: exchange.reply(401, {"error": "no"}), id="401"),
        pytest.param(lambda exchange: exchange.reply(200, "{nonsense", kind="application/json"), id="no JSON"),
        pytest.param(lambda exchange: exchange.reply(200, {"data": "x"}), id="no list"),
        pytest.param(lambda exchange: exchange.reply(200, {"data": [1, {"id": 2}]}), id="no models"),
        pytest.param(lambda exchange: exchange.reset(), id="reset"),
    ],
)
def test_without_an_answer_the_usual_dialect_is_taken_and_the_question_rests(answer: Any) -> None:
    with server([], answer) as (url, seen):
        backend = EndpointBackend(url)
        for _ in range(2):
            assert collect(backend.stream(HELD)).text == "1"
        backend.close()
    assert methods(seen).count(GET) == 1
    assert methods(seen)[-2:] == [POST, POST]
    assert seen[-1].json["response_format"]["type"] == "json_schema"


def test_a_question_that_hangs_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ambidex_backends.http.remote.LOOKUP_SECONDS", 0.2)
    with server([], lambda exchange: exchange.hang()) as (url, _):
        backend = EndpointBackend(url)
        assert collect(backend.stream(HELD)).text == "1"
        with pytest.raises(DeadlineExceeded):
            collect(EndpointBackend(url.removesuffix("#m"), timeout=0.3, max_attempts=1).stream(PLAIN))
        backend.close()


def test_what_the_kind_does_not_take_is_refused_before_the_call() -> None:
    with server([OLLAMA]) as (url, seen):
        backend = EndpointBackend(url)
        with pytest.raises(Unsupported, match="Ollama"):
            backend.stream(Request([User("hi")], tools=[TOOL], tool_choice="required"))
        with pytest.raises(Unsupported, match="chat template"):
            backend.stream(Request(prompt="Once"))
        backend.close()
    assert methods(seen) == [GET]


def test_history_of_another_model_is_in_the_kinds_form() -> None:
    history: list[Message] = [
        User("a"),
        Assistant(Reasoning("hm"), ToolCall("functions.f:0", "f", {})),
        ToolResult("functions.f:0", "f", "1"),
    ]
    with server([SGLANG]) as (url, seen):
        backend = EndpointBackend(url)
        collect(backend.stream(Request(history, tools=[TOOL])))
        backend.close()
    answer = seen[1].json["messages"][1]
    assert answer["reasoning_content"] == "hm"
    assert answer["tool_calls"][0]["id"] == "functions.f:0" == seen[1].json["messages"][2]["tool_call_id"]


@pytest.mark.parametrize(
    ("models", "name"),
    [
        ([VLLM], "vllm"),
        ([SGLANG], "sglang"),
        ([LLAMACPP], "llamacpp"),
        ([OLLAMA], "ollama"),
        ([OLLAMA_OF_SOMEONE], "ollama"),
        ([OLLAMA_OF_SOMEONE, OLLAMA], "ollama"),
        ([TGI], "tgi"),
        ([{"id": "m", "owned_by": "ambidex"}], "ambidex"),
        ([{"id": "gpt-5", "owned_by": "openai", "created": 5}], None),
        ([{"id": "org/m", "owned_by": "org", "created": 5}], None),
        ([{"id": "m"}, None, 5], None),
        ([], None),
    ],
)
def test_kinds_by_their_list_of_models(models: list[Any], name: str | None) -> None:
    found = kind_of_server({"object": "list", "data": models})
    assert (found.name if found else None) == name


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("https://api.openai.com/v1", "openai"),
        ("https://mine.openai.azure.com/openai/v1", "openai"),
        ("https://router.huggingface.co/v1", "router"),
        ("https://router.huggingface.co/together/v1", "together"),
        ("https://router.huggingface.co/fireworks-ai/inference/v1", "fireworks-ai"),
        ("https://router.huggingface.co/hf-inference/models/org/m/v1", "hf-inference"),
        ("https://api.together.xyz/v1", "together"),
        ("https://api.groq.com/openai/v1", "groq"),
        ("https://api.cohere.com/compatibility/v1", "cohere"),
        ("https://api.openai.com.evil.test/v1", None),
        ("https://x.eu-west-1.aws.endpoints.huggingface.cloud", None),
        ("http://127.0.0.1:8000/v1", None),
    ],
)
def test_services_that_are_known_by_their_address(address: str, name: str | None) -> None:
    found = dialect_of_host(Routes.from_url(address))
    assert (found.name if found else None) == name
    assert name is None or DIALECTS[name] is found


def test_capabilities_are_those_of_the_kind() -> None:
    with server([OLLAMA]) as (url, _):
        backend = EndpointBackend(url)
        assert (backend.capabilities.prompt, backend.capabilities.tool_choice) == (True, None)
        known = backend.refresh()
        backend.close()
        assert (known.prompt, known.tool_choice, known.parallel_tool_calls, known.reasoning) == (
            False,
            False,
            False,
            None,
        )
        assert EndpointBackend(url, dialect="tgi").capabilities.reasoning is False
