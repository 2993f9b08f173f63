"""`HubBackend`: what it sends where, whose token goes with it, and what the router's answers become."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import respx
from tests.servers import Exchange, chat_server, serve, text

from ambidex import Chat, errors
from ambidex.backend import Retrying
from ambidex.decoding import Sampling
from ambidex.messages import User
from ambidex.request import Request
from ambidex.stream import acollect, collect
from ambidex_backends.hub import HubBackend

ROUTER = "https://router.huggingface.co/v1/chat/completions"
HI = Request([User("hi")])
KEY = "hf_CANARYcanary1234"


def sse(*items: Any) -> httpx.Response:
    body = "".join(f"data: {json.dumps(item)}\n\n" for item in items) + "data: [DONE]\n\n"
    return httpx.Response(200, text=body, headers={"content-type": "text/event-stream", "x-request-id": "req-1"})


@pytest.fixture
def router() -> Iterator[respx.MockRouter]:
    with respx.mock(assert_all_called=False) as mocked:
        yield mocked


def sent(route: respx.Route, number: int = 0) -> tuple[Any, httpx.Headers]:
    request = route.calls[number].request
    return json.loads(request.content), request.headers


def test_the_request_on_the_routers_wire(router: respx.MockRouter) -> None:
    route = router.post(ROUTER).mock(return_value=sse(*text("Hello")))
    backend = HubBackend("openai/gpt-oss-120b:cheapest", token=KEY, bill_to="my-org")
    reply = collect(backend.stream(Request([User("hi")], decoding=Sampling(0.5), reasoning="low")))
    backend.close()
    body, headers = sent(route)
    assert body == {
        "model": "openai/gpt-oss-120b:cheapest",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "reasoning_effort": "low",
        "temperature": 0.5,
    }
    assert headers["authorization"] == f"Bearer {KEY}"
    assert headers["x-hf-bill-to"] == "my-org"
    assert headers["accept"] == "text/event-stream"
    assert headers["accept-encoding"] == "identity"
    assert (reply.text, reply.request_id) == ("Hello", "req-1")


@pytest.mark.anyio
async def test_the_async_twin_sends_the_same(router: respx.MockRouter) -> None:
    route = router.post(ROUTER).mock(return_value=sse(*text("Hello")))
    backend = HubBackend("org/m", token=KEY)
    collect(backend.stream(HI))
    assert (await acollect(backend.astream(HI))).text == "Hello"
    await backend.aclose()
    assert sent(route, 0)[0] == sent(route, 1)[0]
    assert sent(route, 0)[1] == sent(route, 1)[1]


def test_the_token_of_the_environment_goes_to_hugging_face_only(
    router: respx.MockRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", KEY)
    for base_url, expected in [
        (None, True),
        ("https://eu.router.huggingface.co/v1", True),
        ("http://127.0.0.1:9/v1", True),
        ("https://router.example.test/v1", False),
        ("https://huggingface.co.evil.test/v1", False),
        ("https://evilhuggingface.co/v1", False),
        ("http://router.huggingface.co/v1", False),
    ]:
        route = router.post(f"{base_url}/chat/completions" if base_url else ROUTER).mock(return_value=sse(*text("a")))
        backend = HubBackend("org/m", base_url=base_url)
        collect(backend.stream(HI))
        backend.close()
        assert ("authorization" in sent(route)[1]) is expected, base_url


def test_the_address_from_the_environment(router: respx.MockRouter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMBIDEX_HF_BASE_URL", "http://127.0.0.1:9/v1")
    router.post("http://127.0.0.1:9/v1/chat/completions").mock(return_value=sse(*text("a")))
    backend = HubBackend("org/m")
    assert collect(backend.stream(HI)).text == "a"
    backend.close()


def test_a_token_given_explicitly_goes_where_it_is_told_but_not_in_the_clear(router: respx.MockRouter) -> None:
    route = router.post("https://router.example.test/v1/chat/completions").mock(return_value=sse(*text("a")))
    backend = HubBackend("org/m", base_url="https://router.example.test/v1", token=KEY)
    collect(backend.stream(HI))
    backend.close()
    assert sent(route)[1]["authorization"] == f"Bearer {KEY}"
    with pytest.raises(errors.ConfigError, match="plain http"):
        HubBackend("org/m", base_url="http://router.example.test/v1", token=KEY)


def test_no_token_says_how_to_get_one() -> None:
    with pytest.raises(errors.AuthenticationError, match="HF_TOKEN"):
        HubBackend("org/m").stream(HI)


def test_offline_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(errors.ConfigError, match="HF_HUB_OFFLINE"):
        HubBackend("org/m", token=KEY).stream(HI)


@pytest.mark.parametrize("model", ["", "a/b/c", "org/m:", "org/m:a:b", "org m", "../m?x", "org/m#x"])
def test_model_names(model: str) -> None:
    with pytest.raises(errors.ConfigError, match="org/name"):
        HubBackend(model)


def test_options_are_checked_and_suggested() -> None:
    wrong: list[dict[str, Any]] = [
        {"tokn": KEY},
        {"timeout": 0},
        {"idle_timeout": float("nan")},
        {"token": "a\nb"},
        {"bill_to": "a\r\nx: y"},
    ]
    for options in wrong:
        with pytest.raises(errors.ConfigError) as caught:
            HubBackend("org/m", **options)
        assert KEY not in str(caught.value)
    with pytest.raises(errors.ConfigError, match="token"):
        HubBackend("org/m", tokn=KEY)  # type: ignore[call-arg]  # the mistake this is about


@pytest.mark.parametrize(
    ("status", "headers", "body", "kind"),
    [
        (401, {}, {"error": "Invalid username or password."}, errors.AuthenticationError),
        (402, {}, {"error": "You have exceeded your monthly included credits"}, errors.QuotaExceeded),
        (429, {"ratelimit": '"api";r=0;t=55'}, {"error": "slow"}, errors.RateLimited),
        (503, {}, {"error": "Model org/m is currently loading", "estimated_time": 20}, errors.ModelLoading),
    ],
)
def test_refusals(
    router: respx.MockRouter, status: int, headers: dict[str, str], body: Any, kind: type[errors.APIError]
) -> None:
    router.post(ROUTER).mock(return_value=httpx.Response(status, json=body, headers={"x-request-id": "r-9", **headers}))
    backend = HubBackend("org/m:groq", token=KEY, max_attempts=1)
    with pytest.raises(kind) as caught:
        collect(backend.stream(HI))
    backend.close()
    assert body["error"].rstrip(".") in str(caught.value)
    assert (caught.value.status, caught.value.request_id, caught.value.provider) == (status, "r-9", "groq")
    if status == 429:
        assert caught.value.retry_after == 55


def test_refresh_tells_what_the_pinned_provider_can_do(router: respx.MockRouter) -> None:
    providers = [
        {"provider": "a", "status": "live", "context_length": 1000, "supports_tools": False},
        {
            "provider": "b",
            "status": "live",
            "context_length": 4000,
            "supports_tools": True,
            "supports_structured_output": True,
        },
        {"provider": "c", "status": "error", "context_length": 1},
    ]
    about = {"id": "org/m", "architecture": {"input_modalities": ["text", "image"]}, "providers": providers}
    router.get("https://router.huggingface.co/v1/models/org/m").mock(return_value=httpx.Response(200, json=about))
    anyone, pinned = HubBackend("org/m", token=KEY), HubBackend("org/m:a", token=KEY)
    assert anyone.capabilities.tools is None
    known = anyone.refresh()
    assert (known.tools, known.output, known.images, known.context_length) == (True, True, True, 1000)
    assert anyone.capabilities is known
    known = pinned.refresh()
    assert (known.tools, known.output, known.context_length) == (False, None, 1000)
    anyone.close()
    pinned.close()


# Raw prompts.

MAPPING = {
    "inferenceProviderMapping": {
        "groq": {"status": "live", "providerId": "g/m", "task": "conversational"},
        "together": {"status": "live", "providerId": "t/m", "task": "text-generation"},
        "hf-inference": {"status": "live", "providerId": "org/m", "task": "text-generation"},
    }
}


@pytest.fixture
def hub(router: respx.MockRouter) -> respx.Route:
    return router.get("https://huggingface.co/api/models/org/m").mock(return_value=httpx.Response(200, json=MAPPING))


@pytest.mark.parametrize("model", ["org/m", "org/m:together", "org/m:cheapest"])
def test_raw_prompts_go_to_a_provider_with_the_route(router: respx.MockRouter, hub: respx.Route, model: str) -> None:
    ended = {"choices": [{"text": " time", "finish_reason": "length"}]}
    route = router.post("https://router.huggingface.co/together/v1/completions").mock(return_value=sse(ended))
    backend = HubBackend(model, token=KEY)
    replies = [collect(backend.stream(Request(prompt="Once upon a", max_tokens=1))) for _ in range(2)]
    backend.close()
    assert [(reply.text, reply.finish_reason) for reply in replies] == [(" time", "length")] * 2
    body, headers = sent(route)
    assert (body["model"], body["prompt"], body["max_tokens"]) == ("t/m", "Once upon a", 1)
    assert headers["authorization"] == f"Bearer {KEY}"
    assert hub.call_count == 1  # asked once
    assert "inferenceProviderMapping" in str(hub.calls[0].request.url)


def test_raw_prompts_on_hf_inference(router: respx.MockRouter, hub: respx.Route) -> None:
    tokens = [
        {"index": 1, "token": {"id": 5, "text": "a", "logprob": -0.5, "special": False}, "generated_text": None},
        {
            "index": 2,
            "token": {"id": 2, "text": "</s>", "logprob": -0.1, "special": True},
            "generated_text": "a",
            "details": {"finish_reason": "eos_token", "generated_tokens": 2},
        },
    ]
    url = "https://router.huggingface.co/hf-inference/models/org/m"
    route = router.post(url).mock(return_value=sse(*tokens))
    backend = HubBackend("org/m:hf-inference", token=KEY)
    reply = collect(backend.stream(Request(prompt="x", decoding=Sampling(0.7, top_k=5), stop="\n", logprobs=0)))
    backend.close()
    assert sent(route)[0] == {
        "inputs": "x",
        "parameters": {
            "return_full_text": False,
            "details": True,
            "do_sample": True,
            "temperature": 0.7,
            "top_k": 5,
            "stop": ["\n"],
        },
        "stream": True,
    }
    assert (reply.text, reply.finish_reason, reply.usage.output_tokens) == ("a", "stop", 2)
    assert reply.logprobs is not None
    assert [(score.id, score.logprob) for score in reply.logprobs] == [(5, -0.5), (2, -0.1)]


def test_raw_prompts_where_nobody_takes_them(hub: respx.Route) -> None:
    backend = HubBackend("org/m:groq", token=KEY)
    with pytest.raises(errors.Unsupported, match="org/m:together"):
        collect(backend.stream(Request(prompt="x")))
    backend.close()
    backend = HubBackend("org/m:cerebras", token=KEY)
    with pytest.raises(errors.NotFound, match="does not serve"):
        collect(backend.stream(Request(prompt="x")))
    backend.close()


# What is seen from outside.


def test_observers_see_the_request_every_event_retries_and_the_error() -> None:
    def script(body: dict[str, Any]) -> Any:
        asked = body["messages"][0]["content"]
        return text("a") if asked == "hi" else lambda exchange: exchange.reply(500, {"error": "no"})

    seen: list[Any] = []
    with chat_server(script) as url:
        backend = HubBackend("org/m", base_url=url, observe=seen.append, max_attempts=2)
        events = list(backend.stream(HI))
        assert seen == [HI, *events]
        seen.clear()
        with pytest.raises(errors.ServerError) as caught:
            collect(backend.stream(Request([User("bad")])))
        assert [type(item) for item in seen[1:]] == [Retrying, errors.ServerError]
        assert seen[-1] is caught.value
        backend.close()


def frames_to_send(monkeypatch: pytest.MonkeyPatch, act: Any) -> int:
    """Frames of ours on the stack when httpx is called."""
    counts: list[int] = []
    send = httpx.Client.send

    def counting(self: httpx.Client, *args: Any, **options: Any) -> httpx.Response:
        frame, count = sys._getframe(1), 0
        while frame is not None:
            count += frame.f_globals.get("__name__", "").split(".")[0] in ("ambidex", "ambidex_backends")
            frame = frame.f_back  # type: ignore[assignment]  # None at the bottom, which ends the loop
        counts.append(count)
        return send(self, *args, **options)

    monkeypatch.setattr(httpx.Client, "send", counting)
    act()
    return max(counts)


def test_few_frames_of_ours_on_the_way_to_httpx(monkeypatch: pytest.MonkeyPatch) -> None:
    with chat_server(lambda body: text("a")) as url:
        backend = HubBackend("org/m", base_url=url)
        assert frames_to_send(monkeypatch, lambda: collect(backend.stream(HI))) <= 3
        assert frames_to_send(monkeypatch, lambda: Chat(backend).ask("hi")) <= 4
        assert frames_to_send(monkeypatch, lambda: list(Chat(backend).stream("hi"))) <= 4
        backend.close()


def test_repr_names_the_model_and_no_key() -> None:
    shown = repr(HubBackend("org/m:groq", token=KEY))
    assert "org/m:groq" in shown
    assert KEY not in shown


def test_count_is_unknown() -> None:
    assert HubBackend("org/m").count(HI) is None


def test_metadata_that_is_no_json_is_refused() -> None:
    def handler(exchange: Exchange) -> None:
        exchange.reply(200, "{nonsense", kind="application/json")

    with serve(handler) as url:
        backend = HubBackend("org/m", base_url=f"{url}/v1")
        with pytest.raises(errors.MalformedResponse):
            backend.refresh()
        backend.close()
