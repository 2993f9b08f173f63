"""A canary key goes through every way to fail; it shows in no text, trace, pickle, log, nor in any object's repr."""

from __future__ import annotations

import base64
import copy
import gc
import io
import logging
import pickle
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from tests.servers import Exchange, chat_server, chunk

from ambidex.errors import AmbidexError
from ambidex.messages import User
from ambidex.request import Request
from ambidex.stream import EventStream, acollect, collect
from ambidex_backends.endpoint import EndpointBackend
from ambidex_backends.hub import HubBackend

KEY = "hf_" + "CANARYcanary" + "0987654321"
SIGNS = (KEY, KEY[-8:], base64.b64encode(KEY.encode()).decode())
REQUEST = Request([User("hi")], timeout=10)


def broken(exchange: Exchange) -> None:
    exchange.begin()
    exchange.event(chunk({"content": "half"}))
    exchange.reset()


def redirecting(exchange: Exchange) -> None:
    exchange.reply(307, "", {"location": "http://127.0.0.1:1/elsewhere"})


FAULTS: dict[str, Callable[[Exchange], None]] = {
    "refused": lambda exchange: exchange.reply(401, {"error": "no such key"}),
    "telling": lambda exchange: exchange.reply(401, {"error": f"wrong: {exchange.headers['authorization']}"}),
    "failing": lambda exchange: exchange.reply(500, "broken"),
    "not http": lambda exchange: exchange.send(b"\0\0\0\r\n\r\n"),
    "hanging up": Exchange.close,
    "silent": Exchange.hang,
    "broken": broken,
    "redirecting": redirecting,
    "a page": lambda exchange: exchange.reply(200, "<html>", kind="text/html"),
    "nonsense": lambda exchange: exchange.stream([], done=True),
}


def everything_said_about(error: BaseException) -> str:
    """Texts, tracebacks with the locals of each frame, the pickle, and what hangs on the error."""
    trace = traceback.TracebackException.from_exception(error, capture_locals=True)
    hidden = [repr(getattr(error, name)) for name in ("__context__", "__cause__", "args", "__dict__")]
    frames = [
        f"{frame.f_locals!r}"
        for frame, _ in traceback.walk_tb(error.__traceback__)
        if "ambidex" in frame.f_code.co_filename
    ]
    return "\n".join(
        [
            str(error),
            repr(error),
            *trace.format(),
            *hidden,
            *frames,
            repr(pickle.dumps(error)),
            repr(copy.deepcopy(error)),
        ]
    )


@pytest.fixture
def logged() -> Any:
    """All that is logged by anyone, at the lowest level."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", ["hub", "endpoint"])
def test_sync(fault: str, kind: str, logged: io.StringIO) -> None:
    with chat_server(lambda body: FAULTS[fault]) as url:
        backend: HubBackend | EndpointBackend
        if kind == "hub":
            backend = HubBackend("org/m", base_url=url, token=KEY, first_event_timeout=0.3)
        else:
            backend = EndpointBackend(f"{url}#m", api_key=KEY, headers={"x-api-key": KEY}, first_event_timeout=0.3)
        stream: list[EventStream] = []
        with pytest.raises(AmbidexError) as caught:  # noqa: PT012  # some faults show at once, others when read
            stream.append(backend.stream(REQUEST))
            collect(stream[0])
        said = everything_said_about(caught.value) + repr(backend) + repr(vars(backend)) + repr(stream)
        backend.close()
    assert not [sign for sign in SIGNS if sign in said]
    assert not [sign for sign in SIGNS if sign in logged.getvalue()]
    assert "HTTP" in logged.getvalue() or fault != "refused"  # something was logged, by httpx


@pytest.mark.anyio
@pytest.mark.parametrize("fault", FAULTS)
async def test_async(fault: str, logged: io.StringIO) -> None:
    with chat_server(lambda body: FAULTS[fault]) as url:
        backend = EndpointBackend(f"{url}#m", api_key=KEY, headers={"x-api-key": KEY}, first_event_timeout=0.3)
        with pytest.raises(AmbidexError) as caught:
            await acollect(backend.astream(REQUEST))
        said = everything_said_about(caught.value) + repr(vars(backend))
        await backend.aclose()
    assert not [sign for sign in SIGNS if sign in said + logged.getvalue()]


def test_the_response_that_a_stream_holds_has_no_key() -> None:
    with chat_server(lambda body: [chunk({"content": "a"}, "stop")]) as url:
        backend = EndpointBackend(f"{url}#m", api_key=KEY)
        stream = backend.stream(REQUEST)
        stream.start()
        import httpx

        requests = [item for item in gc.get_objects() if type(item) is httpx.Request and str(item.url).startswith(url)]
        assert requests
        held = stream._source._response._raw.request  # type: ignore[attr-defined]  # the one that callers could reach
        assert "authorization" not in held.headers
        stream.close()
        backend.close()
