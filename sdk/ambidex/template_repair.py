"""What a chat template leaves out, and how it is said all the same, in the format that the model knows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

from .formats import Format
from .messages import Assistant, Message, System, ToolCall, ToolResult, User
from .provenance import Traced, Untrusted, Written
from .template_fields import (
    Refuses,
    in_call_order,
    in_parts,
    message_fields,
    nine_letter_id,
    numbered_id,
    one_call_a_turn,
    tool_fields,
    with_ids,
)
from .tools import Tool

Fields = list[dict[str, Any]]

IN_TURN = "calls in turn"
BARE_TOOLS = "bare tools"

TOOLS = "tools"
"""The source of the tools where a format writes them all at once."""


class Attempt(NamedTuple):
    """A template's messages and tools, and what is not as transformers gives it: "bare tools", "calls in turn", or what
    is written out."""

    messages: Fields
    tools: Fields | None
    differs: frozenset[str] = frozenset()


def own_ways(messages: Sequence[Message], tools: Sequence[Tool[..., Any]], refuses: Refuses) -> Iterator[Attempt]:
    """How templates may want what they are given. First as transformers gives it; then calls with their arguments as
    JSON text; one call a turn, each with its result; ids that name the function, or of nine letters; contents in parts;
    at last tools as bare functions, or as an empty list."""
    listed = tool_fields(tools, refuses) or None
    bare = [] if listed is None else [tool["function"] for tool in listed]
    calls = [len(message.tool_calls) for message in messages if isinstance(message, Assistant)]
    plain = message_fields(messages, refuses)
    told: list[tuple[Fields, frozenset[str]]] = [(plain, frozenset())]
    if any(calls):
        told.append((message_fields(messages, refuses, arguments_as_text=True), frozenset()))
    if max(calls, default=0) > 1:
        told += [(one_call_a_turn(fields), frozenset({IN_TURN})) for fields, _ in told]
    others: list[tuple[Fields, frozenset[str]]] = []
    if any(calls):
        others += [(with_ids(plain, nine_letter_id), frozenset()), (with_ids(plain, numbered_id), frozenset())]
        others.append((in_parts(plain), frozenset()))
    yield from (Attempt(fields, listed, differs) for fields, differs in [*told, *others])
    yield from (Attempt(fields, bare, differs | {BARE_TOOLS}) for fields, differs in told)


def written_out_ways(
    messages: Sequence[Message],
    tools: Sequence[Tool[..., Any]],
    lost: frozenset[str] | None,
    form: Format | None,
    refuses: Refuses,
) -> Iterator[Attempt]:
    """With what was lost written as text; then, for a template that refuses more than it loses, all that it may refuse.

    lost  what the template left out when it did best; None: it always failed
    form  the model's own; None: not known, so that only a system message can be put elsewhere
    """
    has = {
        "tools": bool(tools),
        "calls": any(isinstance(message, Assistant) and message.tool_calls for message in messages),
        "results": any(isinstance(message, ToolResult) for message in messages),
        "system": isinstance(messages[0], System),
    }
    present = frozenset(kind for kind, is_there in has.items() if is_there)
    least = lost or frozenset()
    tried: set[frozenset[str]] = {frozenset()}
    several = (least, least | {"calls"}, least | {"calls", "results"}, present - {"system"}, present)
    for kinds in (frozenset({"system"}), *several):
        kinds &= present
        if kinds in tried or (form is None and kinds - {"system"}):
            continue
        tried.add(kinds)
        fields = message_fields(messages, refuses)
        if form is not None:
            fields = written_out(fields, messages, tools, kinds, form)
        listed = [] if "tools" in kinds else tool_fields(tools, refuses)
        for told in (fields, _alternating(fields)):
            yield Attempt(told, listed or None, kinds)
            if not listed:
                yield Attempt(told, [], kinds)


def left_out(messages: Sequence[Message], tools: Sequence[Tool[..., Any]], traced: Traced) -> frozenset[str]:
    """Which of "tools", "calls", "results", "system", "questions" and "answers" the text lacks, wholly or in part.

    An answer's text beside calls, and its reasoning, are the template's to leave out.
    """

    def is_there(source: str, text: str) -> bool:
        seen = traced.seen is not None and source in traced.seen
        return seen or (traced.seen is None and text.strip() in traced.text)

    lost: set[str] = set()
    if not (traced.seen is not None and TOOLS in traced.seen) and not all(
        is_there(f"tools[{i}].name", tool.name) for i, tool in enumerate(tools)
    ):
        lost.add("tools")
    for i, message in enumerate(messages):
        content_is_there = not message.text.strip() or is_there(f"messages[{i}].content", message.text)
        match message:
            case Assistant() if message.tool_calls:
                names = [
                    (f"messages[{i}].tool_calls[{k}].name", call.name) for k, call in enumerate(message.tool_calls)
                ]
                if not all(is_there(source, name) for source, name in names):
                    lost.add("calls")
            case ToolResult() if not content_is_there:
                lost.add("results")
            case System() if not content_is_there:
                lost.add("system")
            case User() if not content_is_there:
                lost.add("questions")
            case Assistant() if not content_is_there and _last_line(message.text) not in traced.text:
                lost.add("answers")
            case _:
                pass
    return frozenset(lost)


def written_out(
    given: Fields, messages: Sequence[Message], tools: Sequence[Tool[..., Any]], lost: frozenset[str], form: Format
) -> Fields:
    """The messages' fields with what was lost in their text: tools in the system message, calls after the answer's
    text, results in user messages."""
    fields: Fields = []
    write = _Writer(form)
    for (i, message), field in zip(in_call_order(messages), given, strict=True):
        match message:
            case Assistant() if "calls" in lost and message.tool_calls:
                parts: list[str | Untrusted | Written] = [field["content"]] if message.text else []
                for k, call in enumerate(message.tool_calls):
                    parts += ["\n"] if parts else []
                    parts.append(write.call(call, f"messages[{i}].tool_calls[{k}].name"))
                del field["tool_calls"]
                fields.append({**field, "content": Written(tuple(parts))})
            case ToolResult() if "results" in lost:
                written = write.result(message, f"messages[{i}].content")
                if fields and fields[-1].get("is_results"):
                    fields[-1]["content"] = Written((fields[-1]["content"], "\n", written))
                else:
                    fields.append({"role": "user", "content": written, "is_results": True})
            case _:
                fields.append(field)
    if "tools" in lost:
        listed = write.tools(tools)
        if isinstance(messages[0], System):
            fields[0] = {"role": "system", "content": Written((fields[0]["content"], "\n\n", listed))}
        else:
            fields.insert(0, {"role": "system", "content": listed})
    return fields


def _alternating(fields: Fields) -> Fields:
    """Without a system message, and with adjacent turns of one side as one, for templates that want them in turn."""
    told: Fields = []
    before: tuple[Any, ...] = ()
    for field in fields:
        if field["role"] == "system":
            before = (*before, field["content"], "\n\n")
        elif told and told[-1]["role"] == field["role"] and field["role"] in ("user", "assistant"):
            told[-1] = {**told[-1], **field, "content": Written((told[-1]["content"], "\n\n", field["content"]))}
        elif before and field["role"] == "user":
            told.append({**field, "content": Written((*before, field["content"]))})
            before = ()
        else:
            told.append(field)
    return told


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2].strip()


class _Writer:
    """Writes in a format's own way, its tags as ours and all between them as untrusted.

    A tag that a text spells itself is out of sight while the format writes, and stays part of the text.
    """

    def __init__(self, form: Format) -> None:
        self._form = form
        tags = "|".join(map(re.escape, sorted(form.MARKERS, key=len, reverse=True))) or "(?!)"
        self._tags = re.compile(f"({tags})")
        self._spelled = re.compile(f"{tags}|[\ue000-\uf8ff]")
        self._hidden: dict[str, str] = {}

    def call(self, call: ToolCall, source: str) -> Written:
        return self._written(self._form.render_call(ToolCall(call.id, call.name, self._hide(call.arguments))), source)

    def result(self, result: ToolResult, source: str) -> Written:
        hidden = ToolResult(result.call_id, result.name, self._hide(result.text), is_error=result.is_error)
        return self._written(self._form.render_result(hidden), source)

    def tools(self, tools: Sequence[Tool[..., Any]]) -> Written:
        hidden = [Tool(tool.name, self._hide(tool.description), self._hide(tool.parameters)) for tool in tools]
        return self._written(self._form.render_tools(hidden), TOOLS)

    def _written(self, text: str, source: str) -> Written:
        pieces = self._tags.split(text)
        return Written(
            tuple(piece if i % 2 else Untrusted(self._shown(piece), source) for i, piece in enumerate(pieces) if piece)
        )

    def _hide(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._spelled.sub(lambda found: self._stand_in(found[0]), value)
        if isinstance(value, Mapping):
            items = cast("Mapping[str, Any]", value).items()
            return {self._hide(key): self._hide(item) for key, item in items}
        if isinstance(value, (list, tuple)):
            return [self._hide(item) for item in cast("Sequence[Any]", value)]
        return value

    def _stand_in(self, spelled: str) -> str:
        return self._hidden.setdefault(spelled, chr(0xE000 + min(len(self._hidden), 0x18FF)))

    def _shown(self, text: str) -> str:
        for spelled, stand_in in self._hidden.items():
            text = text.replace(stand_in, spelled)
        return text
