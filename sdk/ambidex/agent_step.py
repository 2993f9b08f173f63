"""One run of an agent as a state that knows no I/O: what is asked next, what is run, when it is over."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from .agent_events import AgentResult, AgentStep, Stopped
from .agent_limits import LONG_ANSWER, Limits, affordable_tokens, expected_prompt, repeats, tokens_of
from .call_pairing import pending_calls
from .conversation import with_unique_call_ids
from .errors import DeadlineExceeded, LimitReached, OutputInvalid, Unsupported
from .events import Event, Finished
from .messages import InvalidToolCall, Message, ToolCall, ToolResult
from .reply import Reply, Usage
from .request import DEFAULT_TIMEOUT, Request
from .structured_answer import correction, with_value

MAX_REPAIRS = 2
"""How often in a run an answer that does not fit `output` is sent back with its problems."""

CLOCK_SKEW = 0.1
"""Seconds by which a backend may end a request before the run's own time is over."""

WHOLE = ("stop", "tool_calls", "other")
"""Finish reasons after which an answer's calls may run: whoever is cut off may have been about to say more."""


@dataclass
class AgentRun:
    """Ask `request`, give the answer's events to `take`, run `calls`, give the results to `returned`.

    Until `stopped` says more than "unfinished". Times are in seconds on one clock, whichever the caller has. Calls
    that wait in `messages` are run first. `options` is a request whose messages are replaced. A run that the journal
    has is given its answers and results once more, in their order, and is then where it was.
    """

    messages: list[Message]
    limits: Limits
    options: Request
    started: float
    run_id: str | None = None
    steps: list[AgentStep] = field(default_factory=list[AgentStep])
    stopped: Stopped = "unfinished"

    def __post_init__(self) -> None:
        self.begin(self.messages)

    def begin(self, messages: Sequence[Message]) -> None:
        """Takes the conversation to start from."""
        self.messages = list(messages)
        self.calls: tuple[ToolCall, ...] = pending_calls(self.messages)
        """To be run before the next request."""
        self._unread: dict[str, ToolResult] = {}
        self._repairs = 0
        self._tool_calls = 0
        self._cut_by: Stopped | None = None

    @property
    def deadline(self) -> float | None:
        return None if self.limits.timeout is None else self.started + self.limits.timeout

    def request(self, now: float) -> Request:
        """The next request, to be `bounded`. Raises `LimitReached`."""
        self.check_limits(now)
        timeout = None if self.deadline is None else min(DEFAULT_TIMEOUT, self.deadline - now)
        return dataclasses.replace(self.options, messages=tuple(self.messages), timeout=timeout)

    def bounded(self, request: Request, prompt: int | None, context: int | None) -> Request:
        """The request with a max_tokens that no limit is exceeded by. Raises `LimitReached` where there is none.

        `prompt` is how many tokens its prompt has, `context` how many the model takes; None: nobody knows.
        """
        if not self.limits.count_tokens:
            return request
        prompt = expected_prompt(self.steps) if prompt is None else prompt
        room = self._room(prompt)
        if room is None:
            return request
        longest = LONG_ANSWER if context is None else context - prompt
        if room >= (request.max_tokens or longest):
            self._cut_by = None
            return request
        return dataclasses.replace(request, max_tokens=room)

    def _room(self, prompt: int) -> int | None:
        """New tokens that the next answer may have; None: as many as it likes. Raises `LimitReached`."""
        limits, rooms = self.limits, dict[Stopped, int]()
        self._cut_by = None
        if limits.max_total_tokens is not None:
            used = tokens_of(self.usage)
            rooms["max_total_tokens"] = limits.max_total_tokens - used - prompt
            if rooms["max_total_tokens"] < 1:
                what = f"{used} of {limits.max_total_tokens} tokens were used (max_total_tokens), and the next prompt"
                raise self._limit_reached("max_total_tokens", f"{what} has {prompt}")
        if limits.max_cost is not None and (room := affordable_tokens(limits.max_cost, self.steps, prompt)) is not None:
            rooms["max_cost"] = room
            if room < 1:
                spent = self.usage.cost or 0.0
                what = f"{spent:g} of {limits.max_cost:g} was spent (max_cost)"
                raise self._limit_reached("max_cost", f"{what}, and the next step would not fit")
        if not rooms:
            return None
        self._cut_by, room = min(rooms.items(), key=lambda item: item[1])
        return room

    def is_whole(self, answer: Finished) -> bool:
        """Whether the run goes on from this answer: it was neither cancelled nor cut off by a limit of the run's."""
        reason = answer.choices[0].finish_reason
        return reason != "cancelled" and not (reason == "length" and self._cut_by and not _calls_in(answer))

    def take(self, event: Event, now: float) -> Event:
        """Takes an event of the answer; what to pass on for it. Raises `LimitReached`, `OutputInvalid`."""
        if not isinstance(event, Finished):
            self._check_time(now)
            return event
        if event.choices[0].finish_reason == "cancelled":
            self.stopped = "cancelled"
            return event
        if not self.is_whole(event) and self._cut_by is not None:
            self.steps.append(AgentStep(_reply(event)))  # what it used counts; the conversation goes on without it
            raise self._limit_reached(
                self._cut_by, f"its last answer was cut off, for no more was left ({self._cut_by})"
            )
        event, invalid = with_unique_call_ids(event), None
        try:
            event = with_value(event, self.options)
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
        self.messages.append(message)
        self.steps.append(AgentStep(_reply(finished)))
        calls = _calls_in(finished)
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
        self.messages.append(correction(invalid))

    def returned(self, results: Sequence[ToolResult]) -> None:
        """Takes the results of `calls`."""
        self._tool_calls += len(self.calls)
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
        limits = self.limits
        if len(self.steps) >= limits.max_steps:
            raise self._limit_reached("max_steps", f"{limits.max_steps} steps were taken (max_steps)")
        tokens = tokens_of(self.usage)
        if limits.max_total_tokens is not None and tokens >= limits.max_total_tokens:
            raise self._limit_reached("max_total_tokens", f"{tokens} tokens were used (max_total_tokens)")
        if limits.max_cost is not None:
            if any(step.reply.usage.cost is None for step in self.steps):
                raise Unsupported(
                    "max_cost needs a backend that reports costs, and this one did not.", param="max_cost"
                )
            if (cost := self.usage.cost or 0.0) >= limits.max_cost:
                raise self._limit_reached("max_cost", f"{cost:g} was spent (max_cost)")
        if limits.max_tool_calls is not None and self._tool_calls + len(self.calls) > limits.max_tool_calls:
            what = f"{self._tool_calls} calls were run, and {len(self.calls)} more are asked for (max_tool_calls)"
            raise self._limit_reached("max_tool_calls", what)
        if limits.max_repeats is not None and not self.calls and repeats(self.steps) >= limits.max_repeats:
            what = f"the same call returned the same {limits.max_repeats} times in a row (max_repeats)"
            raise self._limit_reached("max_repeats", what)
        self._check_time(now)

    def _check_time(self, now: float) -> None:
        if self.deadline is not None and now >= self.deadline:
            raise self._out_of_time()

    def _out_of_time(self) -> LimitReached:
        return self._limit_reached("timeout", f"{self.limits.timeout:g} seconds passed (timeout)")

    def _limit_reached(self, limit: Stopped, what: str) -> LimitReached:
        self.stopped = limit
        go_on = "agent.run(error.result.messages)" if self.run_id is None else f"agent.resume({self.run_id!r})"
        return LimitReached(
            f"The agent was stopped before it had finished: {what}. The run so far is in .result; "
            f"{go_on} goes on from there.",
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
            run_id=self.run_id,
        )


def _reply(finished: Finished) -> Reply[Any]:
    return Reply(
        finished.choices, finished.usage, finished.timings, finished.model, finished.request_id, finished.value
    )


def _calls_in(answer: Finished) -> list[ToolCall | InvalidToolCall]:
    return [part for part in answer.choices[0].message.parts if isinstance(part, (ToolCall, InvalidToolCall))]


def _unreadable(call: InvalidToolCall) -> ToolResult:
    text = f"This call could not be read and was not run: {call.problem}. Call the tool again with valid JSON."
    return ToolResult(call.id, call.name or "unknown", text, is_error=True)


def _cut_off(call: ToolCall | InvalidToolCall, reason: str | None) -> ToolResult:
    text = (
        f"Nothing was run: your answer was cut off (finish reason {reason!r}), so its calls may be incomplete. "
        "Call again, with shorter arguments or fewer calls at a time."
    )
    return ToolResult(call.id, call.name or "unknown", text, is_error=True)
