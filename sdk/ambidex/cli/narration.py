"""A run told as it happens: the answer's text, and beside it reasoning, tool calls and what they returned."""

from __future__ import annotations

import contextlib
from typing import Any

from ambidex.agent_events import AgentResult, ToolReturned, ToolStarted
from ambidex.agent_stream import AgentStream
from ambidex.events import Finished, ReasoningDelta, Restarted, TextDelta, ToolCallFailed
from ambidex.messages import ToolCall

from .screen import Screen

LONGEST = 500
"""Characters shown of a call or its result; the model sees all of it."""

_CUT_OFF: dict[str | None, str] = {
    "length": "The answer was cut off at its limit of tokens; --max-tokens sets another.",
    "content_filter": "The provider cut the answer off (content filter).",
}


def narrate(stream: AgentStream[Any], screen: Screen, *, text: bool) -> AgentResult[Any]:
    """Reads the stream to its end and tells it, where `text` the answer's text too; what tools print goes to stderr."""
    with stream, contextlib.redirect_stdout(screen.err):
        screen.wait("waiting for the model")
        for event in stream:
            match event:
                case TextDelta(piece):
                    if text:
                        screen.answer(piece)
                case ReasoningDelta(piece):
                    screen.reasoning(piece)
                case Restarted(reason):
                    screen.note(f"The answer starts again: {reason}")
                case ToolCallFailed(call):
                    screen.note(f"✗ a call could not be read and is not run: {call.problem}", "yellow")
                case ToolStarted(call):
                    screen.note(f"→ {written(call)}", "cyan")
                case ToolReturned(call, result, seconds):
                    mark, style = ("✗", "yellow") if result.is_error else ("←", "dim")
                    screen.note(f"{mark} {call.name}: {shortened(result.text)} ({seconds:.2f} s)", style)
                case Finished(choices):
                    if text:
                        screen.end_answer()
                    if (why := _CUT_OFF.get(choices[0].finish_reason)) is not None:
                        screen.note(why, "yellow")
                case _:
                    pass
    return stream.result


def written(call: ToolCall) -> str:
    """The call as the model wrote it: name and JSON of the arguments."""
    return f"{call.name}({shortened(call.arguments_json)})"


def shortened(text: str) -> str:
    text = text.replace("\r\n", "\n").rstrip("\n")
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… (and {len(text) - LONGEST} characters more)"
