"""Where an agent's run ends at the latest, and what is left of it before the next question. Knows no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .agent_events import AgentStep
from .journal import digest
from .reply import Usage

LONG_ANSWER = 16_384
"""An answer is taken to be no longer where the program sets no max_tokens: servers refuse requests for more than they
can write, so what is left of a budget is sent as max_tokens only when it is less than this."""

NO_ANSWER_IS_LONGER = 2**31
"""Tokens; what can be paid beyond them is no limit."""


@dataclass(frozen=True, slots=True)
class Limits:
    """None is no limit; what each means stands at `Agent`."""

    max_steps: int
    max_total_tokens: int | None = None
    max_cost: float | None = None
    max_tool_calls: int | None = None
    max_repeats: int | None = None
    timeout: float | None = None

    @property
    def count_tokens(self) -> bool:
        """Whether the next prompt's tokens matter."""
        return self.max_total_tokens is not None or self.max_cost is not None


def tokens_of(usage: Usage) -> int:
    """In and out; what was not reported counts as none."""
    return (usage.input_tokens or 0) + (usage.output_tokens or 0)


def expected_prompt(steps: Sequence[AgentStep]) -> int:
    """At least so many tokens the next prompt has, where nobody counts them: the last one's, and its answer's."""
    return tokens_of(steps[-1].reply.usage) if steps else 0


def affordable_tokens(max_cost: float, steps: Sequence[AgentStep], prompt: int) -> int | None:
    """New tokens that the next answer may have for its cost to stay within; 0 or less: none. None: nothing is known.

    Prices are not known, but bounded by what was paid: no new token cost more than the whole of its step did, and
    a token of a prompt costs no more than a new one, so at most the step's mean. Cached tokens are cheaper than
    others, hence the dearest mean.
    """
    paid = [usage for step in steps if (usage := step.reply.usage).cost is not None]
    spent = sum(usage.cost or 0.0 for usage in paid)
    if spent >= max_cost:
        return 0
    per_prompt_token = max(((usage.cost or 0.0) / tokens_of(usage) for usage in paid if tokens_of(usage)), default=0.0)
    per_new_token = min(
        ((usage.cost or 0.0) / usage.output_tokens for usage in paid if usage.output_tokens), default=0.0
    )
    left = max_cost - spent - per_prompt_token * prompt
    if left <= 0:
        return 0
    return None if left > per_new_token * NO_ANSWER_IS_LONGER else int(left / per_new_token)


def repeats(steps: Sequence[AgentStep]) -> int:
    """How many of the last steps made the same calls, with the same results."""
    if not steps or not steps[-1].reply.tool_calls:
        return 0
    last = _what_was_done(steps[-1])
    count = 0
    for step in reversed(steps):
        if _what_was_done(step) != last:
            break
        count += 1
    return count


def _what_was_done(step: AgentStep) -> list[object]:
    results = {result.call_id: (result.parts, result.is_error) for result in step.results}
    return [(digest(call), results.get(call.id)) for call in step.reply.tool_calls]
