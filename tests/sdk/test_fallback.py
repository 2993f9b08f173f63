"""Several backends as one: who is asked, when, and what comes out when nobody answers."""

from __future__ import annotations

import asyncio
import itertools
import pickle
import threading
from collections.abc import Callable
from typing import Any

import pytest

from ambidex import Assistant, Capabilities, Chat, Fallback, Finished, Request, TextDelta, ToolCall, User, collect
from ambidex import acollect as read
from ambidex.backend import Backend
from ambidex.errors import (
    AmbidexError,
    AuthenticationError,
    BackendClosed,
    ConfigError,
    ConnectError,
    ContentFiltered,
    ContextLengthExceeded,
    DeadlineExceeded,
    EngineError,
    IncompleteResponse,
    InvalidRequest,
    ModelNotFound,
    NotFound,
    Overloaded,
    QuotaExceeded,
    RateLimited,
    ServerError,
    StreamInterrupted,
    TransportError,
    Unsupported,
)
from ambidex.failover import CONSEQUENCES, BackendAsked, consequence
from ambidex.reply import Reply
from ambidex.stream import EventStream
from ambidex.testing import ScriptedBackend

ASKED = Request([User("Hello?")])


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Refusing:
    """Fails in `stream` itself, as a server's refusal does; a ScriptedBackend fails at the first event."""

    capabilities = Capabilities()

    def __init__(self, error: Exception, on_ask: Callable[[], None] = lambda: None) -> None:
        self._error = error
        self._on_ask = on_ask
        self.requests: list[Request] = []

    def stream(self, request: Request, /) -> EventStream:
        self.requests.append(request)
        self._on_ask()
        raise self._error


def ask(backend: Backend, request: Request = ASKED) -> Reply[Any]:
    return collect(backend.stream(request))


def aask(backend: Fallback, request: Request = ASKED) -> Reply[Any]:
    async def ask_() -> Reply[Any]:
        return await read(backend.astream(request))

    return asyncio.run(ask_())


both = pytest.mark.parametrize("ask", [ask, aask])


@both
@pytest.mark.parametrize("first", [Refusing(Overloaded("full")), ScriptedBackend([Overloaded("full")])])
def test_the_next_answers_where_one_cannot(ask: Callable[..., Reply[Any]], first: Any) -> None:
    if isinstance(first, ScriptedBackend):
        first = ScriptedBackend([Overloaded("full")])
    reply = ask(Fallback([first, ScriptedBackend(["I am here."])]))
    assert (reply.text, reply.finish_reason) == ("I am here.", "stop")


@both
def test_the_first_that_answers_is_the_only_one_asked_on(ask: Callable[..., Reply[Any]]) -> None:
    second = ScriptedBackend(["two"])
    assert ask(Fallback([ScriptedBackend(["one"]), second])).text == "one"
    assert second.requests == []


@both
def test_nothing_is_switched_after_the_first_event(ask: Callable[..., Reply[Any]]) -> None:
    broken = ScriptedBackend([[TextDelta("The answer "), StreamInterrupted("broken")]])
    second = ScriptedBackend(["is 42."])
    with pytest.raises(StreamInterrupted) as caught:
        ask(Fallback([broken, second]))
    assert second.requests == []
    assert caught.value.partial is not None
    assert caught.value.partial.text == "The answer "


@both
def test_a_stream_that_ends_before_it_began_is_not_an_answer(ask: Callable[..., Reply[Any]]) -> None:
    assert ask(Fallback([ScriptedBackend([[]]), ScriptedBackend(["here"])])).text == "here"


@pytest.mark.parametrize("error", [kind for kind, follows in CONSEQUENCES.items() if follows == "raise"])
def test_a_wrong_request_is_raised_at_once(error: type[AmbidexError]) -> None:
    second = ScriptedBackend(["here"])
    with pytest.raises(error):
        ask(Fallback([Refusing(error("wrong")), second]))
    assert second.requests == []


def test_the_nearest_class_of_an_error_decides() -> None:
    assert consequence(StreamInterrupted("")) == consequence(TransportError("")) == "rest"
    assert consequence(Unsupported("")) == "next"
    assert consequence(InvalidRequest("")) == "raise"
    assert consequence(ModelNotFound("")) == "rest"
    assert consequence(EngineError("")) == "next"
    assert consequence(DeadlineExceeded("", kind="first_byte")) == "rest"
    assert consequence(DeadlineExceeded("", kind="pool")) == "next"


@both
def test_a_predicate_decides_instead(ask: Callable[..., Reply[Any]]) -> None:
    def filtered_only(error: AmbidexError) -> bool:
        return isinstance(error, ContentFiltered)

    def fallback(error: AmbidexError) -> Fallback:
        return Fallback([Refusing(error), ScriptedBackend(["here"])], on=filtered_only)

    assert ask(fallback(ContentFiltered("no"))).text == "here"
    with pytest.raises(Overloaded):
        ask(fallback(Overloaded("full")))


@both
def test_a_predicate_that_fails_hides_no_error(ask: Callable[..., Reply[Any]]) -> None:
    def wrong(error: AmbidexError) -> bool:
        raise KeyError("oops")

    second = ScriptedBackend(["here"])
    with pytest.raises(ConfigError, match=r"KeyError: 'oops'.*Overloaded: full") as caught:
        ask(Fallback([ScriptedBackend([Overloaded("full")]), second], on=wrong))
    assert isinstance(caught.value.__cause__, KeyError)
    assert [str(error) for error in caught.value.errors] == ["full"]
    assert (caught.value.param, second.requests) == ("on", [])


@both
def test_exceptions_of_a_foreign_backend_are_its_failure(ask: Callable[..., Reply[Any]]) -> None:
    assert ask(Fallback([Refusing(ZeroDivisionError("oops")), ScriptedBackend(["here"])])).text == "here"
    with pytest.raises(EngineError, match="ZeroDivisionError: oops"):
        ask(Fallback([Refusing(ZeroDivisionError("oops"))]))


# -- when all fail


@both
def test_when_all_fail_the_error_is_one_that_may_pass_and_has_the_others(ask: Callable[..., Reply[Any]]) -> None:
    errors = [NotFound("none"), RateLimited("slow down", retry_after=3.0, attempts=3), AuthenticationError("who?")]
    with pytest.raises(RateLimited, match="slow down Asked in this order: Refusing ") as caught:
        ask(Fallback(map(Refusing, errors)))
    assert caught.value.errors == (errors[0], errors[2])
    assert caught.value.retry_after == 3.0
    assert caught.value.attempts == 5


def test_when_none_will_pass_it_is_the_first() -> None:
    with pytest.raises(NotFound) as caught:
        ask(Fallback([Refusing(NotFound("none")), Refusing(QuotaExceeded("used up"))]))
    assert [type(error) for error in caught.value.errors] == [QuotaExceeded]


def test_the_error_of_one_backend_alone_is_raised_as_it_is() -> None:
    error = Overloaded("full")
    with pytest.raises(Overloaded, match=r"^full$") as caught:
        ask(Fallback([Refusing(error)]))
    assert caught.value is error


def test_the_error_can_be_pickled_with_all_that_it_has() -> None:
    with pytest.raises(RateLimited) as caught:
        ask(Fallback([Refusing(RateLimited("later", retry_after=1.5)), Refusing(NotFound("none", status=404))]))
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), str(again), again.retry_after) == (RateLimited, str(caught.value), 1.5)
    assert [(type(error), error.status) for error in again.errors] == [(NotFound, 404)]


def test_an_error_that_a_backend_raises_again_and_again_does_not_grow() -> None:
    error = Overloaded("full")
    fallback = Fallback([Refusing(error), Refusing(NotFound("none"))])
    messages = set[str]()
    for _ in range(3):
        with pytest.raises(Overloaded) as caught:
            ask(fallback)
        messages.add(str(caught.value))
    assert len(messages) == 1
    assert (error.message, error.errors) == ("full", ())


def test_a_refused_request_says_who_failed_before() -> None:
    with pytest.raises(InvalidRequest) as caught:
        ask(Fallback([Refusing(Overloaded("full")), Refusing(InvalidRequest("wrong"))]))
    assert [type(error) for error in caught.value.errors] == [Overloaded]


# -- one deadline


@both
def test_all_share_one_deadline(ask: Callable[..., Reply[Any]]) -> None:
    clock = Clock()

    def pass_(seconds: float) -> Callable[[], None]:
        def wait() -> None:
            clock.now += seconds

        return wait

    first, second = Refusing(ConnectError("dead"), pass_(4)), Refusing(Overloaded("full"), pass_(3))
    third = ScriptedBackend(["here"])
    request = Request([User("Hello?")], timeout=10)
    assert ask(Fallback([first, second, third], clock=clock), request).text == "here"
    assert [b.requests[0].timeout for b in (first, second, third)] == [10, 6, 3]


@both
def test_when_the_time_is_up_nobody_else_is_asked(ask: Callable[..., Reply[Any]]) -> None:
    clock = Clock()

    def wait() -> None:
        clock.now += 10

    second = ScriptedBackend(["here"])
    fallback = Fallback([Refusing(DeadlineExceeded("slow"), wait), second], clock=clock)
    with pytest.raises(DeadlineExceeded, match="within 10 s") as caught:
        ask(fallback, Request([User("Hello?")], timeout=10))
    assert (caught.value.kind, caught.value.limit) == ("total", 10)
    assert second.requests == []
    assert [str(error) for error in caught.value.errors] == ["slow"]


def test_requests_without_a_timeout_have_that_of_the_fallback() -> None:
    backend = ScriptedBackend(["here"])
    ask(Fallback([backend], timeout=7, clock=Clock()))
    assert backend.requests[0].timeout == 7


# -- rest


@both
def test_what_is_out_of_order_is_asked_last_until_it_was_tried_again(ask: Callable[..., Reply[Any]]) -> None:
    clock = Clock()
    first = ScriptedBackend([ConnectError("dead"), ConnectError("dead"), "first", "first"])
    second = ScriptedBackend(lambda request: "second")
    fallback = Fallback([first, second], cooldown=10, clock=clock)
    assert [ask(fallback).text for _ in range(3)] == ["second"] * 3
    assert len(first.requests) == 1
    clock.now = 10
    assert [ask(fallback).text for _ in range(3)] == ["second"] * 3
    assert len(first.requests) == 2
    clock.now = 20
    assert [ask(fallback).text for _ in range(2)] == ["first"] * 2


def test_a_request_that_it_cannot_honour_is_no_reason_to_rest() -> None:
    first = ScriptedBackend([Unsupported("no"), ContextLengthExceeded("long"), IncompleteResponse("cut"), "first"])
    fallback = Fallback([first, ScriptedBackend(lambda request: "second")], clock=Clock())
    assert [ask(fallback).text for _ in range(4)] == ["second", "second", "second", "first"]


def test_what_rests_is_better_than_nothing() -> None:
    clock = Clock()
    first = ScriptedBackend([Overloaded("full"), "first"])
    second = ScriptedBackend(["second", NotFound("gone")])
    fallback = Fallback([first, second], clock=clock)
    assert [ask(fallback).text for _ in range(2)] == ["second", "first"]


def test_of_those_that_rest_the_one_comes_first_that_is_rested_first() -> None:
    clock = Clock()
    order: list[str] = []

    def fail(name: str, retry_after: float) -> Refusing:
        return Refusing(RateLimited("slow", retry_after=retry_after), lambda: order.append(name))

    fallback = Fallback([fail("long", 50), fail("short", 20)], clock=clock)
    for _ in range(2):
        with pytest.raises(RateLimited):
            ask(fallback)
    assert order == ["long", "short", "short", "long"]


def test_a_stream_that_breaks_later_is_a_failure_too_but_a_long_answer_is_not() -> None:
    def texts(error: AmbidexError) -> list[str]:
        first = ScriptedBackend([[TextDelta("It "), error], "first"])
        fallback = Fallback([first, ScriptedBackend(["second"])], clock=Clock())
        with pytest.raises(type(error)):
            ask(fallback)
        return [ask(fallback).text]

    assert texts(StreamInterrupted("broken")) == ["second"]
    assert texts(DeadlineExceeded("nothing for 10 s", kind="idle")) == ["second"]
    assert texts(DeadlineExceeded("not done", kind="total")) == ["first"]


def test_many_threads_agree() -> None:
    """One failure, then everybody goes to the second at once: the dead one is asked by nobody else."""
    dead, alive = Refusing(ConnectError("dead")), ScriptedBackend(lambda request: "alive")
    fallback = Fallback([dead, alive], clock=Clock())
    ask(fallback)
    answers: list[str] = []
    threads = [threading.Thread(target=lambda: answers.append(ask(fallback).text)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == ["alive"] * 16
    assert len(dead.requests) == 1


# -- what is seen


def test_observers_see_who_was_asked_and_why_not() -> None:
    seen: list[Any] = []
    error = Overloaded("full")
    fallback = Fallback([Refusing(error), ScriptedBackend(["here"])], observe=seen.append)
    ask(fallback)
    assert seen[:4] == [ASKED, BackendAsked("Refusing", 1), error, BackendAsked("ScriptedBackend", 2)]
    assert isinstance(seen[4], TextDelta)
    assert isinstance(seen[-1], Finished)


def test_a_switch_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("WARNING", "ambidex"):
        ask(Fallback([Refusing(AuthenticationError("who?")), ScriptedBackend(["here"])]))
    assert caplog.messages == ["Refusing failed (AuthenticationError): ScriptedBackend is asked instead."]


def test_the_reply_names_who_answered() -> None:
    nameless = ScriptedBackend([[TextDelta("hi"), Finished(collect(ScriptedBackend(["hi"]).stream(ASKED)).choices)]])
    assert ask(Fallback([ScriptedBackend(["hi"])])).model == "scripted"
    assert ask(Fallback([nameless])).model == "ScriptedBackend"


# -- ends


@both
def test_cancelling_ends_the_search(ask: Callable[..., Reply[Any]]) -> None:
    second = ScriptedBackend(["here"])
    streams: list[Any] = []
    first = Refusing(Overloaded("full"), lambda: streams[0].cancel() if streams else None)
    fallback = Fallback([ScriptedBackend([Overloaded("full")]), first, second])
    if ask is aask:

        async def search() -> Reply[Any]:
            streams.append(fallback.astream(ASKED))
            return await read(streams[0])

        reply = asyncio.run(search())
    else:
        streams.append(fallback.stream(ASKED))
        reply = collect(streams[0])
    assert reply.finish_reason == "cancelled"
    assert second.requests == []


def test_closing_a_stream_closes_that_of_the_backend() -> None:
    closed: list[bool] = []

    class Source:
        def __iter__(self) -> Source:
            return self

        def __next__(self) -> TextDelta:
            return TextDelta("x")

        def close(self) -> None:
            closed.append(True)

    class Endless(Refusing):
        def stream(self, request: Request, /) -> EventStream:
            return EventStream(Source())

    stream = Fallback([Endless(ServerError("unused"))]).stream(ASKED)
    next(stream)
    stream.close()
    assert closed == [True]


def test_what_was_connected_is_closed_and_what_was_given_is_not() -> None:
    given = ScriptedBackend(["here"])
    with pytest.raises(ConfigError, match="names no backend"):
        Fallback([given, "nothing:at-all"])
    fallback = Fallback([given])
    fallback.close()
    fallback.close()
    asyncio.run(fallback.aclose())
    assert not given.closed
    with pytest.raises(BackendClosed):
        fallback.stream(ASKED)
    with pytest.raises(BackendClosed):
        fallback.astream(ASKED)


@pytest.mark.parametrize("close", [Fallback.close, lambda fallback: asyncio.run(fallback.aclose())])
def test_strings_are_connected_and_closed(close: Callable[[Fallback], None]) -> None:
    fallback = Fallback(["http://127.0.0.1:9/v1#a", "http://127.0.0.1:9/v1#b"])
    assert repr(fallback) == "Fallback(['http://127.0.0.1:9/v1#a', 'http://127.0.0.1:9/v1#b'])"
    members = [member.backend for member in fallback._members]
    with pytest.raises(ConnectError) as caught:
        ask(fallback)
    assert [type(error) for error in caught.value.errors] == [ConnectError]
    close(fallback)
    for member in members:
        with pytest.raises(BackendClosed):
            ask(member)


# -- the rest of a backend


def test_an_option_goes_to_who_can_honour_it() -> None:
    plain = ScriptedBackend(["plain"], capabilities=Capabilities(chat=True, tools=False))
    able = ScriptedBackend([ToolCall("1", "look", {})], capabilities=Capabilities(chat=True, tools=True))
    fallback = Fallback([plain, able])
    assert fallback.capabilities.tools is True
    chat = Chat(fallback, tools=[look])
    assert [call.name for call in chat.ask("Look!").tool_calls] == ["look"]


def look() -> str:
    """Looks."""
    return "nothing"


@pytest.mark.parametrize("values", list(itertools.product([True, False, None], repeat=2)))
def test_what_one_can_all_can(values: tuple[bool | None, bool | None]) -> None:
    fallback = Fallback([ScriptedBackend(capabilities=Capabilities(n=value)) for value in values])
    expected = True if True in values else None if None in values else False
    assert fallback.capabilities.n is expected


def test_the_context_is_what_fits_everywhere() -> None:
    def context(*lengths: int | None) -> int | None:
        every = [ScriptedBackend(capabilities=Capabilities(context_length=length)) for length in lengths]
        return Fallback(every).capabilities.context_length

    assert context(4096, None, 1024) == 1024
    assert context(None) is None


def test_it_counts_as_the_one_that_counts_most() -> None:
    scripted = ScriptedBackend()
    assert Fallback([Refusing(ServerError("")), scripted]).count(ASKED) == scripted.count(ASKED)
    assert Fallback([Refusing(ServerError(""))]).count(ASKED) is None


def test_a_batch_keeps_the_order_and_each_error() -> None:
    def answer(request: Request) -> Assistant:
        text = request.messages[0].text
        if text == "3":
            raise InvalidRequest("three")
        return Assistant(f"answer {text}")

    fallback = Fallback([Refusing(Overloaded("full")), ScriptedBackend(answer)])
    replies = fallback.batch([Request([User(str(number))]) for number in range(6)])
    texts = [reply.text if isinstance(reply, Reply) else type(reply).__name__ for reply in replies]
    assert texts == ["answer 0", "answer 1", "answer 2", "InvalidRequest", "answer 4", "answer 5"]


@pytest.mark.parametrize(
    ("backends", "options", "why"),
    [
        ("local:pocket", {}, "in a list"),
        (5, {}, "in a list"),
        ([], {}, "at least one"),
        ([object()], {}, "A model is a string"),
        ([ScriptedBackend()], {"cooldown": -1}, "cooldown takes seconds"),
        ([ScriptedBackend()], {"timeout": None}, "timeout takes seconds"),
        ([ScriptedBackend()], {"cooldwn": 1}, "Did you mean 'cooldown'"),
        ([ScriptedBackend()], {"on": 5}, "on takes a function"),
    ],
)
def test_what_makes_no_sense_is_refused(backends: Any, options: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        Fallback(backends, **options)
