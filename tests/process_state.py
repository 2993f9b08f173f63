"""What this process holds now: descriptors, connections, memory. Linux only, from /proc; `AVAILABLE` says so."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

AVAILABLE = Path("/proc/self/status").exists()
_SELF = Path("/proc/self")


def descriptors() -> int:
    return len(os.listdir(_SELF / "fd"))


def connections_to(port: int) -> int:
    """TCP sockets of this process whose other end is this port, open or half closed."""
    mine: set[str] = set()
    for entry in os.listdir(_SELF / "fd"):
        with suppress(OSError):
            mine.add(os.readlink(_SELF / "fd" / entry))
    lines = [line.split() for line in (_SELF / "net/tcp").read_text().splitlines()[1:]]
    return sum(line[2].endswith(f":{port:04X}") and f"socket:[{line[9]}]" in mine for line in lines)


def memory() -> int:
    """Bytes of resident memory."""
    return _status("VmRSS")


def peak_memory() -> int:
    """The most bytes that were resident since the start, or since `forget_peak`."""
    return _status("VmHWM")


def forget_peak() -> None:
    (_SELF / "clear_refs").write_text("5")


def _status(name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB$", (_SELF / "status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024
