"""Many requests through one engine: opened as room comes, answered together, each with its own outcome."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

from ambidex.errors import AmbidexError, Overloaded
from ambidex.reply import Reply
from ambidex.request import Request
from ambidex.stream import AsyncEventStream, EventStream, acollect, collect

Outcome: TypeAlias = Reply[Any] | AmbidexError

AHEAD = 2
"""Requests opened for each that can run, so that one is waiting whenever another ends."""

PAUSE_SECONDS = 0.05
"""Between two tries when others have filled the engine's queue."""


class Batch:
    """The requests of one call, and what is open of them. Threads read; the engine computes."""

    def __init__(self, open: Callable[[Request], EventStream], at_once: int) -> None:
        self._open = open
        self._at_once = at_once
        self._streams: set[EventStream] = set()
        self._stopped = False

    def run(self, requests: Sequence[Request]) -> list[Outcome]:
        """The outcomes in the order of the requests. Whatever interrupts it ends the answers that run."""
        with ThreadPoolExecutor(self._at_once, thread_name_prefix="ambidex-batch") as threads:
            futures = [threads.submit(self._answer, request) for request in requests]
            try:
                return [future.result() for future in futures]
            except BaseException:
                self._stopped = True
                threads.shutdown(wait=False, cancel_futures=True)
                for stream in list(self._streams):
                    stream.cancel()
                raise

    def _answer(self, request: Request) -> Outcome:
        try:
            stream = self._opened(request)
            self._streams.add(stream)
            if self._stopped:
                stream.cancel()
            try:
                return collect(stream)
            finally:
                self._streams.discard(stream)
        except AmbidexError as error:
            return error

    def _opened(self, request: Request) -> EventStream:
        until = time.monotonic() + request.seconds
        while True:
            try:
                return self._open(request)
            except Overloaded:
                if self._stopped or time.monotonic() > until:
                    raise
            time.sleep(PAUSE_SECONDS)


async def abatch(
    open: Callable[[Request], AsyncEventStream], requests: Sequence[Request], at_once: int
) -> list[Outcome]:
    """The async twin of `Batch.run`; cancelling its task ends the answers that run."""
    room = asyncio.Semaphore(at_once)

    async def opened(request: Request) -> AsyncEventStream:
        until = time.monotonic() + request.seconds
        while True:
            try:
                return open(request)
            except Overloaded:
                if time.monotonic() > until:
                    raise
            await asyncio.sleep(PAUSE_SECONDS)

    async def answer(request: Request) -> Outcome:
        async with room:
            try:
                return await acollect(await opened(request))
            except AmbidexError as error:
                return error

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(answer(request)) for request in requests]
    return [task.result() for task in tasks]
