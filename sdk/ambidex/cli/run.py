"""`ambidex run`: one task, one answer."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

from ambidex.agent_events import AgentResult
from ambidex.printable_address import printable_model

from .agent_options import AgentOptions
from .narration import narrate
from .screen import Screen


def run(task: str, options: AgentOptions, *, as_json: bool, quiet: bool) -> None:
    """Answers the task on stdout.

    With tools and stdout in a pipe, only the last step's text is the answer, so it is written at the end; else it
    streams. `as_json` writes one object when the run is over.
    """
    with Screen(quiet=quiet) as screen, options.agent() as agent:
        started = time.perf_counter()
        streams = not as_json and (screen.shows_answers or not options.tools)
        result = narrate(agent.stream(task), screen, text=streams)
        seconds = time.perf_counter() - started
        if as_json:
            screen.value(as_object(options.model, result, seconds))
        elif not streams:
            screen.answer(result.answer)
        screen.end_answer()
        if not as_json:
            screen.note(_summary(result, seconds))


def as_object(model: str, result: AgentResult[Any], seconds: float) -> dict[str, Any]:
    """The object of `--json`; a count that the backend does not report is null."""
    calls: list[dict[str, Any]] = []
    for step in result.steps:
        returned = {item.call_id: item for item in step.results}
        for call in step.reply.tool_calls:
            outcome = returned.get(call.id)
            calls.append(
                {
                    "name": call.name,
                    "arguments": dict(call.arguments),
                    "result": None if outcome is None else outcome.text,
                    "is_error": None if outcome is None else outcome.is_error,
                }
            )
    return {
        "model": printable_model(model),
        "answer": result.answer,
        "finish_reason": result.steps[-1].reply.finish_reason,
        "tool_calls": calls,
        "steps": len(result.steps),
        "usage": dataclasses.asdict(result.usage),
        "seconds": round(seconds, 3),
    }


def _summary(result: AgentResult[Any], seconds: float) -> str:
    facts = [f"{len(result.steps)} steps"] if len(result.steps) > 1 else []
    if result.usage.input_tokens is not None and result.usage.output_tokens is not None:
        facts.append(f"{result.usage.input_tokens} tokens in, {result.usage.output_tokens} out")
    if not result.answer:
        facts.insert(0, "no text in the answer")
    return ", ".join([*facts, f"{seconds:.2f} s"])
