"""The calls of one answer while they run: which may start, which took too long, what they came to. Knows no I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from .agent_events import ToolReturned
from .messages import ToolCall, ToolResult

MAX_PARALLEL = 16
"""Calls of one answer that run at the same time; the others wait for their turn."""


class ToolBatch:
    """Start what `next_call` gives, report to `returned`, also what is `overdue`, until `is_done`.

    The calls' ids are unique. Times are in seconds on the caller's clock; `tool_timeout` is for each call from its
    start.
    """

    def __init__(
        self, calls: Sequence[ToolCall], *, parallel: bool, tool_timeout: float | None, deadline: float | None
    ) -> None:
        self._calls = calls
        self._width = MAX_PARALLEL if parallel else 1
        self._tool_timeout = tool_timeout
        self._deadline = deadline
        self._waiting = deque(calls)
        self._started: dict[str, float] = {}
        self._results: dict[str, ToolResult] = {}

    @property
    def is_done(self) -> bool:
        return len(self._results) == len(self._calls)

    @property
    def results(self) -> tuple[ToolResult, ...]:
        """In the order of the calls; only when done."""
        return tuple(self._results[call.id] for call in self._calls)

    def has_result(self, call: ToolCall) -> bool:
        return call.id in self._results

    def next_call(self) -> ToolCall | None:
        """A call that may start now, if any; say `started` when it does."""
        if self._waiting and len(self._running()) < self._width:
            return self._waiting.popleft()
        return None

    def started(self, call: ToolCall, now: float) -> None:
        self._started[call.id] = now

    def returned(self, call: ToolCall, result: ToolResult, now: float) -> ToolReturned:
        """Takes a call's result."""
        self._results[call.id] = result
        return ToolReturned(call, result, now - self._started[call.id])

    def seconds_to_wait(self, now: float) -> float | None:
        """Until a limit passes; None without one."""
        ends = [] if self._deadline is None else [self._deadline]
        if self._tool_timeout is not None:
            ends += [self._started[call.id] + self._tool_timeout for call in self._running()]
        return max(0.0, min(ends) - now) if ends else None

    def overdue(self, now: float) -> list[tuple[ToolCall, ToolResult]]:
        """The running calls whose time is over, each with an error to take as its result."""
        if self._tool_timeout is None:
            return []
        text = f"The tool did not return within {self._tool_timeout:g} seconds; it may still have had effects."
        return [
            (call, failed(call, text)) for call in self._running() if now - self._started[call.id] >= self._tool_timeout
        ]

    def is_out_of_time(self, now: float) -> bool:
        """Whether the whole run's time is over."""
        return self._deadline is not None and now >= self._deadline

    def abandon(self) -> None:
        """The run stops here: what has not returned gets an error as its result, so that nothing runs twice later."""
        for call in self._calls:
            if call.id not in self._results:
                begun = call.id in self._started
                text = "before the tool returned; it may have had effects" if begun else "before the tool was run"
                self._results[call.id] = failed(call, f"The run was stopped {text}.")
        self._waiting.clear()

    def _running(self) -> list[ToolCall]:
        return [call for call in self._calls if call.id in self._started and call.id not in self._results]


def failed(call: ToolCall, text: str) -> ToolResult:
    """The result that tells the model why a call failed."""
    return ToolResult(call.id, call.name or "unknown", text, is_error=True)
