"""ReAct: lines `Thought:`, `Action: NAME`, `Action Input: {...}`, and at the end `Final Answer:` or `Answer:`.

For models that know no form of their own. Thoughts are reasoning; an action and its input are a call. An input that is
no object is the one text that the tool requires. An action may also be an object with both,
`{"action": NAME, "action_input": {...}}`, mostly in a code fence. What a model writes after `Observation:` is invented,
so that it is text; the stop string "Observation" keeps it from that. Source: the ReAct paper's form as LangChain and
LlamaIndex ask for it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ambidex.events import Event, ReasoningDelta, TextDelta
from ambidex.messages import ToolCall, ToolResult
from ambidex.tools import Tool

from .call_events import CallEvents, OfferedTools, offered
from .call_form import CallForm, any_named
from .call_object import CallObject, Members
from .lenient_json import LenientReader
from .listing import compact, listed
from .turn_parser import Space, StopToken

NAMES = ("react",)
STOP_TOKENS = ("<|im_end|>", "<|eot_id|>", "</s>", "<|endoftext|>")
STOP_STRINGS = ("Observation",)
REASONING = ("<think>", "</think>")
MARKERS = ("Thought:", "Action:", "Action Input:", "Observation:", "Final Answer:", "Answer:")

MAX_INPUT = 1 << 20
"""Characters of an action's input. A longer one fails, and its raw text is kept up to here."""

_LABEL = re.compile(r"[ \t*]{0,8}(Thought|Action Input|Action|Final Answer|Answer|Observation)(?: \d{1,4})?\**:\**")
_MAX_LABEL = 40
_WORDS = ("Thought", "Action Input", "Action", "Final Answer", "Answer", "Observation")
_MAY_BE_LABEL = re.compile(
    r"[ \t*]{0,8}(?:"
    + "|".join(sorted({word[:end] for word in _WORDS for end in range(len(word))}, key=len, reverse=True))
    + "|(?:"
    + "|".join(_WORDS)
    + r")(?: \d{0,4})?\**:?)"
)


def parser(tools: OfferedTools | None = None, *, starts_in_reasoning: bool = False) -> ReActParser:
    return ReActParser(offered(tools), starts_in_reasoning=starts_in_reasoning)


class ReActParser:
    """`feed` text as it comes, `close` at its end; each gives the events that are certain by then.

    Strategy: line by line; a label at a line's beginning decides what follows up to the next label.
    """

    def __init__(self, tools: dict[str, Tool], *, starts_in_reasoning: bool) -> None:
        self._calls = CallEvents(tools)
        self._stop = StopToken(STOP_TOKENS)
        self._label = "Thought" if starts_in_reasoning else ""
        self._space = Space(drop_first=starts_in_reasoning)
        self._at_line_start = True
        self._is_over = False  # nothing is a label any more
        self._action: list[str] = []
        self._action_length = 0
        self._input: _Input | None = None
        self._unread = ""

    def feed(self, text: str) -> list[Event]:
        self._read(self._stop.feed(text), at_end=False)
        return self._take()

    def close(self) -> list[Event]:
        """The output is over; what is held is told now. Call it once."""
        self._read(self._stop.close(), at_end=True)
        self._leave()
        if self._label in ("", "Answer") and (space := self._space.end()):
            self._calls.events.append(TextDelta(space))
        return self._take()

    def _take(self) -> list[Event]:
        events, self._calls.events = self._calls.events, []
        return events

    def _read(self, text: str, *, at_end: bool) -> None:
        text = self._unread + text
        at = 0
        while at < len(text):
            if self._input is not None and self._input.is_inside:
                at = self._input.read(text, at)
                self._at_line_start = text[at - 1] == "\n"
                continue
            if self._at_line_start and not self._is_over:
                found = _LABEL.match(text, at, at + _MAX_LABEL)
                if found is not None and (found.end() < len(text) or at_end):
                    self._begin(found[1].removeprefix("Final "), found[0])
                    at = found.end()
                    self._at_line_start = False
                    continue
                rest = text[at : at + _MAX_LABEL]
                if not at_end and len(rest) < _MAX_LABEL and _MAY_BE_LABEL.fullmatch(rest):
                    break
            line_end = text.find("\n", at) + 1 or len(text)
            at = self._tell(text, at, line_end)
            self._at_line_start = text[at - 1] == "\n"
        self._unread = text[at:]

    def _begin(self, label: str, written: str) -> None:
        if label == "Action Input" and self._label == "Action":
            self._input = _Input(self._calls, "".join(self._action), written)
        else:
            self._leave()
            self._space = Space(drop_first=True)
            self._action, self._action_length = [written] if label == "Action" else [], 0
        self._label = label
        if label == "Observation":
            self._is_over, self._label = True, ""
            self._tell(written, 0, len(written))

    def _tell(self, text: str, start: int, end: int) -> int:
        if self._input is not None:
            return self._input.read(text, start, end)
        if self._label == "Action":
            if self._action_length < MAX_INPUT:
                self._action.append(text[start:end])
                self._action_length += end - start
        elif words := self._space.feed(text[start:end]):
            kind = ReasoningDelta if self._label == "Thought" else TextDelta
            self._calls.events.append(kind(words))
        return end

    def _leave(self) -> None:
        """The action, if there is one, is over."""
        if self._input is not None:
            self._input.finish()
        elif self._label == "Action":
            self._finish_action("".join(self._action))
        self._input, self._action = None, []

    def _finish_action(self, raw: str) -> None:
        """An action without an input: an object that says both, or nothing."""
        found = _action_object(raw)
        if found is None:
            self._calls.fail(raw, "the action has no input")
        elif found.name.strip() in ("Final Answer", "Answer"):
            self._calls.events.append(TextDelta(found.input if isinstance(found.input, str) else compact(found.input)))
        elif isinstance(found.input, dict):
            self._calls.start(found.name.strip())
            self._calls.arguments(found.written)
            self._calls.complete(repaired=found.repaired, raw=raw)
        else:
            text = "" if found.input is None else found.input if isinstance(found.input, str) else compact(found.input)
            _finish_text(self._calls, found.name.strip(), text, raw)


class _Input:
    """An action's input: an object, perhaps between other words, or text."""

    def __init__(self, calls: CallEvents, action: str, label: str) -> None:
        self._calls = calls
        self._raw = [action, label]
        self._length = 0
        self._before: list[str] = []
        self._object: CallObject | None = None
        self._is_odd = False
        written = action.partition(":")[2].strip().strip("*`\"'[]").strip()
        self._name, _, remark = written.partition(" ")
        self._is_odd = bool(remark)
        if self._name.endswith("()"):
            self._name, self._is_odd = self._name[:-2], True

    @property
    def is_inside(self) -> bool:
        """Whether an object is being read, in which no line is a label."""
        return self._object is not None and not self._object.is_read and self._object.problem is None

    def read(self, text: str, start: int, end: int | None = None) -> int:
        end = len(text) if end is None else end
        end = min(end, start + max(1, MAX_INPUT - self._length))
        at = start
        if self._object is None and self._name and self._length < MAX_INPUT:
            at = text.find("{", start, end)
            at = end if at < 0 else at
            self._before.append(text[start:at])
            if at < end:
                self._is_odd |= "".join(self._before).strip() not in ("", "```", "```json")
                self._calls.start(self._name)
                self._object = CallObject(Members(), self._calls, named=True)
        if self.is_inside:
            assert self._object is not None
            at = self._object.read(text, at, end)
        elif at < end:
            self._is_odd |= text[at:end].strip(" \t\r\n`") != ""
            at = end
        if self._length < MAX_INPUT:
            self._raw.append(text[start:at])
        self._length += at - start
        return at

    def finish(self) -> None:
        raw = "".join(self._raw)
        if not self._name:
            self._calls.fail(raw, "the action has no name")
        elif self._object is None:
            _finish_text(self._calls, self._name, "".join(self._before).strip(), raw)
        elif self._object.problem is not None:
            self._calls.fail(raw, f"the call is malformed: {self._object.problem}")
        elif not self._object.is_read:
            self._calls.fail(raw, "the call was cut off before it was complete")
        else:
            self._object.finish(odd=self._is_odd, raw=raw)


def _finish_text(calls: CallEvents, name: str, text: str, raw: str) -> None:
    """An input that is no object: nothing stands for no arguments, a text for the one that is required."""
    tool = calls.tools.get(name)
    required = tool.parameters.get("required") if tool is not None else None
    if text.strip("`'\"") in ("", "None", "null"):
        written = "{}"
    elif isinstance(required, list) and len(required) == 1:
        written = compact({required[0]: text.strip("\"'")})
    else:
        calls.fail(raw, "the action's input is not a JSON object")
        return
    calls.start(name)
    calls.arguments(written)
    calls.complete(repaired=True, raw=raw)


class _ActionObject(NamedTuple):
    name: str
    input: Any
    written: str  # the input as JSON
    repaired: bool


def _action_object(raw: str) -> _ActionObject | None:
    """The object that follows `Action:`, if nothing but a code fence stands around it."""
    _, _, text = raw.partition(":")
    at = text.find("{")
    if at < 0 or text[:at].strip().removeprefix("```").strip() not in ("", "json"):
        return None
    reader = LenientReader()
    end = reader.feed(text, at, len(text))
    if not reader.complete:
        return None
    value = json.loads("".join(fragment.text for fragment in reader.fragments))
    name, given = value.get("action"), value.get("action_input")
    if not isinstance(name, str) or not name.strip():
        return None
    written = "".join(fragment.text for fragment in reader.fragments if fragment.member == "action_input")
    return _ActionObject(name, given, written, reader.repaired or text[end:].strip("` \t\r\n") != "")


def call_form(tools: Sequence[Tool]) -> CallForm:
    return CallForm("", any_named(tools, lambda name: f"Action: {name}\nAction Input: "), between=None)


def render_call(call: ToolCall) -> str:
    return f"Action: {call.name}\nAction Input: {compact(dict(call.arguments))}"


def render_result(result: ToolResult) -> str:
    return f"Observation: {result.text}"


_FORM = (
    'Thought: what to do and why\nAction: TOOL_NAME\nAction Input: {"PARAMETER_NAME": "value"}\n\n'
    "Stop after the input; the result follows as `Observation:`. When no more tool is needed, write:\n\n"
    "Thought: I can answer now\nFinal Answer: the answer"
)


def render_tools(tools: Iterable[Tool]) -> str:
    return listed(tools, _FORM)
