"""What a right reply is. Held-out dialogues become cases, one for every turn that the assistant has to write.

* A call is right when names and arguments of all calls are exactly those expected; *valid*, when it names an offered
  tool and its arguments fit the tool's schema, whether or not they are what the user wanted.
* An answer is right when it is the expected sentence (small talk, questions, refusals) or, after a tool's result, when
  every value of the result that the expected sentence mentions stands in it somewhere ("did not work" for an error), in
  small or capital letters; after yes or no, when it begins as the expected one. So the wording is free, and an answer
  that says more than it should may pass.
* Every turn has to stop by itself as well.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ambidex import Tool
from ambidex.errors import ToolArgumentsInvalid

from .data import evaluation_dialogues, small_talk
from .offered import NOTHING, Message
from .words import Words

CALL = re.compile(r"<tool_call>\s*(.*?)\s*</tool_call>", re.DOTALL)
Call = dict[str, Any]


@dataclass(frozen=True)
class Reply:
    """What a model wrote: its text or its calls (None: not readable), and whether it stopped by itself."""

    text: str
    calls: list[Call] | None
    stopped: bool


@dataclass(frozen=True)
class Case:
    """A turn to be written: what came before, what is expected, and the row of the table it counts for."""

    skill: str
    messages: list[Message]
    tools: list[dict[str, Any]]
    expected: Message

    @property
    def wanted(self) -> list[Call]:
        """The expected calls."""
        calls = self.expected.get("tool_calls") or []
        return [{"name": c["function"]["name"], "arguments": c["function"]["arguments"]} for c in calls]

    @property
    def results(self) -> list[str]:
        """The tools' results that the reply has to report."""
        results: list[str] = []
        for earlier in reversed(self.messages):
            if earlier["role"] != "tool":
                break
            results.insert(0, str(earlier["content"]))
        return results

    @property
    def row(self) -> str:
        """The row of the table."""
        if self.wanted:
            return "calls: " + self.skill
        if self.results:
            return "answers: error" if "did not work" in self.expected["content"] else "answers: result"
        return self.skill

    @property
    def user(self) -> str:
        """The user's last words."""
        return next((str(m["content"]) for m in reversed(self.messages) if m["role"] == "user"), "")


def cases(per_skill: int, talk_before: int = 0) -> Iterator[Case]:
    """The turns of the held-out dialogues. Of follow-ups only the second question counts.

    With ``talk_before`` so many turns of small talk stand between the system message and the dialogue.
    """
    for number, dialogue in enumerate(evaluation_dialogues(per_skill)):
        messages = dialogue["messages"]
        system = messages[:1] if messages[0]["role"] == "system" else []
        talk = small_talk_before(random.Random(number), talk_before)
        for index, message in enumerate(messages):
            if message["role"] == "assistant" and not (dialogue["skill"] == "follow-up" and index < 4):
                before = [*system, *talk, *messages[len(system) : index]]
                yield Case(dialogue["skill"], before, dialogue["tools"], message)


def small_talk_before(rng: random.Random, turns: int) -> list[Message]:
    """So many turns of small talk, as in training."""
    said = [small_talk(Words(rng)) for _ in range(turns)]
    return [
        message
        for user, assistant in said
        for message in ({"role": "user", "content": user}, {"role": "assistant", "content": assistant})
    ]


def parse_calls(text: str) -> list[Call] | None:
    """The calls in a reply as the model wrote it; None if one of them is not whole or not JSON."""
    calls: list[Call] = []
    for body in CALL.findall(text):
        try:
            call = json.loads(body)
            calls.append({"name": call["name"], "arguments": call["arguments"]})
        except (ValueError, KeyError, TypeError):
            return None
    return calls if text.count("<tool_call>") == len(calls) else None


def valid(reply: Reply, tools: list[dict[str, Any]]) -> bool:
    """Whether all calls of ``reply`` could be run."""
    offered = {item["function"]["name"]: Tool.from_openai(item) for item in tools}
    for call in reply.calls or []:
        if call["name"] not in offered or not isinstance(call["arguments"], dict):
            return False
        try:
            offered[call["name"]].bind(call["arguments"])
        except ToolArgumentsInvalid:
            return False
    return reply.calls is not None


def right(case: Case, reply: Reply) -> bool:
    """Whether ``reply`` is what the case asks for."""
    if not reply.stopped or reply.calls is None:
        return False
    if case.wanted:
        return reply.calls == case.wanted
    return not reply.calls and right_answer(reply.text, str(case.expected["content"]), case.results)


def right_tools(case: Case, reply: Reply) -> bool:
    """Whether the right tools are called, whatever the arguments."""
    return [c["name"] for c in reply.calls or []] == [c["name"] for c in case.wanted]


def result_values(results: list[str]) -> list[str]:
    """What an answer has to mention, given the tools' results."""
    values: list[str] = []
    for result in results:
        if re.match(r"(\w*Error|\w*Exception|error|failed): ", result) or result.startswith('{"error"'):
            values.append("did not work")
            continue
        try:
            data: Any = json.loads(result)
        except ValueError:
            data = result
        if data in (None, [], ""):
            data = "None"
        if isinstance(data, dict):
            items = list(data.values())
        elif isinstance(data, list):
            items = data
        else:
            items = [data if isinstance(data, str) else result]
        for item in items:
            text = ("true" if item else "false") if isinstance(item, bool) else str(item)
            values.append(text.rstrip("."))
    return values


def right_answer(reply: str, expected: str, results: list[str]) -> bool:
    """Whether ``reply`` is a right answer to ``results`` (or exactly ``expected`` where there are none)."""
    if not results or expected in ("Done.", NOTHING):
        return reply.strip() == expected
    silent = {"ok", "done", "none", "null", "true"}
    said, meant = reply.lower(), expected.lower()
    for value in (v.lower() for v in result_values(results)):
        if value in silent and ("done" in meant or NOTHING.lower() in meant):
            continue
        if value in meant and value not in said:
            return False
    if expected.startswith(("Yes, ", "No, ")):
        return reply[:3] == expected[:3]
    return "<tool_call>" not in reply
