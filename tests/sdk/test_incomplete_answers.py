"""Nothing runs from an incomplete answer, however it broke. Each test holds for both twins."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Any

import pytest
from tests.sdk.agent_twin import Twin, results

from ambidex import Agent, AgentResult, Assistant, AsyncAgent, Finished, ToolCall, Usage, tool
from ambidex.errors import (
    AmbidexError,
    ContentFiltered,
    DeadlineExceeded,
    IncompleteResponse,
    ServerError,
    StreamInterrupted,
)
from ambidex.reply import Choice, FinishReason
from ambidex.testing import ScriptedBackend, events_of
from ambidex.testing.faults import Exchange, FaultServer, calls, text
from ambidex_backends.endpoint import EndpointBackend

WHOLE = Assistant("I do.", ToolCall("1", "act", {"n": 1}), ToolCall("2", "act", {"n": 2}))
EVENTS = events_of(WHOLE)


def acting() -> tuple[Any, list[int]]:
    """A tool, and what it did."""
    done: list[int] = []

    @tool
    def act(n: int) -> str:
        """Acts."""
        done.append(n)
        return "done"

    return act, done


def finished(reason: FinishReason | None) -> Finished:
    return Finished((Choice(WHOLE, reason),), Usage(1, 1))


def test_what_is_whole_runs(twin: Twin) -> None:
    act, done = acting()
    twin.run(ScriptedBackend([WHOLE, "ok"]), tools=[act], parallel=False)
    assert done == [1, 2]


@pytest.mark.parametrize("reason", ["length", "content_filter", None])
def test_an_answer_that_was_cut_has_none_of_its_calls_run(twin: Twin, reason: FinishReason | None) -> None:
    act, done = acting()
    result = twin.run(ScriptedBackend([[*EVENTS[:-1], finished(reason)], "ok"]), tools=[act])
    assert done == []
    assert [item.is_error for item in results(result.messages)] == [True, True]
    assert all("Nothing was run" in item.text for item in results(result.messages))


def test_a_cancelled_answer_has_none_of_its_calls_run(twin: Twin) -> None:
    act, done = acting()
    result = twin.run(ScriptedBackend([[*EVENTS[:-1], finished("cancelled")]]), tools=[act])
    assert (done, result.stopped) == ([], "cancelled")


@pytest.mark.parametrize("place", range(len(EVENTS)))
@pytest.mark.parametrize(
    "error", [None, ServerError("x"), ContentFiltered("x"), StreamInterrupted("x"), DeadlineExceeded("x")], ids=repr
)
def test_a_stream_that_breaks_anywhere_has_none_of_its_calls_run(place: int, error: AmbidexError | None) -> None:
    for twin in (Twin(False), Twin(True)):
        act, done = acting()
        events = [*EVENTS[:place], *([] if error is None else [error])]
        with pytest.raises(IncompleteResponse if error is None else type(error)):
            twin.run(ScriptedBackend([events, "never"]), tools=[act])
        assert done == []


# -- on real sockets

CALLS = calls(("act", {"n": 1}), ("act", {"n": 2}))


def begun(exchange: Exchange, upto: int) -> None:
    exchange.begin()
    for item in CALLS[:upto]:
        exchange.event(item)


def closed(exchange: Exchange, upto: int) -> None:
    """A proper end of the body."""
    begun(exchange, upto)
    exchange.end()


def only_done(exchange: Exchange, upto: int) -> None:
    """[DONE] without a finish reason."""
    begun(exchange, upto)
    exchange.event("[DONE]")
    exchange.end()


def cut(exchange: Exchange, upto: int) -> None:
    """FIN in the middle of a chunk."""
    begun(exchange, upto)
    exchange.send(b"400\r\ndata: {")
    exchange.close()


def reset(exchange: Exchange, upto: int) -> None:
    """RST."""
    begun(exchange, upto)
    exchange.wait(0.01)
    exchange.reset()


def error_event(exchange: Exchange, upto: int) -> None:
    """The server fails, with status 200."""
    begun(exchange, upto)
    exchange.event({"error": {"message": "no", "code": 500}})
    exchange.end()


def broken_json(exchange: Exchange, upto: int) -> None:
    """An event that is no JSON."""
    begun(exchange, upto)
    exchange.event('{"choices": [')
    exchange.end()


def run_and_close(backend: EndpointBackend, act: Any, *, is_async: bool) -> AgentResult[None]:
    if not is_async:
        with closing(backend):
            return Agent(backend, tools=[act]).run("go")

    async def run() -> AgentResult[None]:
        try:
            return await AsyncAgent(backend, tools=[act]).run("go")
        finally:
            await backend.aclose()

    return asyncio.run(run())


@pytest.mark.parametrize("how", [closed, only_done, cut, reset, error_event, broken_json], ids=lambda how: how.__name__)
def test_a_connection_that_breaks_anywhere_has_none_of_its_calls_run(how: Callable[..., None]) -> None:
    whole = next(at for at, item in enumerate(CALLS) if item["choices"][0]["finish_reason"])
    with FaultServer() as server:
        for upto in range(1, whole + 1):
            act, done = acting()
            backend = EndpointBackend(server.url_of(partial(how, upto=upto)), max_attempts=1)
            with pytest.raises(AmbidexError):
                run_and_close(backend, act, is_async=upto % 2 == 1)
            assert done == [], f"{how.__name__} after {upto} events"


@pytest.mark.parametrize("reason", ["length", "content_filter"])
def test_a_server_that_cuts_the_answer_has_none_of_its_calls_run(twin: Twin, reason: str) -> None:
    act, done = acting()
    cut_off = calls(("act", {"n": 1}), ("act", {"n": 2}), finish=reason)
    with FaultServer() as server:
        result = run_and_close(EndpointBackend(server.url_of(cut_off, text("ok"))), act, is_async=twin.is_async)
    assert (done, result.answer) == ([], "ok")
