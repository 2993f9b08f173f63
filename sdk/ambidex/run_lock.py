"""A lock on a file: held by one holder at a time, in this process or another, and gone when its process dies."""

from __future__ import annotations

import os
from pathlib import Path

from .errors import ConfigError, JournalError

try:
    import fcntl
except ImportError:  # Windows has no flock
    fcntl = None  # type: ignore[assignment]


class RunLock:
    """Holds the file's `flock` until `release`, which removes the file. The kernel releases it at a SIGKILL, too."""

    def __init__(self, file: Path, descriptor: int) -> None:
        self._file = file
        self._descriptor: int | None = descriptor

    @classmethod
    def take(cls, file: Path) -> RunLock | None:
        """The lock, or None while somebody else has it. Never waits. Raises `JournalError`, `ConfigError`."""
        if fcntl is None:
            raise ConfigError("SQLiteJournal needs flock, which this system does not have: use a POSIX system.")
        while True:
            try:
                descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            except OSError as problem:
                raise JournalError(f"The lock {str(file)!r} cannot be opened: {problem.strerror}.") from None
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(descriptor).st_ino == os.stat(file).st_ino:
                    return cls(file, descriptor)
            except BlockingIOError:
                os.close(descriptor)
                return None
            except FileNotFoundError:
                pass
            except OSError as problem:
                os.close(descriptor)
                raise JournalError(f"The lock {str(file)!r} cannot be taken: {problem.strerror}.") from None
            os.close(descriptor)  # the holder before removed the file between our two calls: this lock guards nothing

    def release(self) -> None:
        """May be called again."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            self._file.unlink(missing_ok=True)  # first: who opens it afterwards gets a new file
            os.close(descriptor)
