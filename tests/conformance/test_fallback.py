"""A fallback keeps what every backend keeps, whoever of its backends answers."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from typing import ClassVar

import pytest
from tests.conformance.test_scripted import OnlyStream, answer
from tests.relay import relay
from tests.servers import serve

from ambidex import Capabilities, Fallback, Request
from ambidex.backend import Backend, connect
from ambidex.errors import ConnectError, Overloaded
from ambidex.stream import EventStream
from ambidex.testing import ScriptedBackend
from ambidex.testing.conformance import BackendConformance

# The suite runs event loops that end before the backend is closed: idle connections are left to the collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


class Dead:
    """Refuses when asked, without a word about what it could do."""

    capabilities = Capabilities()

    def stream(self, request: Request, /) -> EventStream:
        raise ConnectError("nobody there")


class TestOfOne(BackendConformance):
    def make_backend(self) -> Backend:
        return Fallback([ScriptedBackend(answer)])


class TestWhereTheFirstIsDead(BackendConformance):
    def make_backend(self) -> Backend:
        return Fallback([Dead(), ScriptedBackend(answer)], cooldown=0)


class TestWhereTheFirstFailsAtItsFirstEvent(BackendConformance):
    def make_backend(self) -> Backend:
        def overloaded(request: Request) -> list[Exception]:
            return [Overloaded("full")]

        return Fallback([ScriptedBackend(overloaded), OnlyStream()], cooldown=0)


class TestWhereNoneCanDoAnything(BackendConformance):
    def make_backend(self) -> Backend:
        nothing = dict.fromkeys(("prompt", "tools", "tool_choice", "seed", "images", "audio", "trace"), False)
        none = dict.fromkeys(("logprobs", "n", "beams", "processors", "contrast", "output", "reasoning"), False)
        limited = Capabilities(chat=True, **nothing, **none)
        return Fallback([ScriptedBackend(answer, capabilities=limited) for _ in range(2)])


class TestOverSockets(BackendConformance):
    """A server that is out of order, then Pocket behind another."""

    urls: ClassVar[list[str]]
    opened: ClassVar[ExitStack]

    @classmethod
    def setup_class(cls) -> None:
        cls.opened = ExitStack()
        backend = connect("local:pocket", device="cpu")
        cls.opened.callback(backend.close)
        full = cls.opened.enter_context(serve(lambda exchange: exchange.reply(401, {"error": "no such key"})))
        pocket = cls.opened.enter_context(relay(backend, model="pocket"))
        cls.urls = [f"{full}/v1#pocket", f"{pocket}#pocket"]

    @classmethod
    def teardown_class(cls) -> None:
        cls.opened.close()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            gc.collect()

    def make_backend(self) -> Backend:
        return Fallback(self.urls, cooldown=0)


@pytest.mark.parametrize(
    "make", [case.make_backend for case in (TestOfOne, TestWhereTheFirstIsDead)], ids=["one", "two"]
)
def test_a_fallback_of_fallbacks_is_one(make: Callable[[BackendConformance], Backend]) -> None:
    class Suite(BackendConformance):
        def make_backend(self) -> Backend:
            return Fallback([make(self)], cooldown=0)

    suite = Suite()
    suite.test_the_pieces_make_the_text()
    suite.test_async_answers_as_sync_does()
    suite.test_cancel_ends_in_finished()
