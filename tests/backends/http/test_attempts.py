"""Tried again on real sockets: what helps is repeated, nothing after the first event, all within one deadline."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.servers import Behaviour, Exchange, chat_server, chunk, text

from ambidex import errors
from ambidex.backend import Retrying
from ambidex.events import Finished
from ambidex.messages import User
from ambidex.reply import Reply
from ambidex.request import Request
from ambidex.stream import acollect, collect
from ambidex.testing.faults import FaultServer
from ambidex_backends.endpoint import EndpointBackend
from ambidex_backends.http.retry import Backoff

HI = Request([User("hi")], timeout=30)
Ask = Callable[..., Reply[Any]]


@pytest.fixture(autouse=True)
def short_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """The waits that we choose ourselves are a tenth; what a server asks for is not."""
    monkeypatch.setattr("ambidex_backends.http.retry.TRANSIENT", Backoff(0.05, 0.8, 0.0))
    monkeypatch.setattr("ambidex_backends.http.retry.THROTTLED", Backoff(0.1, 3.0, 0.5))


@pytest.fixture(params=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Ask:
    def sync(url: str, asked: Request = HI, **options: Any) -> Reply[Any]:
        backend = EndpointBackend(f"{url}#m", **options)
        try:
            return collect(backend.stream(asked))
        finally:
            backend.close()

    async def wait(url: str, asked: Request = HI, **options: Any) -> Reply[Any]:
        backend = EndpointBackend(f"{url}#m", **options)
        try:
            return await acollect(backend.astream(asked))
        finally:
            await backend.aclose()

    return sync if request.param == "sync" else lambda *args, **options: asyncio.run(wait(*args, **options))


class Server:
    """Answers the n-th request with the n-th behaviour, and all after the last with an answer."""

    def __init__(self, *behaviours: Behaviour) -> None:
        self.times: list[float] = []
        self._behaviours = list(behaviours)

    def __call__(self, body: dict[str, Any]) -> Any:
        self.times.append(time.monotonic())
        return self._behaviours.pop(0) if self._behaviours else text("fine")

    @property
    def gaps(self) -> list[float]:
        return [later - earlier for earlier, later in zip(self.times, self.times[1:], strict=False)]

    @contextmanager
    def running(self) -> Generator[str]:
        with chat_server(self) as url:
            yield url


def refuses(status: int, body: Any = None, **headers: str) -> Behaviour:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda exchange: exchange.reply(status, body or {"error": "no"}, named)


def streams(*events: Any, end: Callable[[Exchange], None] = Exchange.end) -> Behaviour:
    def behaviour(exchange: Exchange) -> None:
        exchange.begin()
        for event in events:
            exchange.event(event)
        end(exchange)

    return behaviour


ROLE = chunk({"role": "assistant", "content": ""})


@pytest.mark.parametrize(
    "trouble",
    [
        refuses(500),
        refuses(502, "<html>bad gateway</html>"),
        refuses(503),
        refuses(529, {"error": "overloaded"}),
        refuses(429),
        refuses(408),
        refuses(409),
        refuses(424),
        Exchange.close,
        Exchange.reset,
        streams(ROLE),
        streams(ROLE, end=Exchange.reset),
        streams(ROLE, {"error": {"message": "overloaded", "http_status_code": 503}}),
        streams({"error": "Model is overloaded", "error_type": "overloaded"}),
        streams("{broken"),
    ],
)
def test_what_may_pass_is_tried_again(ask: Ask, trouble: Behaviour) -> None:
    server = Server(trouble)
    with server.running() as url:
        assert ask(url).text == "fine"
    assert len(server.times) == 2


@pytest.mark.parametrize(
    ("trouble", "kind"),
    [
        (refuses(400), errors.InvalidRequest),
        (refuses(401), errors.AuthenticationError),
        (refuses(402), errors.QuotaExceeded),
        (refuses(404), errors.NotFound),
        (refuses(429, {"error": {"message": "no", "code": "insufficient_quota"}}), errors.QuotaExceeded),
        (refuses(500, x_should_retry="false"), errors.ServerError),
        (refuses(429, retry_after="3600"), errors.RateLimited),
        (refuses(307, location="/elsewhere"), errors.RedirectBlocked),
        (streams(ROLE, "[DONE]"), errors.IncompleteResponse),
        (streams(chunk({"content": "half"})), errors.IncompleteResponse),
        (streams(chunk({"content": "half"}), end=Exchange.reset), errors.StreamInterrupted),
        (streams(chunk({"content": "half"}), {"error": "overloaded"}), errors.APIError),
    ],
)
def test_what_does_not_pass_or_has_begun_is_not(ask: Ask, trouble: Behaviour, kind: type[errors.AmbidexError]) -> None:
    server = Server(trouble)
    with server.running() as url, pytest.raises(kind) as caught:
        ask(url)
    assert len(server.times) == caught.value.attempts == 1


def test_the_server_may_say_that_it_helps(ask: Ask) -> None:
    server = Server(refuses(400, x_should_retry="true"))
    with server.running() as url:
        assert ask(url).text == "fine"


def test_three_tries_then_the_last_error_that_knows_their_number(ask: Ask) -> None:
    server = Server(refuses(500), refuses(500), refuses(502, {"error": "third"}), refuses(500))
    with server.running() as url, pytest.raises(errors.ServerError, match="third") as caught:
        ask(url)
    assert len(server.times) == caught.value.attempts == 3


def test_what_may_have_been_billed_is_tried_once_more_only(ask: Ask) -> None:
    server = Server(Exchange.close, Exchange.close, Exchange.close)
    with server.running() as url, pytest.raises(errors.TransportError) as caught:
        ask(url)
    assert len(server.times) == caught.value.attempts == 2


@pytest.mark.parametrize(
    ("headers", "least", "most"),
    [
        ({"retry_after": "1"}, 1.0, 1.5),
        ({"retry_after_ms": "250"}, 0.25, 0.6),
        ({"ratelimit": '"api";r=0;t=1'}, 1.0, 1.5),
    ],
)
def test_a_servers_delay_is_kept(ask: Ask, headers: dict[str, str], least: float, most: float) -> None:
    server = Server(refuses(429, **headers))
    with server.running() as url:
        assert ask(url).text == "fine"
    assert least <= server.gaps[0] < most + 1.0  # a busy machine is late


def test_a_loading_model_is_waited_for(ask: Ask) -> None:
    server = Server(refuses(503, {"error": "Model m is currently loading", "estimated_time": 0.3}))
    with server.running() as url:
        assert ask(url).text == "fine"
    assert server.gaps[0] >= 0.3


def test_a_delay_that_the_deadline_does_not_allow_fails_at_once(ask: Ask) -> None:
    server = Server(refuses(429, retry_after="20"))
    began = time.monotonic()
    with server.running() as url, pytest.raises(errors.RateLimited) as caught:
        ask(url, Request([User("hi")], timeout=5))
    assert time.monotonic() - began < 4
    assert caught.value.retry_after == 20


def test_one_deadline_for_all_tries(ask: Ask) -> None:
    def slow(exchange: Exchange) -> None:
        exchange.wait(0.4)
        exchange.reply(500, {"error": "no"})

    server = Server(slow, slow, slow)
    began = time.monotonic()
    with server.running() as url, pytest.raises((errors.DeadlineExceeded, errors.ServerError)):
        ask(url, Request([User("hi")], timeout=0.6))
    assert time.monotonic() - began < 0.6 + 1.0
    assert len(server.times) == 2


def test_an_idle_connection_that_the_server_closed_costs_no_try(ask: Ask) -> None:
    """The server answers, keeps the connection, and closes it just when the next request comes."""
    seen: list[Any] = []

    async def several(url: str) -> None:
        backend = EndpointBackend(url, max_attempts=1, observe=seen.append)
        for _ in range(3):
            assert (await acollect(backend.astream(HI))).text == "Hello, world"
        await backend.aclose()

    with FaultServer() as server:
        url = server.url_of("stale_connection")
        if ask.__name__ == "sync":
            backend = EndpointBackend(url, max_attempts=1, observe=seen.append)
            for _ in range(3):
                assert collect(backend.stream(HI)).text == "Hello, world"
            backend.close()
        else:
            asyncio.run(several(url))
        assert server.connections == 3
    assert not [item for item in seen if isinstance(item, (Retrying, errors.AmbidexError))]


def test_observers_hear_of_each_new_try_and_of_one_error(ask: Ask) -> None:
    seen: list[Any] = []
    server = Server(refuses(500), refuses(500), refuses(500))
    with server.running() as url, pytest.raises(errors.ServerError) as caught:
        ask(url, observe=seen.append)
    retries = [item for item in seen if isinstance(item, Retrying)]
    assert [item.attempt for item in retries] == [2, 3]
    assert all(isinstance(item.error, errors.ServerError) for item in retries)
    assert [item for item in seen if isinstance(item, errors.AmbidexError)] == [caught.value]


def test_nobody_waits_for_a_try_of_a_cancelled_stream() -> None:
    server = Server(refuses(429, retry_after="30"))
    with server.running() as url:
        backend = EndpointBackend(f"{url}#m")
        stream = backend.stream(Request([User("hi")], timeout=100))  # comes back: the wait is the stream's
        threading.Timer(0.1, stream.cancel).start()
        began = time.monotonic()
        last = list(stream)[-1]
        backend.close()
    assert time.monotonic() - began < 5
    assert isinstance(last, Finished)
    assert last.choices[0].finish_reason == "cancelled"


def test_nor_does_a_task() -> None:
    async def run(url: str) -> Any:
        backend = EndpointBackend(f"{url}#m")
        stream = backend.astream(Request([User("hi")], timeout=100))
        asyncio.get_running_loop().call_later(0.1, stream.cancel)
        events = [event async for event in stream]
        await backend.aclose()
        return events[-1]

    server = Server(refuses(429, retry_after="30"))
    began = time.monotonic()
    with server.running() as url:
        last = asyncio.run(run(url))
    assert time.monotonic() - began < 5
    assert last.choices[0].finish_reason == "cancelled"


def test_total_failure_is_hardly_amplified(ask: Ask) -> None:
    server = Server(*[refuses(500)] * 400)
    with server.running() as url:
        backend = EndpointBackend(f"{url}#m")
        for _ in range(100):
            with pytest.raises(errors.ServerError):
                collect(backend.stream(HI))
        backend.close()
    assert len(server.times) <= 110


# Places


def test_a_stream_has_a_place_until_it_ends(ask: Ask) -> None:
    server = Server()
    with server.running() as url:
        backend = EndpointBackend(f"{url}#m", max_concurrency=1)
        held = backend.stream(HI)
        held.start()
        with pytest.raises(errors.DeadlineExceeded) as caught:
            collect(backend.stream(Request([User("hi")], timeout=0.1)))
        assert caught.value.kind == "pool"
        held.close()
        assert collect(backend.stream(HI)).text == "fine"
        assert [reply.text for reply in backend.batch([HI] * 5) if isinstance(reply, Reply)] == ["fine"] * 5
        backend.close()
    assert len(server.times) == 7


def test_a_refused_request_gives_its_place_back() -> None:
    server = Server(*[refuses(400)] * 3)
    with server.running() as url:
        backend = EndpointBackend(f"{url}#m", max_concurrency=1)
        for _ in range(3):
            with pytest.raises(errors.InvalidRequest):
                collect(backend.stream(HI))
        assert collect(backend.stream(HI)).text == "fine"
        backend.close()


def test_so_many_begin_in_a_minute() -> None:
    server = Server()
    with server.running() as url:
        backend = EndpointBackend(f"{url}#m", max_per_minute=150)  # 15 at once, then one each 0.4 s
        for _ in range(17):
            collect(backend.stream(HI))
        backend.close()
    assert server.times[-1] - server.times[0] >= 0.75


@pytest.mark.parametrize(
    "options",
    [{"max_attempts": 0}, {"max_attempts": 1.5}, {"max_concurrency": 0}, {"max_per_minute": 0}, {"proxy": "here"}],
)
def test_wrong_limits_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        EndpointBackend("http://127.0.0.1/v1#m", **options)
    assert caught.value.param == next(iter(options))
