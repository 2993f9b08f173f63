"""What a chat template leaves out, and how it is said all the same, in the format that the model knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .formats import Format
from .messages import Assistant, Message, System, ToolResult
from .provenance import Traced, Untrusted, Written
from .template_fields import Refuses, in_call_order, message_fields
from .tools import Tool


def left_out(messages: Sequence[Message], tools: Sequence[Tool[..., Any]], traced: Traced) -> frozenset[str]:
    """Which of "tools", "calls" and "results" the rendered text lacks, wholly or in part."""

    def is_there(source: str, text: str) -> bool:
        seen = traced.seen is not None and source in traced.seen
        return seen or (traced.seen is None and text.strip() in traced.text)

    lost: set[str] = set()
    if not all(is_there(f"tools[{i}].name", tool.name) for i, tool in enumerate(tools)):
        lost.add("tools")
    for i, message in enumerate(messages):
        match message:
            case Assistant():
                names = [
                    (f"messages[{i}].tool_calls[{k}].name", call.name) for k, call in enumerate(message.tool_calls)
                ]
                if not all(is_there(source, name) for source, name in names):
                    lost.add("calls")
            case ToolResult():
                if message.text.strip() and not is_there(f"messages[{i}].content", message.text):
                    lost.add("results")
            case _:
                pass
    return frozenset(lost)


def written_out(
    messages: Sequence[Message], tools: Sequence[Tool[..., Any]], lost: frozenset[str], form: Format, refuses: Refuses
) -> list[dict[str, Any]]:
    """The messages with what was lost in their text: tools in the system message, calls after the answer's text,
    results in user messages."""
    fields: list[dict[str, Any]] = []
    given = message_fields(messages, refuses)
    for (i, message), field in zip(in_call_order(messages), given, strict=True):
        match message:
            case Assistant() if "calls" in lost and message.tool_calls:
                parts: list[str | Untrusted | Written] = [field["content"]] if message.text else []
                for k, call in enumerate(message.tool_calls):
                    source = f"messages[{i}].tool_calls[{k}].name"
                    parts += ["\n"] if parts else []
                    parts.append(_written(form.render_call(call), form, source))
                fields.append({**field, "content": Written(tuple(parts)), "tool_calls": []})
            case ToolResult() if "results" in lost:
                written = _written(form.render_result(message), form, f"messages[{i}].content")
                if fields and fields[-1].get("is_results"):
                    fields[-1]["content"] = Written((fields[-1]["content"], "\n", written))
                else:
                    fields.append({"role": "user", "content": written, "is_results": True})
            case _:
                fields.append(field)
    if "tools" in lost:
        listed = Written(
            tuple(Untrusted(form.render_tools([tool]), f"tools[{i}].name") for i, tool in enumerate(tools))
        )
        if isinstance(messages[0], System):
            fields[0] = {"role": "system", "content": Written((fields[0]["content"], "\n\n", listed))}
        else:
            fields.insert(0, {"role": "system", "content": listed})
    return fields


def _written(text: str, form: Format, source: str) -> Written:
    """The format's tags at both ends are ours, what stands between them is not."""
    start, end = 0, len(text)
    while (tag := next((tag for tag in (*form.MARKERS, "\n") if text.startswith(tag, start)), "")) != "":
        start += len(tag)
    while (tag := next((tag for tag in (*form.MARKERS, "\n") if text.endswith(tag, start, end)), "")) != "":
        end -= len(tag)
    return Written((text[:start], Untrusted(text[start:end], source), text[end:]))
