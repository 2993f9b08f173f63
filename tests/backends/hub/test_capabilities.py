"""What a model's providers can do is known before the call, what it cost after it, and neither stands in the way."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.servers import Exchange, serve, text, usage

from ambidex.decoding import Sampling
from ambidex.errors import ConfigError, NotFound, Unsupported
from ambidex.messages import Audio, Image, User
from ambidex.request import Request
from ambidex.stream import acollect, collect
from ambidex.tools import Tool
from ambidex_backends.hub import HubBackend
from ambidex_backends.hub import backend as hub_backend

TOOL = Tool("f", "d", {"type": "object", "properties": {}})
PLAIN = Request([User("hi")], decoding=Sampling(0.5), max_tokens=5)
WITH_TOOLS = Request([User("hi")], tools=[TOOL])
HELD = Request([User("hi")], output=int)
BOTH = Request([User("hi")], tools=[TOOL], output=int)
PICTURE = Request([User("hi", Image(b"\x89PNG\r\n\x1a\n0", media_type="image/png"))])

FACTS_PATH, CHAT_PATH = "GET /v1/models/org/m", "POST /v1/chat/completions"


def provider(
    name: str, tools: bool | None, output: bool | None, price: tuple[float, float] | None = None, **more: Any
) -> Any:
    said = {"supports_tools": tools, "supports_structured_output": output, **more}
    prices = {} if price is None else {"pricing": {"input": price[0], "output": price[1]}}
    return {"provider": name, "status": "live", **{k: v for k, v in said.items() if v is not None}, **prices}


class Router:
    """What came, and what is answered."""

    def __init__(self, providers: list[Any], inputs: list[str] | None = None) -> None:
        self.facts: Any = {"id": "org/m", "providers": providers}
        if inputs is not None:
            self.facts["architecture"] = {"input_modalities": inputs}
        self.answer_facts: Callable[[Exchange], None] = lambda exchange: exchange.reply(200, self.facts)
        self.headers: dict[str, str] = {}
        self.counts: Any = usage(1000, 500)
        self.seen: list[Exchange] = []
        self.url = ""

    @property
    def requests(self) -> list[str]:
        return [f"{exchange.method} {exchange.path}" for exchange in self.seen]

    def handle(self, exchange: Exchange) -> None:
        self.seen.append(exchange)
        if exchange.method == "GET":
            self.answer_facts(exchange)
            return
        exchange.begin(self.headers)
        for chunk in [*text("1")[:-1], self.counts, "[DONE]"]:
            exchange.event(chunk)
        exchange.end()

    def backend(self, model: str = "org/m", **options: Any) -> HubBackend:
        return HubBackend(model, base_url=self.url, **options)


@contextmanager
def router(*providers: Any, inputs: list[str] | None = None) -> Generator[Router]:
    made = Router(list(providers), inputs)
    with serve(made.handle) as address:
        made.url = f"{address}/v1"
        yield made


def test_a_plain_chat_sends_one_post_and_nothing_else() -> None:
    with router(provider("a", False, False)) as hub:
        backend = hub.backend()
        collect(backend.stream(PLAIN))
        backend.close()
        assert hub.requests == [CHAT_PATH]
        assert backend.providers == ()


@pytest.mark.parametrize(
    ("model", "request_", "param", "says"),
    [
        ("org/m:a", WITH_TOOLS, "tools", "a calls no tools with 'org/m'. This works: org/m:b."),
        ("org/m:b", HELD, "output", "b gives no structured output with 'org/m'. This works: org/m:a."),
        (
            "org/m:a",
            BOTH,
            "tools",
            "a calls no tools with 'org/m'. org/m:b calls tools; org/m:a gives structured output.",
        ),
        ("org/m:cheapest", BOTH, "tools", "org/m:b calls tools; org/m:a gives structured output."),
    ],
)
def test_what_is_known_to_fail_is_not_sent_and_the_error_names_who_can(
    model: str, request_: Request, param: str, says: str
) -> None:
    with router(provider("a", False, True), provider("b", True, False)) as hub:
        backend = hub.backend(model)
        with pytest.raises(Unsupported) as caught:
            backend.stream(request_)
        backend.close()
        assert says in str(caught.value)
        assert caught.value.param == param
        assert hub.requests == [FACTS_PATH]


@pytest.mark.anyio
async def test_the_async_twin_refuses_the_same() -> None:
    with router(provider("a", False, True), provider("b", True, False)) as hub:
        backend = hub.backend("org/m:a")
        with pytest.raises(Unsupported, match="org/m:b"):
            await acollect(backend.astream(WITH_TOOLS))
        await backend.aclose()
        assert hub.requests == [FACTS_PATH]


def test_no_provider_at_all() -> None:
    with router(provider("a", False, False), provider("b", False, None)) as hub:
        backend = hub.backend()
        with pytest.raises(Unsupported, match="No provider calls tools with 'org/m'"):
            backend.stream(WITH_TOOLS)
        assert collect(backend.stream(HELD)).value == 1  # of b it is not known
        backend.close()
        assert hub.requests == [FACTS_PATH, CHAT_PATH]


@pytest.mark.parametrize(
    ("model", "providers"),
    [
        ("org/m", [provider("a", False, False), provider("b", True, None)]),
        ("org/m:c", [provider("a", False, False)]),
        ("org/m:a", [provider("a", None, None)]),
        ("org/m:a", [provider("a", False, False, status="error")]),
        ("org/m", []),
    ],
)
def test_what_may_work_is_sent(model: str, providers: list[Any]) -> None:
    with router(*providers) as hub:
        backend = hub.backend(model)
        collect(backend.stream(WITH_TOOLS))
        backend.close()
        assert hub.requests == [FACTS_PATH, CHAT_PATH]


def test_pictures_and_sound() -> None:
    sound = Request([User(Audio(b"RIFF0000WAVE", media_type="audio/wav"))])
    with router(provider("a", True, True), inputs=["text", "image"]) as hub:
        backend = hub.backend()
        collect(backend.stream(PICTURE))
        with pytest.raises(Unsupported, match="no sound"):
            backend.stream(sound)
        backend.close()
        assert hub.requests == [FACTS_PATH, CHAT_PATH]
        assert (backend.capabilities.images, backend.capabilities.audio) == (True, False)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(lambda exchange: exchange.reply(404, {"error": "no"}), id="404"),
        pytest.param(lambda exchange: exchange.reply(429, {"error": "slow"}, {"retry-after": "30"}), id="429"),
        pytest.param(lambda exchange: exchange.reply(200, "{nonsense", kind="application/json"), id="no JSON"),
        pytest.param(lambda exchange: exchange.reply(200, {"providers": 1}), id="no providers"),
        pytest.param(lambda exchange: exchange.reply(200, {"providers": [1, {}, {"provider": 2}]}), id="nonsense"),
        pytest.param(lambda exchange: exchange.reset(), id="reset"),
    ],
)
def test_a_look_up_without_an_answer_never_blocks(answer: Any) -> None:
    with router() as hub:
        hub.answer_facts = answer
        backend = hub.backend()
        for _ in range(2):
            assert collect(backend.stream(WITH_TOOLS)).text == "1"
        backend.close()
        assert hub.requests.count(FACTS_PATH) == 1
        assert hub.requests[-2:] == [CHAT_PATH, CHAT_PATH]


def test_a_look_up_that_hangs_never_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ambidex_backends.http.remote.LOOKUP_SECONDS", 0.2)
    with router() as hub:
        hub.answer_facts = lambda exchange: exchange.hang()
        backend = hub.backend()
        assert collect(backend.stream(WITH_TOOLS)).text == "1"
        backend.close()


def test_facts_are_kept_for_a_time_and_refreshed_when_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with router(provider("a", True, True)) as hub:
        backend = hub.backend()
        for _ in range(3):
            collect(backend.stream(WITH_TOOLS))
        assert hub.requests.count(FACTS_PATH) == 1
        hub.facts["providers"] = [provider("a", False, True)]
        assert backend.refresh().tools is False
        with pytest.raises(Unsupported):
            backend.stream(WITH_TOOLS)
        backend.close()
        monkeypatch.setattr(hub_backend, "FACTS_SECONDS", 0.05)
        hasty = hub.backend()
        for asked in (1, 2):
            with pytest.raises(Unsupported):
                hasty.stream(WITH_TOOLS)
            time.sleep(0.06)
            assert hub.requests.count(FACTS_PATH) == 2 + asked
        hasty.close()


def test_context_and_prices_per_provider() -> None:
    providers = [
        provider("a", True, None, (0.15, 0.6), context_length=131072),
        provider("b", None, None, is_free=True, status="error"),
    ]
    with router(*providers) as hub:
        backend = hub.backend()
        backend.refresh()
        backend.close()
        a, b = backend.providers
        assert (a.provider, a.is_live, a.context_length, a.input_price, a.output_price) == (
            "a",
            True,
            131072,
            0.15,
            0.6,
        )
        assert (a.tools, a.output) == (True, None)
        assert (b.is_live, b.context_length, b.input_price, b.output_price) == (False, None, 0.0, 0.0)


# Costs.

CHEAP, DEAR = (0.1, 0.4), (1.0, 4.0)


@pytest.mark.parametrize(
    ("model", "prices", "answered_by", "cost"),
    [
        ("org/m:a", [CHEAP, DEAR], None, 0.0003),
        ("org/m:b", [CHEAP, DEAR], None, 0.003),
        ("org/m", [CHEAP, DEAR], None, None),
        ("org/m", [CHEAP, CHEAP], None, 0.0003),
        ("org/m:cheapest", [CHEAP, DEAR], "b", 0.003),
        ("org/m", [CHEAP, None], None, None),
        ("org/m", [CHEAP, None], "a", 0.0003),
        ("org/m", [CHEAP, DEAR], "c", None),
        ("org/m:c", [CHEAP, DEAR], None, None),
    ],
)
def test_costs_by_the_routers_prices(
    model: str, prices: list[tuple[float, float] | None], answered_by: str | None, cost: float | None
) -> None:
    with router(*(provider(name, True, True, price) for name, price in zip("ab", prices, strict=True))) as hub:
        hub.headers = {} if answered_by is None else {"x-inference-provider": answered_by}
        backend = hub.backend(model)
        assert collect(backend.stream(PLAIN)).usage.cost is None  # nothing was looked up
        backend.refresh()
        found = collect(backend.stream(PLAIN)).usage.cost
        backend.close()
        assert found == (None if cost is None else pytest.approx(cost))


@pytest.mark.parametrize(
    "counts", [{"prompt_tokens": 1000}, {"completion_tokens": 5}, {}, {"prompt_tokens": "7", "completion_tokens": 2}]
)
def test_no_cost_without_both_counts(counts: dict[str, Any]) -> None:
    with router(provider("a", True, True, CHEAP)) as hub:
        hub.counts = {"choices": [], "usage": counts}
        backend = hub.backend()
        backend.refresh()
        assert collect(backend.stream(PLAIN)).usage.cost is None
        backend.close()


@pytest.mark.parametrize(
    ("said", "cost"),
    [
        ({"cost": 0.5}, 0.5),
        ({"estimated_cost": 0.25}, 0.25),
        ({"cost": {"total_cost": 0.125}}, 0.125),
        ({"cost": 0}, 0.0),
        ({"cost": -1}, 0.0003),
        ({"cost": "much"}, 0.0003),
    ],
)
def test_the_servers_own_figure_comes_first(said: dict[str, Any], cost: float) -> None:
    with router(provider("a", True, True, CHEAP)) as hub:
        hub.counts = {"choices": [], "usage": {"prompt_tokens": 1000, "completion_tokens": 500, **said}}
        backend = hub.backend()
        backend.refresh()
        assert collect(backend.stream(PLAIN)).usage.cost == pytest.approx(cost)
        backend.close()


# A provider's own route.


@pytest.mark.parametrize(
    ("name", "path", "form"),
    [
        ("together", "/together/v1/chat/completions", {"type": "json_schema", "schema": {"type": "integer"}}),
        (
            "fireworks-ai",
            "/fireworks-ai/inference/v1/chat/completions",
            {"type": "json_object", "schema": {"type": "integer"}},
        ),
        ("cohere", "/cohere/compatibility/v1/chat/completions", {"type": "json_object", "schema": {"type": "integer"}}),
        ("groq", "/groq/openai/v1/chat/completions", None),
        ("novita", "/novita/v3/openai/chat/completions", None),
        ("deepinfra", "/deepinfra/v1/openai/chat/completions", None),
        ("zai-org", "/zai-org/api/paas/v4/chat/completions", None),
        ("cerebras", "/cerebras/v1/chat/completions", None),
        (
            "hf-inference",
            "/hf-inference/models/own/name/v1/chat/completions",
            {"type": "json_object", "value": {"type": "integer"}},
        ),
    ],
)
def test_a_provider_asked_directly(
    monkeypatch: pytest.MonkeyPatch, name: str, path: str, form: dict[str, Any] | None
) -> None:
    mapping = {
        "inferenceProviderMapping": {name: {"status": "live", "providerId": "own/name", "task": "conversational"}}
    }
    with router() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url.removesuffix("/v1"))
        hub.answer_facts = lambda exchange: exchange.reply(200, mapping if "/api/" in exchange.path else hub.facts)
        backend = hub.backend(f"org/m:{name}", direct=True, headers={"X-Mine": "yes"})
        for _ in range(2):
            collect(backend.stream(HELD))
        backend.close()
        posted = [exchange for exchange in hub.seen if exchange.method == "POST"]
        assert [exchange.path for exchange in posted] == [path, path]
        openai_form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "integer"}}}
        assert posted[0].json["response_format"] == (form or openai_form)
        assert posted[0].json["model"] == "own/name"
        assert posted[0].headers["x-mine"] == "yes"
        assert ("x-source-channel" in posted[0].headers) is (name == "zai-org")
        assert sum("/api/models/" in exchange.path for exchange in hub.seen) == 1


def test_directly_needs_a_provider_that_serves_chats(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="direct="):
        HubBackend("org/m:cheapest", direct=True)
    mapping = {"inferenceProviderMapping": {"groq": {"status": "live", "providerId": "g", "task": "text-generation"}}}
    with router() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url.removesuffix("/v1"))
        hub.answer_facts = lambda exchange: exchange.reply(200, mapping)
        for name, kind in (("groq", Unsupported), ("together", NotFound)):
            backend = hub.backend(f"org/m:{name}", direct=True)
            with pytest.raises(kind):
                collect(backend.stream(PLAIN))
            backend.close()
        assert not [exchange for exchange in hub.seen if exchange.method == "POST"]


def test_more_headers_are_checked_and_secret() -> None:
    for headers in ({"authorization": "x"}, {"bad name": "x"}, {"x": "a\nb"}):
        with pytest.raises(ConfigError):
            HubBackend("org/m", headers=headers)
    with pytest.raises(ConfigError, match="plain http"):
        HubBackend("org/m", base_url="http://router.example.test/v1", headers={"x-mine": "CANARY"})
    assert "CANARY" not in repr(vars(HubBackend("org/m", headers={"x-mine": "CANARY"})))
