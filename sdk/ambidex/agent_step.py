"""One run of an agent as a state that knows no I/O: what is asked next, what is run, when it is over."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from .agent_events import AgentResult, AgentStep, Stopped
from .call_pairing import pending_calls
from .conversation import with_unique_call_ids, with_value
from .errors import DeadlineExceeded, LimitReached, OutputInvalid
from .events import Event, Finished
from .messages import InvalidToolCall, Message, ToolCall, ToolResult, User
from .reply import Reply, Usage
from .request import DEFAULT_TIMEOUT, Request

MAX_REPAIRS = 2
"""How often in a run an answer that does not fit `output` is sent back with its problems."""

CLOCK_SKEW = 0.1
"""Seconds by which a backend may end a request before the run's own time is over."""

WHOLE = ("stop", "tool_calls", "other")
"""Finish reasons after which an answer's calls may run: whoever is cut off may have been about to say more."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Where a run ends at the latest; None is no limit."""

    max_steps: int
    max_total_tokens: int | None
    timeout: float | None


@dataclass
class AgentRun:
    """Ask `request`, give the answer's events to `take`, run `calls`, give the results to `returned`.

    Until `stopped` says more than "unfinished". Times are in seconds on one clock, whichever the caller has. Calls
    that wait in `messages` are run first. `options` is a request whose messages are replaced.
    """

    messages: list[Message]
    limits: Limits
    options: Request
    started: float
    steps: list[AgentStep] = field(default_factory=list[AgentStep])
    stopped: Stopped = "unfinished"

    def __post_init__(self) -> None:
        self.calls: tuple[ToolCall, ...] = pending_calls(self.messages)
        """To be run before the next request."""
        self._unread: dict[str, ToolResult] = {}
        self._repairs = 0

    @property
    def deadline(self) -> float | None:
        return None if self.limits.timeout is None else self.started + self.limits.timeout

    def request(self, now: float) -> Request:
        """The next request. Raises `LimitReached`."""
        self.check_limits(now)
        timeout = None if self.deadline is None else min(DEFAULT_TIMEOUT, self.deadline - now)
        return dataclasses.replace(self.options, messages=tuple(self.messages), timeout=timeout)

    def take(self, event: Event, request: Request, now: float) -> Event:
        """Takes an event of the answer; what to pass on for it. Raises `LimitReached`, `OutputInvalid`."""
        if not isinstance(event, Finished):
            self._check_time(now)
            return event
        if event.choices[0].finish_reason == "cancelled":
            self.stopped = "cancelled"
            return event
        event, invalid = with_unique_call_ids(event), None
        try:
            event = with_value(event, request)
        except OutputInvalid as error:
            invalid = error
        self.answered(event, invalid)
        return event

    def failure(self, error: Exception, now: float) -> Exception:
        """What to raise for an error of the backend: the run's own limit where that is what ended the request."""
        ends_now = self.deadline is not None and now > self.deadline - CLOCK_SKEW
        return self._out_of_time() if isinstance(error, DeadlineExceeded) and ends_now else error

    def answered(self, finished: Finished, invalid: OutputInvalid | None = None) -> None:
        """Takes the whole answer, its call ids unique. `invalid`: why its text is no value of `output`."""
        choice = finished.choices[0]
        message = choice.message
        reply = Reply(
            finished.choices, finished.usage, finished.timings, finished.model, finished.request_id, finished.value
        )
        self.messages.append(message)
        self.steps.append(AgentStep(reply))
        calls = [part for part in message.parts if isinstance(part, (ToolCall, InvalidToolCall))]
        if choice.finish_reason in WHOLE:
            self.calls = message.tool_calls
            self._unread = {call.id: _unreadable(call) for call in message.invalid_calls}
        else:
            self._unread = {call.id: _cut_off(call, choice.finish_reason) for call in calls}
        if calls and not self.calls:
            self.returned(())
        if calls:
            return
        if invalid is None:
            self.stopped = "finished"
            return
        self._repairs += 1
        if self._repairs > MAX_REPAIRS:
            raise invalid
        self.messages.append(User(f"{invalid.message}\nAnswer again with the whole corrected value and nothing else."))

    def returned(self, results: Sequence[ToolResult]) -> None:
        """Takes the results of `calls`."""
        by_id = self._unread | {result.call_id: result for result in results}
        ordered = tuple(by_id.values())
        if self.steps:
            last = self.steps[-1]
            parts = last.reply.message.parts
            ordered = tuple(by_id[part.id] for part in parts if isinstance(part, (ToolCall, InvalidToolCall)))
            self.steps[-1] = AgentStep(last.reply, ordered)
        self.messages += ordered
        self.calls, self._unread = (), {}

    def check_limits(self, now: float) -> None:
        """Raises `LimitReached` if the run may not go on."""
        if len(self.steps) >= self.limits.max_steps:
            raise self._limit_reached("max_steps", f"{self.limits.max_steps} steps were taken (max_steps)")
        used = self.usage
        tokens = (used.input_tokens or 0) + (used.output_tokens or 0)
        if self.limits.max_total_tokens is not None and tokens >= self.limits.max_total_tokens:
            raise self._limit_reached("max_total_tokens", f"{tokens} tokens were used (max_total_tokens)")
        self._check_time(now)

    def _check_time(self, now: float) -> None:
        if self.deadline is not None and now >= self.deadline:
            raise self._out_of_time()

    def _out_of_time(self) -> LimitReached:
        return self._limit_reached("timeout", f"{self.limits.timeout:g} seconds passed (timeout)")

    def _limit_reached(self, limit: Stopped, what: str) -> LimitReached:
        self.stopped = limit
        return LimitReached(
            f"The agent was stopped before it had finished: {what}. The run so far is in .result; "
            "agent.run(error.result.messages) goes on from there.",
            result=self.result(),
        )

    @property
    def usage(self) -> Usage:
        return sum((step.reply.usage for step in self.steps), Usage())

    def result(self) -> AgentResult[Any]:
        """The run so far."""
        last = self.steps[-1].reply if self.steps else None
        return AgentResult(
            answer=last.text if last else "",
            value=last.value if last else None,
            messages=tuple(self.messages),
            steps=tuple(self.steps),
            usage=self.usage,
            stopped=self.stopped,
        )


def _unreadable(call: InvalidToolCall) -> ToolResult:
    text = f"This call could not be read and was not run: {call.problem}. Call the tool again with valid JSON."
    return ToolResult(call.id, call.name or "unknown", text, is_error=True)


def _cut_off(call: ToolCall | InvalidToolCall, reason: str | None) -> ToolResult:
    text = (
        f"Nothing was run: your answer was cut off (finish reason {reason!r}), so its calls may be incomplete. "
        "Call again, with shorter arguments or fewer calls at a time."
    )
    return ToolResult(call.id, call.name or "unknown", text, is_error=True)
