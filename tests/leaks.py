"""What a test leaves behind: open sockets and threads, and asyncio's tasks."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

SECONDS = 0.5
"""So long may what was ended take to be gone."""

_DESCRIPTORS = Path("/proc/self/fd")


def sockets() -> set[str]:
    """The open sockets of this process, by the system's numbers; where there is no /proc, none."""
    found: set[str] = set()
    if _DESCRIPTORS.is_dir():
        for entry in os.listdir(_DESCRIPTORS):
            try:
                target = os.readlink(_DESCRIPTORS / entry)
            except OSError:  # closed meanwhile
                continue
            if target.startswith("socket:"):
                found.add(target)
    return found


@contextmanager
def nothing_left(seconds: float = SECONDS) -> Generator[None]:
    """Fails if sockets or threads that were not there before are still there so long after the block.

    Nothing is collected for it: what only the collector would close is left behind.
    """
    before_sockets, before_threads = sockets(), set(threading.enumerate())
    yield
    until = time.monotonic() + seconds
    while True:
        left: list[object] = [*(sockets() - before_sockets), *(set(threading.enumerate()) - before_threads)]
        if not left:
            return
        if time.monotonic() > until:
            pytest.fail(f"left behind after {seconds} s: {left}")
        time.sleep(0.005)


async def no_task_left(seconds: float = SECONDS) -> None:
    """Fails if this event loop still has other tasks than the one that asks, so long after."""
    until = time.monotonic() + seconds
    while others := asyncio.all_tasks() - {asyncio.current_task()}:
        if time.monotonic() > until:
            pytest.fail(f"tasks left behind after {seconds} s: {others}")
        await asyncio.sleep(0.005)


@pytest.fixture
def leak_check() -> Generator[None]:
    """A test that leaves no socket and no thread."""
    with nothing_left():
        yield
