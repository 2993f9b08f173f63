"""`SQLiteJournal`: the journal of agents' runs in an SQLite file, durable record by record.

Each record is one row and one transaction, synced to the disk before the agent goes on: write-ahead logging with
synchronous=FULL survives the death of the process and of the machine. A run is held by a lock that the system
releases when its process dies; where a file system has no such locks, the rows' own key refuses the second writer.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .decoding import check_integer
from .errors import InvalidRequest, JournalError, LimitExceeded
from .journal import Record, RunLog, busy, checked_run_id
from .journal_json import decode, encode, kind
from .option_names import refuses_unknown_options
from .run_lock import RunLock

APPLICATION_ID = 0x416D624A
"""Says in the file's head whose it is ("AmbJ"); SQLite's PRAGMA application_id."""

VERSION = 1
"""Of the schema; PRAGMA user_version."""

BUSY_SECONDS = 30.0
"""How long a write waits for writers of other runs."""

_SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE records (
  run_id TEXT NOT NULL,
  number INTEGER NOT NULL, -- counted from 0 in each run
  kind TEXT NOT NULL,
  body TEXT NOT NULL, -- JSON, see journal_json.py
  written REAL NOT NULL, -- seconds since 1970
  PRIMARY KEY (run_id, number)
);
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
COMMIT;
"""


@refuses_unknown_options()
class SQLiteJournal:
    """A journal in a file, for any number of runs, threads and processes of one machine.

        journal = SQLiteJournal("runs.sqlite")
        agent = Agent("local:pocket", tools=[pay], journal=journal)
        agent.run("Pay invoice 17.", run_id="invoice-17")

    path              the file; made with mode 0600 where there is none. It holds tasks, answers, arguments and results
                      in clear text, and never a key
    max_record_bytes  of one record; a tool's result beyond it is replaced by a sentence that says so

    Raises `JournalError` for a file that is something else, damaged, or of a newer release.
    """

    blocking = True

    def __init__(self, path: str | os.PathLike[str], *, max_record_bytes: int = 32 * 1024 * 1024) -> None:
        check_integer(max_record_bytes, "max_record_bytes", at_least=1024, at_most=512 * 1024 * 1024)
        self.path = Path(path).absolute()
        self._max_bytes = max_record_bytes
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._connection: sqlite3.Connection | None = self._connect()

    def open(self, run_id: str, /) -> RunLog:
        """Takes the run. Raises `RunBusy` while another holder lives."""
        name = hashlib.sha256(checked_run_id(run_id).encode()).hexdigest()[:32]  # ids may differ in case alone
        lock = RunLock.take(self.path.with_name(f"{self.path.name}-{name}.lock"))
        if lock is None:
            raise busy(run_id)
        return _SQLiteLog(self, run_id, lock)

    def unfinished(self) -> list[str]:
        """The ids of the runs that began and did not finish, oldest first."""
        rows = self.execute(
            "SELECT run_id FROM records GROUP BY run_id HAVING sum(kind = 'run_ended') = 0 ORDER BY min(written)"
        )
        return [row[0] for row in rows]

    def forget(self, run_id: str) -> None:
        """Deletes all that is known of a run. Raises `RunBusy` while it goes on."""
        log = self.open(run_id)
        try:
            self.execute("DELETE FROM records WHERE run_id = ?", run_id)
        finally:
            log.close()

    def read(self, run_id: str) -> tuple[Record, ...]:
        """The records of a run so far."""
        rows = self.execute("SELECT CAST(body AS TEXT) FROM records WHERE run_id = ? ORDER BY number", run_id)
        try:
            return tuple(decode(body) for (body,) in rows)
        except InvalidRequest as problem:
            raise JournalError(f"The run {run_id!r} in {self._name} cannot be read: {problem}", run_id=run_id) from None

    def add(self, run_id: str, number: int, record: Record) -> None:
        """Adds the record as the `number`-th. Raises `RunBusy` where there is one already: another holder wrote it."""
        body = encode(record)
        if (size := len(body.encode())) > self._max_bytes:
            raise LimitExceeded(
                f"A record of {size} bytes is larger than this journal takes (max_record_bytes={self._max_bytes}).",
                name="max_record_bytes",
                limit=self._max_bytes,
            )
        try:
            self.execute("INSERT INTO records VALUES (?, ?, ?, ?, ?)", run_id, number, kind(record), body, time.time())
        except sqlite3.IntegrityError:
            raise busy(run_id) from None

    def execute(self, statement: str, *values: Any) -> list[Any]:
        """Runs one statement in a transaction of its own; its rows. Raises `JournalError` for SQLite's errors."""
        with self._lock:
            if self._connection is None:
                raise JournalError(f"The journal {self._name} was closed.")
            if os.getpid() != self._process:
                raise JournalError(f"The journal {self._name} was opened before a fork: open it anew in each process.")
            try:
                return self._connection.execute(statement, values).fetchall()
            except sqlite3.IntegrityError:
                raise
            except sqlite3.Error as problem:
                raise self._failed(problem) from None

    def close(self) -> None:
        """Closes the file. May be called again."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_connection", None) is not None and os.getpid() == self._process:
            self.close()

    def __repr__(self) -> str:
        return f"SQLiteJournal({str(self.path)!r})"

    @property
    def _name(self) -> str:
        return repr(str(self.path))

    def _connect(self) -> sqlite3.Connection:
        try:
            _make_private(self.path)
        except OSError as problem:
            raise JournalError(f"The journal {self._name} cannot be opened: {problem.strerror}.") from None
        try:
            # check_same_thread: every use is under our own lock. isolation_level: each statement commits by itself.
            connection = sqlite3.connect(self.path, BUSY_SECONDS, check_same_thread=False, isolation_level=None)
        except sqlite3.Error as problem:
            raise self._failed(problem) from None
        try:
            self._prepare(connection)
        except (sqlite3.Error, JournalError) as problem:
            connection.close()
            raise (problem if isinstance(problem, JournalError) else self._failed(problem)) from None
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Makes or checks the tables; changes nothing in a file that is not ours."""

        def ask(statement: str) -> int:
            value: int = connection.execute(statement).fetchone()[0]
            return value

        def is_empty() -> bool:
            return ask("PRAGMA application_id") == 0 and ask("SELECT count(*) FROM sqlite_master") == 0

        if is_empty():
            connection.execute("PRAGMA journal_mode = WAL")
            try:
                connection.executescript(_SCHEMA)
            except sqlite3.OperationalError:  # another process made the tables in between
                if connection.in_transaction:
                    connection.rollback()
                if is_empty():
                    raise
        if ask("PRAGMA application_id") != APPLICATION_ID:
            raise JournalError(f"{self._name} is an SQLite file of another program, no journal. Give another path.")
        if (version := ask("PRAGMA user_version")) != VERSION:
            raise JournalError(
                f"The journal {self._name} has version {version}; this release reads version {VERSION}. "
                "A newer release of Ambidex wrote it: use that, or give another path."
            )
        # A commit returns when it is on the disk; EXTRA also where the file system takes no write-ahead log.
        connection.execute("PRAGMA synchronous = EXTRA")
        connection.execute("PRAGMA fullfsync = ON")  # macOS: to the disk, not only to its cache
        connection.execute("PRAGMA trusted_schema = OFF")

    def _failed(self, problem: sqlite3.Error) -> JournalError:
        if isinstance(problem, sqlite3.OperationalError):
            return JournalError(f"The journal {self._name} failed: {problem}. Is the disk full, or the file locked?")
        return JournalError(f"{self._name} is no SQLite file or is damaged: {problem}. Give another path.")


class _SQLiteLog:
    def __init__(self, journal: SQLiteJournal, run_id: str, lock: RunLock) -> None:
        self._journal = journal
        self._run_id = run_id
        self._lock = lock
        self._number = 0

    def read(self) -> Sequence[Record]:
        records = self._journal.read(self._run_id)
        self._number = len(records)
        return records

    def append(self, record: Record) -> None:
        self._journal.add(self._run_id, self._number, record)
        self._number += 1

    def close(self) -> None:
        self._lock.release()


def _make_private(path: Path) -> None:
    """An empty file of mode 0600 where there is none, its name synced; SQLite gives its side files the same mode."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
