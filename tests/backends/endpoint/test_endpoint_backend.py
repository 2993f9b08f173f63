"""`EndpointBackend`: addresses, keys, the model that is asked, raw prompts."""

from __future__ import annotations

from typing import Any

import pytest
from tests.servers import Exchange, chat_server, serve, text

from ambidex import errors
from ambidex.messages import User
from ambidex.request import Request
from ambidex.stream import acollect, collect
from ambidex_backends.endpoint import EndpointBackend

HI = Request([User("hi")])
KEY = "sk-CANARYcanary1234"


def exchanges(backend_options: dict[str, Any], request: Request = HI, *, suffix: str = "/v1#m") -> list[Exchange]:
    """What the server saw of one request."""
    seen: list[Exchange] = []

    def handler(exchange: Exchange) -> None:
        seen.append(exchange)
        exchange.stream(text("a"))

    with serve(handler) as address:
        backend = EndpointBackend(address + suffix, **backend_options)
        assert collect(backend.stream(request)).text == "a"
        backend.close()
    return seen


def test_the_key_and_more_headers() -> None:
    (seen,) = exchanges({"api_key": f"{KEY}\n", "headers": {"X-Api-Key": "more"}})
    assert seen.headers["authorization"] == f"Bearer {KEY}"
    assert seen.headers["x-api-key"] == "more"
    assert seen.headers["content-type"] == "application/json"


def test_the_key_of_the_environment_is_ours_only(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "HF_TOKEN"):
        monkeypatch.setenv(name, KEY)
    assert "authorization" not in exchanges({})[0].headers
    monkeypatch.setenv("AMBIDEX_API_KEY", KEY)
    assert exchanges({})[0].headers["authorization"] == f"Bearer {KEY}"
    assert exchanges({"api_key": "other"})[0].headers["authorization"] == "Bearer other"


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert len(exchanges({})) == 1


@pytest.mark.parametrize(
    ("suffix", "path"),
    [
        ("/v1#m", "/v1/chat/completions"),
        ("#m", "/v1/chat/completions"),
        ("/deep#m", "/deep/v1/chat/completions"),
        ("/x/chat/completions?v=1#m", "/x/chat/completions?v=1"),
    ],
)
def test_paths(suffix: str, path: str) -> None:
    assert exchanges({}, suffix=suffix)[0].path == path


def test_a_key_does_not_travel_in_the_clear_unless_told_so() -> None:
    ways: list[dict[str, Any]] = [{"api_key": KEY}, {"headers": {"x-api-key": KEY}}]
    for options in ways:
        with pytest.raises(errors.ConfigError, match="insecure=True") as caught:
            EndpointBackend("http://10.0.0.5/v1#m", **options)
        assert KEY not in str(caught.value)
    EndpointBackend("http://10.0.0.5/v1#m", api_key=KEY, insecure=True)
    EndpointBackend("http://10.0.0.5/v1#m")


@pytest.mark.parametrize(
    "options",
    [
        {"url": "localhost/v1"},
        {"url": "http://h/v1#a", "model": "b"},
        {"url": "http://h/v1#a", "dialect": "klingon"},
        {"url": "http://h/v1#a", "headers": {"authorization": "x"}},
        {"url": "http://h/v1#a", "headers": {"bad name": "x"}},
        {"url": "http://localhost/v1#a", "headers": {"x": "a\nb"}},
        {"url": "http://localhost/v1#a", "api_key": ""},
        {"url": "http://localhost/v1#a", "keys": "x"},
        {"url": "http://localhost/v1#a", "timeout": -1},
        {},
    ],
)
def test_wrong_options(options: dict[str, Any]) -> None:
    with pytest.raises(errors.ConfigError):
        EndpointBackend(**options)


def test_the_only_model_is_asked_when_none_is_named() -> None:
    asked: list[str] = []

    def script(body: dict[str, Any]) -> Any:
        asked.append(body["model"])
        return text("a")

    with chat_server(script, models=("org/only",)) as url:
        backend = EndpointBackend(url)
        for _ in range(2):
            collect(backend.stream(HI))
        backend.close()
    assert asked == ["org/only"] * 2


@pytest.mark.anyio
async def test_the_only_model_is_asked_in_the_async_world() -> None:
    with chat_server(lambda body: text(body["model"]), models=("org/only",)) as url:
        backend = EndpointBackend(url)
        assert (await acollect(backend.astream(HI))).text == "org/only"
        await backend.aclose()


@pytest.mark.parametrize(("models", "listed"), [(("a", "b"), "a, b"), ((), "none")])
def test_several_models_are_listed(models: tuple[str, ...], listed: str) -> None:
    with chat_server(lambda body: text("a"), models=models) as url:
        backend = EndpointBackend(url)
        with pytest.raises(errors.ConfigError, match=listed):
            collect(backend.stream(HI))
        backend.close()


def test_a_model_named_by_option_or_behind_the_hash() -> None:
    assert exchanges({"model": "org/x"}, suffix="/v1")[0].json["model"] == "org/x"
    assert exchanges({}, suffix="/v1#org/x%20y")[0].json["model"] == "org/x y"


def test_refresh_reads_the_context_length() -> None:
    def handler(exchange: Exchange) -> None:
        exchange.reply(200, {"data": [{"id": "other"}, {"id": "m", "max_model_len": 4096}]})

    with serve(handler) as address:
        backend = EndpointBackend(f"{address}/v1#m")
        assert backend.capabilities.context_length is None
        assert backend.refresh().context_length == 4096
        backend.close()


def test_raw_prompts() -> None:
    (seen,) = exchanges({"dialect": "vllm"}, Request(prompt="Once", max_tokens=3, logprobs=1))
    assert seen.path == "/v1/completions"
    assert seen.json["prompt"] == "Once"
    assert seen.json["logprobs"] == 1


def test_what_is_refused_is_never_sent() -> None:
    seen: list[Exchange] = []
    with serve(seen.append) as address:
        backend = EndpointBackend(f"{address}/v1#m")
        with pytest.raises(errors.Unsupported):
            backend.stream(Request([User("hi")], n=2))
        backend.close()
    assert seen == []


def test_repr_holds_no_key() -> None:
    assert KEY not in repr(EndpointBackend("https://h.test/v1?k=v#m", api_key=KEY, headers={"x-api-key": KEY}))


def test_old_servers_that_send_only_done() -> None:
    with chat_server(lambda body: [{"choices": [{"index": 0, "delta": {"content": "a"}}]}]) as url:
        strict, lenient = EndpointBackend(f"{url}#m"), EndpointBackend(f"{url}#m", done_is_enough=True)
        with pytest.raises(errors.IncompleteResponse):
            collect(strict.stream(HI))
        assert collect(lenient.stream(HI)).text == "a"
        strict.close()
        lenient.close()
    with pytest.raises(errors.ConfigError, match="done_is_enough"):
        EndpointBackend("http://127.0.0.1/v1#m", done_is_enough=1)  # type: ignore[arg-type]  # the mistake
