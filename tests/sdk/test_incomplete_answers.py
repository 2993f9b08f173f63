"""Nothing runs from an incomplete answer, however it broke. Each test holds for both twins."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from tests.sdk.agent_twin import Twin, results
from tests.servers import Exchange, calls, chat_server, chunk, text

from ambidex import Assistant, Finished, ToolCall, Usage, tool
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


@pytest.mark.parametrize("cut", range(len(EVENTS)))
@pytest.mark.parametrize(
    "error", [None, ServerError("x"), ContentFiltered("x"), StreamInterrupted("x"), DeadlineExceeded("x")], ids=repr
)
def test_a_stream_that_breaks_anywhere_has_none_of_its_calls_run(cut: int, error: AmbidexError | None) -> None:
    for twin in (Twin(False), Twin(True)):
        act, done = acting()
        events = [*EVENTS[:cut], *([] if error is None else [error])]
        with pytest.raises(IncompleteResponse if error is None else type(error)):
            twin.run(ScriptedBackend([events, "never"]), tools=[act])
        assert done == []


# -- on real sockets


def wire(chunks: Sequence[dict[str, Any]]) -> bytes:
    return b"".join(f"data: {json.dumps(item)}\n\n".encode() for item in chunks)


CALLS = calls(("act", {"n": 1}), ("act", {"n": 2}))
ENDINGS: dict[str, Callable[[Exchange], None]] = {
    "closed": lambda exchange: exchange.finish(),
    "closed in a chunk": lambda exchange: exchange.close(),
    "reset": lambda exchange: exchange.reset(),
    "error event": lambda exchange: exchange.send_chunk(wire([{"error": {"message": "no", "code": 500}}])),
    "only [DONE]": lambda exchange: exchange.send_chunk(b"data: [DONE]\n\n"),
}
