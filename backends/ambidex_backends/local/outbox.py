"""`Outbox`: an answer's way from the engine to its reader. Bounded: a reader that stops reading stops only its own."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from .outputs import Output, Piece

CAPACITY = 256
"""Outputs, about as many as tokens, that an answer may be ahead of its reader before it pauses."""


class Outbox:
    """Written by the engine's thread, read by one reader. The engine never waits here: it looks at `is_full`.

    ready   called, from the engine's thread, when there is something to take after there was nothing
    is_gone whether nobody will read any more, as far as that can be seen from here
    in_bulk `ready` is called when the outbox is half full and at the end only: waking readers costs the engine time
    """

    def __init__(
        self,
        ready: Callable[[], None],
        is_gone: Callable[[], bool] | None = None,
        *,
        in_bulk: bool = False,
        capacity: int | None = None,
    ) -> None:
        capacity = CAPACITY if capacity is None else capacity
        self._ready = ready
        self._wake_at = max(1, capacity // 2) if in_bulk else 1
        self._is_gone = is_gone
        self._capacity = capacity
        self._outputs: deque[Output] = deque()
        self._lock = threading.Lock()
        self._full = False
        self._on_room: Callable[[], None] | None = None

    def __call__(self, output: Output) -> None:
        """Puts something in; also when full: what a step gave is never lost."""
        with self._lock:
            self._outputs.append(output)
            self._full = self._full or len(self._outputs) >= self._capacity
            is_due = len(self._outputs) == self._wake_at or not isinstance(output, Piece)
        if is_due and not self.is_gone:
            self._ready()

    def take(self) -> Output | None:
        """The next output; None when there is none yet."""
        with self._lock:
            output = self._outputs.popleft() if self._outputs else None
            has_room = self._full and len(self._outputs) <= self._capacity // 2
            if has_room:
                self._full = False
        if has_room and self._on_room is not None:
            self._on_room()
        return output

    def when_room(self, call: Callable[[], None]) -> None:
        """`call` is called, from the reader's thread, when a full outbox is half empty again."""
        self._on_room = call

    @property
    def is_full(self) -> bool:
        """Whether the answer is to pause: from the moment it is full until it is half empty."""
        return self._full

    @property
    def is_gone(self) -> bool:
        return self._is_gone is not None and self._is_gone()
