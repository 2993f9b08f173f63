"""However a run breaks, and however often: no call is executed twice, none is lost unreported, none runs from an
incomplete answer."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.sdk.exactly_once import World

from ambidex import Agent, AgentResult, AsyncAgent, Tool, ToolResult
from ambidex.errors import AmbidexError
from ambidex.sqlite_journal import SQLiteJournal
from ambidex.testing.faults import Exchange, FaultServer, Step, calls, text
from ambidex_backends.endpoint import EndpointBackend


def live(seeds: range) -> Counter[str]:
    summary: Counter[str] = Counter()
    for seed in seeds:
        world = World(seed, summary)
        try:
            world.check(world.live())
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
    return summary


def show(summary: Counter[str]) -> None:
    zeros = ("duplicate executions", "unreported lost executions", "executions from incomplete answers")
    for name in sorted({*summary, *zeros}):
        print(f"{summary[name]:8} {name}")


def test_runs_that_break_anywhere_execute_each_call_once() -> None:
    summary = live(range(300))
    show(summary)
    assert summary["calls reported in doubt"] > 10
    assert summary["times gone on"] > 300


@pytest.mark.nightly
def test_ten_thousand_runs_that_break_anywhere_execute_each_call_once(capsys: pytest.CaptureFixture[str]) -> None:
    summary = live(range(1_000_000, 1_010_000))
    with capsys.disabled():
        print("\n10,000 agent runs:")
        show(summary)


FAULTS_OF_A_STREAM = (
    *("cut_clean", "cut_inside_a_call", "cut_mid_chunk", "done_without_finish", "empty_stream", "error_event"),
    *("reset_before_content", "reset_inside_a_call", "reset_mid_stream", "status_500", "no_answer"),
)


def played(chance: random.Random, exchange: Exchange) -> Step:
    """Four calls in two answers, then the end; every third request meets a fault."""
    if chance.random() < 0.35:
        return chance.choice(FAULTS_OF_A_STREAM)
    step = sum(message["role"] == "assistant" for message in exchange.json["messages"])
    return [
        calls(("act", {"n": 1}), ("act", {"n": 2})),
        calls(("act", {"n": 3}), ("act", {"n": 4})),
        text("All ", "done."),
    ][step]


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_runs_on_real_sockets_execute_each_call_once(is_async: bool, tmp_path: Path) -> None:
    chance, went_on = random.Random(7), 0
    with FaultServer() as server, SQLiteJournal(tmp_path / "runs.sqlite") as journal:
        url = server.url_of(partial(played, chance))
        for number in range(12):
            done: list[int] = []

            def act(n: int, done: list[int] = done) -> str:
                """Acts."""
                done.append(n)
                return f"did {n}"

            tools = [Tool("act", "Acts.", {"type": "object", "properties": {"n": {"type": "integer"}}}, act)]
            result = None
            while result is None and went_on < 200:
                backend = EndpointBackend(url, max_attempts=1, first_event_timeout=0.5, idle_timeout=0.5)
                try:
                    result = ask(backend, is_async, tools=tools, journal=journal, run_id=f"run-{number}")
                except AmbidexError:
                    went_on += 1
            assert result is not None
            assert result.answer == "All done."
            assert sorted(done) == [1, 2, 3, 4]
            told = [message.text for message in result.messages if isinstance(message, ToolResult)]
            assert told == ["did 1", "did 2", "did 3", "did 4"]
    assert went_on > 5


def ask(backend: EndpointBackend, is_async: bool, *, run_id: str, **options: Any) -> AgentResult[Any]:
    if not is_async:
        with closing(backend):
            return Agent(backend, **options).run("Do it.", run_id=run_id)

    async def run() -> AgentResult[Any]:
        try:
            return await AsyncAgent(backend, **options).run("Do it.", run_id=run_id)
        finally:
            await backend.aclose()

    return asyncio.run(run())
