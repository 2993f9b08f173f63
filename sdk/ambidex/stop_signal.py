"""`StopSignal`: how another thread ends a run."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future


class StopSignal:
    """Asked for once, from any thread; seen by the model's stream under way and by the tools that are waited for."""

    def __init__(self) -> None:
        self.requested: Future[None] = Future()
        self._lock = threading.Lock()
        self._listener: Callable[[], None] | None = None

    @property
    def is_requested(self) -> bool:
        return self.requested.done()

    def request(self) -> None:
        with self._lock:
            if self.requested.done():
                return
            self.requested.set_result(None)
            listener = self._listener
        if listener is not None:
            listener()

    def tell(self, listener: Callable[[], None]) -> None:
        """From now on `listener` is who is told, at once if it is too late already."""
        with self._lock:
            self._listener = listener
            is_late = self.requested.done()
        if is_late:
            listener()
