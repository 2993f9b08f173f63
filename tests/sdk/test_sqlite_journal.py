"""The journal's file: durable, private, of one format, and never wrong silently."""

from __future__ import annotations

import json
import multiprocessing
import os
import sqlite3
import stat
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sdk.agent_twin import add, call, results

from ambidex import (
    Agent,
    Assistant,
    Finished,
    Image,
    InvalidToolCall,
    Reasoning,
    System,
    Timings,
    ToolCall,
    ToolResult,
    Url,
    Usage,
    User,
)
from ambidex.errors import InvalidRequest, JournalError, LimitExceeded, RunBusy
from ambidex.journal import Answered, CallNotRun, CallReturned, CallStarted, Record, RunBegan, RunEnded
from ambidex.journal_json import decode, encode
from ambidex.reply import Choice
from ambidex.run_lock import RunLock
from ambidex.sqlite_journal import APPLICATION_ID, SQLiteJournal
from ambidex.testing import ScriptedBackend


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "runs.sqlite"


# -- records as text

arguments = st.dictionaries(
    st.text(max_size=8),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=4,
    ),
    max_size=4,
)
names = st.text(min_size=1, max_size=8)
calls = st.builds(ToolCall, names, names, arguments, st.just(""), st.booleans())
sources = st.binary(max_size=9) | st.just(Url("https://a/b"))
images = st.builds(Image, sources, media_type=st.none() | st.just("image/png"))
invalid = st.builds(InvalidToolCall, names, names, names, names)
answers = st.lists(
    st.text(max_size=9) | calls | st.builds(Reasoning, st.text(max_size=9)) | invalid,
    max_size=4,
).map(lambda parts: Assistant(*parts))
tool_results = st.builds(
    lambda id, name, parts, is_error: ToolResult(id, name, *parts, is_error=is_error),
    names,
    names,
    st.lists(st.text(max_size=9) | images, max_size=3),
    st.booleans(),
)
numbers = st.integers(0, 10**6)
amounts = st.none() | numbers
finished = st.builds(
    lambda message, reason, text, usage, timings, model: Finished(
        (Choice(message, reason, stop_sequence=text, raw_finish_reason=text),), usage, timings, model=model
    ),
    answers,
    st.sampled_from([None, "stop", "length", "tool_calls", "content_filter", "other"]),
    st.none() | st.text(max_size=5),
    st.builds(Usage, amounts, amounts, amounts, amounts, st.none() | st.floats(0, 10)),
    st.builds(Timings, st.none() | st.floats(0, 10), st.none(), st.none() | st.floats(0, 10)),
    st.none() | st.text(max_size=5),
)
tasks = st.lists(
    st.builds(User, st.text(max_size=9)) | st.builds(System, st.text(max_size=9)) | tool_results | answers, max_size=4
)
records = (
    st.builds(RunBegan, tasks.map(tuple))
    | st.builds(Answered, numbers, numbers, finished)
    | st.builds(CallStarted, numbers, numbers, names, numbers)
    | st.builds(CallNotRun, numbers, numbers, names, numbers)
    | st.builds(CallReturned, numbers, numbers, names, tool_results)
    | st.just(RunEnded())
)


@given(records)
def test_what_is_read_is_what_was_written(record: Record) -> None:
    assert decode(encode(record)) == record


def test_arguments_that_look_like_records_are_data() -> None:
    envelope = json.loads(encode(RunBegan((User("x"),))))
    answer = Finished((Choice(Assistant(ToolCall("1", "f", {"record": envelope, "lc": 1, "type": "image"})), "stop"),))
    (read,) = decode(encode(Answered(1, 1, answer))).answer.choices[0].message.tool_calls  # type: ignore[union-attr]
    assert read.arguments == {"record": envelope, "lc": 1, "type": "image"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3",
        "[]",
        "{}",
        '{"record": "pickle"}',
        '{"record": "run_ended", "extra": 1}',
        '{"record": "run_began", "task": [{"role": "root", "parts": []}]}',
        '{"record": "call_started", "step": -1, "ordinal": 0, "digest": "x", "attempt": 1}',
        '{"record": "call_started", "step": true, "ordinal": 0, "digest": "x", "attempt": 1}',
        '{"record": "call_started", "step": 1, "ordinal": 0, "digest": "x"}',
        '{"record": "call_returned", "step": 1, "ordinal": 0, "digest": "x", "result": {"role": "user", "parts": []}}',
        '{"record": "answered", "step": 1, "asked": 1}',
        encode(Answered(1, 1, Finished((Choice(Assistant("x"), "stop"),)))).replace('"stop"', '"why"', 1),
        encode(Answered(1, 1, Finished((Choice(Assistant("x"), "stop"),)))).replace("assistant", "user"),
        encode(Answered(1, 1, Finished((Choice(Assistant("x"), "stop"),)))).replace('"cost": null', '"cost": "1"'),
        '{"record": "run_ended", "record": "run_ended"}',
        "[" * 1000,
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        decode(text)


# -- the file


def test_it_is_private_and_stays_in_its_folder(file: Path) -> None:
    old = os.umask(0)
    try:
        with SQLiteJournal(file) as journal:
            Agent(ScriptedBackend(["ok"]), tools=[], journal=journal).run("go", run_id="r")
            made = {path: stat.S_IMODE(path.stat().st_mode) for path in file.parent.iterdir()}
            assert set(made.values()) == {0o600}
            lock = journal.open("r")
            (locked,) = file.parent.glob("*.lock")
            assert stat.S_IMODE(locked.stat().st_mode) == 0o600
            lock.close()
    finally:
        os.umask(old)
    assert list(file.parent.iterdir()) == [file]


def test_every_commit_is_synced(file: Path) -> None:
    with SQLiteJournal(file) as journal:
        assert journal.execute("PRAGMA journal_mode") == [("wal",)]
        assert journal.execute("PRAGMA synchronous") == [(3,)]  # EXTRA; FULL is 2
        assert journal.execute("PRAGMA application_id") == [(APPLICATION_ID,)]
        assert journal.execute("PRAGMA user_version") == [(1,)]


def test_another_process_reads_what_was_written(file: Path) -> None:
    with SQLiteJournal(file) as journal:
        with pytest.raises(Exception, match="slow"):
            Agent(ScriptedBackend([call("add", a=1, b=2), RuntimeError("slow")]), tools=[add], journal=journal).run(
                "go", run_id="r"
            )
        program = """
            import sys
            from ambidex import Agent, tool
            from ambidex.sqlite_journal import SQLiteJournal
            from ambidex.testing import ScriptedBackend
            with SQLiteJournal(sys.argv[1]) as journal:
                assert journal.unfinished() == ["r"]
                backend = ScriptedBackend(["3"])
                answer = Agent(backend, tools=[], journal=journal).resume("r").answer
                print(answer, backend.requests[0].messages[-1].text)
        """
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program), str(file)], capture_output=True, text=True, timeout=60
        )
        assert (done.stdout, done.stderr) == ("3 3\n", "")
        assert journal.unfinished() == []


def test_a_run_is_held_against_other_processes_until_they_die(file: Path) -> None:
    with SQLiteJournal(file) as journal:
        program = """
            import sys, time
            from ambidex.sqlite_journal import SQLiteJournal
            log = SQLiteJournal(sys.argv[1]).open("r")
            print("held", flush=True)
            time.sleep(60)
        """
        child = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(program), str(file)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        with child, child.stdout:
            assert child.stdout.readline() == "held\n"
            with pytest.raises(RunBusy):
                journal.open("r")
            journal.open("other").close()
            child.kill()
        journal.open("r").close()


def test_two_ids_that_differ_in_case_are_two_runs(file: Path) -> None:
    with SQLiteJournal(file) as journal:
        first, second = journal.open("run"), journal.open("RUN")
        first.append(RunBegan((User("a"),)))
        second.append(RunBegan((User("b"),)))
        assert len(list(file.parent.glob("*.lock"))) == 2
        first.close()
        second.close()
        assert journal.read("run") != journal.read("RUN")


def test_many_threads_open_and_leave_one_lock(tmp_path: Path) -> None:
    """Never two at a time, though each removes the file when it leaves."""
    inside, most, taken = 0, 0, 0
    guard = threading.Lock()

    def work() -> None:
        nonlocal inside, most, taken
        for _ in range(100):
            if (lock := RunLock.take(tmp_path / "a.lock")) is not None:
                with guard:
                    inside += 1
                    most, taken = max(most, inside), taken + 1
                with guard:
                    inside -= 1
                lock.release()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert taken > 100


def test_where_locks_do_nothing_the_rows_refuse_a_second_writer(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    monkeypatch.setattr(fcntl, "flock", lambda *_: None)
    with SQLiteJournal(file) as one, SQLiteJournal(file) as two:
        first = one.open("r")
        first.read()
        first.append(RunBegan((User("go"),)))
        second = two.open("r")
        assert len(second.read()) == 1
        second.append(CallStarted(1, 0, "x", 1))
        with pytest.raises(RunBusy):
            first.append(CallStarted(1, 0, "x", 1))
        assert len(one.read("r")) == 2
        first.close()
        second.close()


def write(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def test_another_program_s_file_is_refused_and_not_touched(file: Path) -> None:
    write(file, "CREATE TABLE bookmarks (url TEXT)")
    before = file.read_bytes()
    with pytest.raises(JournalError, match="another program"):
        SQLiteJournal(file)
    assert file.read_bytes() == before


def test_a_newer_release_s_file_is_refused(file: Path) -> None:
    SQLiteJournal(file).close()
    write(file, "PRAGMA user_version = 2")
    with pytest.raises(JournalError, match="version 2; this release reads version 1"):
        SQLiteJournal(file)


@pytest.mark.parametrize("content", [b"x" * 4096, b"SQLite format 3\0" + b"\xff" * 4096, b"{}"])
def test_what_is_no_sqlite_file_is_refused(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(JournalError, match=r"runs\.sqlite"):
        SQLiteJournal(file)
    assert file.read_bytes() == content


def test_a_damaged_file_is_an_error_of_ours(file: Path) -> None:
    with SQLiteJournal(file) as journal:
        for number in range(50):
            Agent(ScriptedBackend(["x" * 2000]), tools=[], journal=journal).run("go", run_id=f"r{number}")
    content = bytearray(file.read_bytes())
    content[4096:] = b"\x55" * len(content[4096:])
    file.write_bytes(content)
    with pytest.raises(JournalError), SQLiteJournal(file) as journal:
        Agent(ScriptedBackend(), tools=[], journal=journal).resume("r3")


@pytest.mark.parametrize("body", ["'{}'", "'nonsense'", "x'ff00'", "3"])
def test_a_record_that_was_changed_is_an_error_of_ours(file: Path, body: str) -> None:
    with SQLiteJournal(file) as journal:
        Agent(ScriptedBackend(["ok"]), tools=[], journal=journal).run("go", run_id="r")
        write(file, f"UPDATE records SET body = {body} WHERE number = 1")
        with pytest.raises(JournalError, match=r"runs\.sqlite"):
            Agent(ScriptedBackend(), tools=[], journal=journal).resume("r")


def test_places_where_no_file_can_be_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing" / "runs.sqlite"):
        with pytest.raises(JournalError, match=r"cannot be opened|failed"):
            SQLiteJournal(path)


def test_a_link_in_the_lock_s_place_is_not_followed(file: Path) -> None:
    with SQLiteJournal(file) as journal:
        log = journal.open("r")
        (lock,) = file.parent.glob("*.lock")
        log.close()
        target = file.parent / "target"
        lock.symlink_to(target)
        with pytest.raises(JournalError, match="lock"):
            journal.open("r")
        assert not target.exists()


def test_sql_in_an_id_or_a_text_is_text(file: Path) -> None:
    evil = "'); DROP TABLE records; --"
    with SQLiteJournal(file) as journal:
        with pytest.raises(InvalidRequest, match="run id"):
            journal.open(evil)
        backend = ScriptedBackend([Assistant(call("add", a=1, b=2)), evil])
        Agent(backend, tools=[add], journal=journal).run(evil, run_id="r")
        again = Agent(ScriptedBackend(), tools=[], journal=journal).resume("r")
        assert (again.answer, again.messages[0]) == (evil, User(evil))
        assert journal.read(evil) == ()


def test_a_result_that_is_too_large_is_told_and_the_run_goes_on(file: Path) -> None:
    def flood() -> str:
        """Returns much."""
        return "x" * 5000

    with SQLiteJournal(file, max_record_bytes=2000) as journal:
        result = Agent(ScriptedBackend([call("flood"), "ok"]), tools=[flood], journal=journal).run("go", run_id="r")
        (told,) = results(result.messages)
        assert told.is_error
        assert "The tool ran" in told.text
        assert "max_record_bytes=2000" in told.text
        assert Agent(ScriptedBackend(), tools=[], journal=journal).resume("r") == result
        with pytest.raises(LimitExceeded, match="max_record_bytes"):
            Agent(ScriptedBackend(), tools=[], journal=journal).run("x" * 3000, run_id="big")


def test_a_closed_journal_and_a_forked_one_are_refused(file: Path) -> None:
    journal = SQLiteJournal(file)
    journal.close()
    journal.close()
    with pytest.raises(JournalError, match="closed"):
        Agent(ScriptedBackend(["ok"]), tools=[], journal=journal).run("go", run_id="r")
    with SQLiteJournal(file) as opened:
        opened._process += 1
        with pytest.raises(JournalError, match="fork"):
            opened.read("r")
        opened._process -= 1


def append_runs(file: str, name: str) -> None:
    with SQLiteJournal(file) as journal:
        for number in range(10):
            Agent(ScriptedBackend(["ok"]), tools=[], journal=journal).run("go", run_id=f"{name}-{number}")


def test_processes_share_a_file(file: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    children: list[Any] = [spawn.Process(target=append_runs, args=(str(file), name)) for name in "abc"]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0, 0, 0]
    with SQLiteJournal(file) as journal:
        assert len(journal.execute("SELECT DISTINCT run_id FROM records")) == 30
        assert journal.unfinished() == []


@pytest.fixture(autouse=True)
def no_descriptor_is_left(tmp_path: Path) -> Iterator[None]:
    yield
    opened = [path for path in Path("/proc/self/fd").glob("*") if path.is_symlink()]
    left = [target for path in opened if (target := _target(path)).startswith(str(tmp_path))]
    assert left == []


def _target(path: Path) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""
