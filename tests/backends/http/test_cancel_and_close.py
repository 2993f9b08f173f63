"""Ending early: from another thread, from a task, by breaking out, by closing the backend; nothing is left behind."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.servers import Behaviour, Exchange, chat_server, chunk, text

from ambidex import connect, errors
from ambidex.events import Finished, TextDelta
from ambidex.messages import User
from ambidex.request import Request
from ambidex.stream import acollect, collect
from ambidex_backends.endpoint import EndpointBackend

HI = Request([User("hi")], timeout=60)


class Stalling:
    """Sends the head and one piece, and waits; knows when the client has gone."""

    def __init__(self, *, head: bool = True) -> None:
        self.arrived = threading.Event()
        self.gone = threading.Event()
        self._head = head

    def __call__(self, body: dict[str, Any]) -> Behaviour:
        def behaviour(exchange: Exchange) -> None:
            try:
                if self._head:
                    exchange.begin()
                    exchange.event(chunk({"content": "half"}))
                self.arrived.set()
                exchange.hang()
            finally:  # who leaves at once is gone before the piece could be sent
                if not exchange.stop.is_set():
                    self.gone.set()

        return behaviour


@pytest.fixture
def stalling() -> Iterator[tuple[Stalling, EndpointBackend]]:
    script = Stalling()
    with chat_server(script) as url:
        backend = EndpointBackend(f"{url}#m")
        yield script, backend
        backend.close()


def test_cancel_from_another_thread_ends_a_blocked_read(stalling: tuple[Stalling, EndpointBackend]) -> None:
    script, backend = stalling
    stream = backend.stream(HI)
    assert next(stream) == TextDelta("half")
    threading.Timer(0.2, stream.cancel).start()
    began = time.monotonic()
    (finished,) = list(stream)
    assert time.monotonic() - began < 20
    assert isinstance(finished, Finished)
    assert finished.choices[0].finish_reason == "cancelled"
    assert stream.reply.text == "half"
    assert script.gone.wait(10)


@pytest.mark.anyio
async def test_cancel_of_an_async_stream_from_another_thread() -> None:
    script = Stalling()
    with chat_server(script) as url:
        backend = EndpointBackend(f"{url}#m")
        stream = backend.astream(HI)
        assert await anext(stream) == TextDelta("half")
        threading.Timer(0.2, stream.cancel).start()
        assert (await acollect(stream)).finish_reason == "cancelled"
        assert script.gone.wait(10)
        await backend.aclose()


@pytest.mark.anyio
async def test_cancel_while_the_server_has_not_answered() -> None:
    script = Stalling(head=False)
    with chat_server(script) as url:
        backend = EndpointBackend(f"{url}#m")
        stream = backend.astream(HI)
        threading.Timer(0.2, stream.cancel).start()
        assert (await acollect(stream)).finish_reason == "cancelled"
        await backend.aclose()


@pytest.mark.anyio
async def test_a_cancelled_task_lets_go_of_the_connection_and_the_client_stays_whole() -> None:
    script = Stalling()
    with chat_server(lambda body: text("fine") if body["messages"][0]["content"] == "ok" else script(body)) as url:
        backend = EndpointBackend(f"{url}#m")
        for _ in range(5):
            task = asyncio.create_task(acollect(backend.astream(HI)))
            await asyncio.to_thread(script.arrived.wait, 10)
            await asyncio.sleep(0.02)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await asyncio.to_thread(script.gone.wait, 10)
            script.arrived.clear()
            script.gone.clear()
        assert (await acollect(backend.astream(Request([User("ok")])))).text == "fine"
        await backend.aclose()


@pytest.mark.anyio
async def test_cancelled_at_any_moment_the_next_request_works() -> None:
    with chat_server(lambda body: text("a", "b", "c")) as url:
        backend = EndpointBackend(f"{url}#m")
        for delay in range(30):
            task = asyncio.create_task(acollect(backend.astream(HI)))
            await asyncio.sleep(delay / 4000)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        replies = await asyncio.gather(*(acollect(backend.astream(HI)) for _ in range(10)))
        assert [reply.text for reply in replies] == ["abc"] * 10
        await backend.aclose()


def test_breaking_out_closes_the_connection(stalling: tuple[Stalling, EndpointBackend]) -> None:
    script, backend = stalling
    for _ in backend.stream(HI):
        break
    assert script.gone.wait(10)


@pytest.mark.anyio
async def test_breaking_out_of_an_async_loop_closes_the_connection() -> None:
    script = Stalling()
    with chat_server(script) as url:
        backend = EndpointBackend(f"{url}#m")
        async for _ in backend.astream(HI).text:
            break
        assert await asyncio.to_thread(script.gone.wait, 10)
        await backend.aclose()


def test_closing_a_stream_that_was_never_read_closes_the_connection(stalling: tuple[Stalling, EndpointBackend]) -> None:
    script, backend = stalling
    stream = backend.stream(HI)
    stream.start()
    stream.start()
    stream.close()
    assert script.gone.wait(10)


def test_nothing_is_sent_before_it_is_asked_for_nor_after_the_end(stalling: tuple[Stalling, EndpointBackend]) -> None:
    script, backend = stalling
    unread, closed, cancelled = (backend.stream(HI) for _ in range(3))
    closed.close()
    closed.start()
    assert list(closed) == []
    cancelled.cancel()
    assert [type(event) for event in cancelled] == [Finished]
    assert not script.arrived.is_set()
    unread.start()
    assert script.arrived.wait(10)
    unread.close()


def test_what_goes_wrong_at_the_start_is_raised_by_the_first_event() -> None:
    with chat_server(lambda body: lambda exchange: exchange.reply(401, {"error": "no"})) as url:
        backend = EndpointBackend(f"{url}#m")
        stream = backend.stream(HI)
        stream.start()
        with pytest.raises(errors.AuthenticationError):
            next(stream)
        assert list(stream) == []
        backend.close()


def test_a_stream_outlives_its_backends_name() -> None:
    with chat_server(lambda body: text("a", "b")) as url:
        stream = EndpointBackend(f"{url}#m").stream(HI)
        # Whoever does not close a backend leaves its idle connection to the collector.
        with pytest.warns(ResourceWarning):  # noqa: PT031  # which of the three statements warns is the collector's choice
            assert collect(stream).text == "ab"
            del stream
            gc.collect()


@pytest.mark.anyio
async def test_a_closed_backend_says_so() -> None:
    backend = EndpointBackend("http://127.0.0.1:9/v1#m")
    backend.close()
    backend.close()
    with pytest.raises(errors.BackendClosed):
        backend.stream(HI)
    with pytest.raises(errors.BackendClosed):
        await acollect(backend.astream(HI))


def test_a_shared_backend_closes_with_its_last_holder() -> None:
    with chat_server(lambda body: text("a")) as url:
        first, second = connect(f"{url}#m"), connect(f"{url}#m")
        assert first is second
        first.close()
        assert collect(second.stream(HI)).text == "a"
        second.close()
        with pytest.raises(errors.BackendClosed):
            second.stream(HI)


def test_a_backend_serves_one_event_loop_after_the_other() -> None:
    async def once(backend: EndpointBackend) -> str:
        reply = await acollect(backend.astream(HI))
        return reply.text

    async def last(backend: EndpointBackend) -> str:
        answer = await once(backend)
        await backend.aclose()
        return answer

    with chat_server(lambda body: lambda exchange: exchange.stream(text("a"))) as url:
        backend = EndpointBackend(f"{url}#m")
        assert asyncio.run(once(backend)) == "a"
        # Nobody closed the connection of the first loop.
        with pytest.warns(ResourceWarning):  # noqa: PT031  # which of the two statements warns is the collector's choice
            assert asyncio.run(last(backend)) == "a"
            gc.collect()


def test_batch_gives_replies_and_errors_in_order() -> None:
    def script(body: dict[str, Any]) -> Any:
        asked = body["messages"][0]["content"]
        if asked == "3":
            return lambda exchange: exchange.reply(400, {"error": "no threes"})
        return text(asked)

    with chat_server(script) as url:
        backend = EndpointBackend(f"{url}#m")
        results = backend.batch([Request([User(str(number))]) for number in range(20)])
        backend.close()
    assert isinstance(results[3], errors.InvalidRequest)
    assert [result.text for result in results if not isinstance(result, errors.AmbidexError)] == [
        str(number) for number in range(20) if number != 3
    ]


def _ask_in_child(backend: EndpointBackend, answers: Any) -> None:
    answers.put(collect(backend.stream(HI)).text)
    answers.close()
    answers.join_thread()
    os._exit(0)  # without the test runner's own end


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_connections_of_its_own() -> None:
    ports: list[int] = []

    def script(body: dict[str, Any]) -> Behaviour:
        def behaviour(exchange: Exchange) -> None:
            ports.append(exchange.peer_port)
            exchange.stream(text("a"))

        return behaviour

    with chat_server(script) as url:
        backend = EndpointBackend(f"{url}#m")
        assert collect(backend.stream(HI)).text == "a"
        fork = multiprocessing.get_context("fork")
        answers: Any = fork.Queue()
        child = fork.Process(target=_ask_in_child, args=(backend, answers))
        child.start()
        assert answers.get(timeout=20) == "a"
        child.join(20)
        assert collect(backend.stream(HI)).text == "a"
        backend.close()
    first, in_child, again = ports
    assert first == again != in_child
