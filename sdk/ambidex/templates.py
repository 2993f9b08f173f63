"""Messages to token ids through a model's own chat template.

Only the template writes control tokens: what a user, a tool or a document spells like one stays text, on by default
(see `provenance.py`). The template runs in a sandbox with limits (see `template_sandbox.py`).
"""

from __future__ import annotations

import bisect
import datetime
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from . import formats
from .errors import (
    CorruptWeights,
    InvalidRequest,
    MissingChatTemplate,
    TemplateError,
    TemplateLimitExceeded,
    Unsupported,
)
from .messages import Assistant, Message, checked_messages
from .provenance import CUT, Span, Traced, Tracer, Written
from .template_fields import Refuses, message_fields, one_call_a_turn, tool_fields, untrusted
from .template_repair import left_out, written_out
from .tokenizer import Encoded, HFTokenizer, Tokenizer
from .tools import Tool, as_tools

if TYPE_CHECKING:
    from .template_sandbox import CompiledTemplate

__all__ = ["ChatTemplate", "HFTokenizer", "RenderedPrompt", "Span", "Tokenizer"]


@dataclass(frozen=True, slots=True)
class RenderedPrompt:
    """A prompt. `spans` are `(start, end, source)` over `ids`: ids that hold text from `source`, such as
    "messages[0].content" or "tools[1].description"; an id at an edge may hold a character of the template, too.

    starts_in_reasoning  the prompt has opened the model's reasoning: the answer begins inside it
    """

    ids: list[int]
    text: str
    spans: tuple[Span, ...]
    starts_in_reasoning: bool


class ChatTemplate:
    """A model's chat template with its tokenizer.

    source          the template's Jinja text
    special_tokens  variables such as bos_token and eos_token: name to spelling
    tool_source     the template for requests with tools, where a model has one of its own

    Raises `TemplateError` for what is no template.
    """

    def __init__(
        self,
        source: str,
        *,
        tokenizer: Tokenizer,
        special_tokens: Mapping[str, str] | None = None,
        tool_source: str | None = None,
    ) -> None:
        from .template_sandbox import CompiledTemplate

        self.source = source
        self.tokenizer = tokenizer
        self.special_tokens = dict(special_tokens or {})
        self._template = CompiledTemplate(source)
        self._tool_template = self._template if tool_source is None else CompiledTemplate(tool_source)
        self.format = formats.for_template(tool_source or source, tuple(tokenizer.control))

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> ChatTemplate:
        """The template and tokenizer in a model's folder: chat_template.jinja or tokenizer_config.json, tokenizer.json.

        Raises `MissingChatTemplate` where there is no template, `ModelNotFound` and `CorruptWeights` for the tokenizer.
        """
        folder = Path(folder)
        config = _read_json(folder / "tokenizer_config.json")
        named = config.get("chat_template")
        sources: dict[str, str] = {}
        if isinstance(named, str):
            sources["default"] = named
        elif isinstance(named, list):
            items = cast("list[Mapping[str, str]]", named)
            sources |= {item["name"]: item["template"] for item in items if "name" in item and "template" in item}
        for file in (folder / "chat_template.jinja", *sorted((folder / "additional_chat_templates").glob("*.jinja"))):
            if file.is_file():
                sources["default" if file.stem == "chat_template" else file.stem] = file.read_text(encoding="utf-8")
        if not sources:
            raise MissingChatTemplate(
                f"{folder} has no chat template: use Request(prompt=...), "
                "or make a ChatTemplate(source, tokenizer=...)."
            )
        source = sources.get("default") or next(iter(sources.values()))
        tokenizer = HFTokenizer.from_file(folder / "tokenizer.json")
        return cls(
            source, tokenizer=tokenizer, special_tokens=_special_tokens(config), tool_source=sources.get("tool_use")
        )

    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[Tool[..., Any]] = (),
        *,
        add_generation_prompt: bool = True,
        continue_final: bool = False,
        reasoning: bool | str | None = None,
        now: datetime.datetime | None = None,
        variables: Mapping[str, Any] | None = None,
    ) -> RenderedPrompt:
        """The prompt for these messages.

        continue_final  the last message is an Assistant that the model goes on with; no new turn is begun
        reasoning       sets enable_thinking, thinking and reasoning_effort, as far as the template has them
        now             what strftime_now tells; None: the clock
        variables       further variables of the template, such as documents; their texts are as untrusted as messages

        Raises `TemplateError` with the template's words, also for what it leaves out; `Unsupported`, `InvalidRequest`.
        """
        messages, tools = checked_messages(messages), as_tools(tools)
        if not messages:
            raise InvalidRequest("messages is empty: a chat template needs at least one.", param="messages")
        if continue_final and (not isinstance(messages[-1], Assistant) or messages[-1].tool_calls):
            raise InvalidRequest("continue_final needs an Assistant without tool calls as the last message.")
        template = self._tool_template if tools else self._template
        given = {
            "documents": None,
            **self.special_tokens,
            **_switches(template, reasoning, self._reasoning_tags[0]),
            **self._checked_variables(variables or {}),
            "add_generation_prompt": add_generation_prompt and not continue_final,
        }

        def write(fields: Mapping[str, Any]) -> str:
            text = template.render(fields, now)
            return _cut(text) if continue_final else text

        traced = self._traced(messages, tools, given, write, continue_final)
        starts_in_reasoning = self._is_in_reasoning(traced, continue_final)
        if reasoning is False and starts_in_reasoning:
            raise Unsupported("This model's chat template always begins with reasoning: it cannot be turned off.")
        encoded = self._encoded(traced)
        return RenderedPrompt(encoded.ids, traced.text, _over_ids(traced.spans, encoded), starts_in_reasoning)

    def _traced(
        self,
        messages: Sequence[Message],
        tools: Sequence[Tool[..., Any]],
        given: Mapping[str, Any],
        write: Callable[[Mapping[str, Any]], str],
        continue_final: bool,
    ) -> Traced:
        """The messages in the first way in which the template writes all of them; what it leaves out in every way is
        written in the format's own."""
        refuses = self._tracer.is_spelled_in
        listed = tool_fields(tools, refuses) or None

        def trace(fields: list[dict[str, Any]], tools: list[dict[str, Any]] | None) -> Traced:
            if continue_final:
                fields[-1]["content"] = Written((fields[-1]["content"], CUT))
            return self._tracer.trace({**given, "messages": fields, "tools": tools}, write)

        best: tuple[frozenset[str], Traced] | None = None
        problem: TemplateError | None = None
        for fields in _ways(messages, refuses):
            try:
                traced = trace(fields, listed)
            except TemplateLimitExceeded:
                raise
            except TemplateError as error:
                problem = problem or error
                continue
            lost = left_out(messages, tools, traced)
            if not lost:
                return traced
            best = best or (lost, traced)
        if best is None:
            assert problem is not None
            raise problem
        if self.format is None:
            missing = " and ".join(sorted(best[0]))
            raise TemplateError(f"The chat template leaves out {missing}, and how else to write them is not known.")
        traced = trace(
            written_out(messages, tools, best[0], self.format, refuses), None if "tools" in best[0] else listed
        )
        if lost := left_out(messages, tools, traced):
            raise TemplateError(f"The chat template leaves out {' and '.join(sorted(lost))}, even as plain text.")
        return traced

    def _encoded(self, traced: Traced) -> Encoded:
        """The whole text at once, as every model was trained; piece by piece where it spells control tokens."""
        if not traced.forged:
            encoded = self.tokenizer.encode(traced.text)
            found = [
                (id, at) for id, at in zip(encoded.ids, encoded.offsets, strict=True) if id in self._control_ids
            ]
            if len(found) == len(traced.controls) and all(
                id == self.tokenizer.control[traced.text[start:end]] and at[0] < end and at[1] > start
                for (id, at), (start, end) in zip(found, traced.controls, strict=True)
            ):
                return encoded
        parts: list[tuple[str, bool]] = []
        at = 0
        for start, end in traced.controls:
            parts += [(traced.text[at:start], False), (traced.text[start:end], True)]
            at = end
        parts.append((traced.text[at:], False))
        return self.tokenizer.encode_parts([part for part in parts if part[0]])

    def _is_in_reasoning(self, traced: Traced, continue_final: bool) -> bool:
        opening, closing = self._reasoning_tags
        at = traced.text.rfind(opening)
        if at < 0 or any(span.start < at + len(opening) and span.end > at for span in traced.spans):
            return False
        rest = traced.text[at + len(opening) :]
        return closing not in rest if continue_final else not rest.strip()

    def _checked_variables(self, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Texts in lists and mappings are traced; a text of its own may be a switch, and must be harmless."""
        checked: dict[str, Any] = {}
        for name, value in variables.items():
            if isinstance(value, str):
                if self._tracer.is_spelled_in(value):
                    raise InvalidRequest(f"The variable {name} holds a control token of this model.", param="variables")
                checked[name] = value
            else:
                checked[name] = untrusted(value, name)
        return checked

    @cached_property
    def _tracer(self) -> Tracer:
        return Tracer(self.tokenizer.control)

    @cached_property
    def _control_ids(self) -> frozenset[int]:
        return frozenset(self.tokenizer.control.values())

    @property
    def _reasoning_tags(self) -> tuple[str, str]:
        return ("<think>", "</think>") if self.format is None else self.format.REASONING


def _ways(messages: Sequence[Message], refuses: Refuses) -> Iterator[list[dict[str, Any]]]:
    """How templates may want calls: arguments as data; as JSON text; one call a turn, each with its result."""
    calls = [len(message.tool_calls) for message in messages if isinstance(message, Assistant)]
    yield message_fields(messages, refuses)
    if any(calls):
        yield message_fields(messages, refuses, arguments_as_text=True)
    if max(calls, default=0) > 1:
        yield one_call_a_turn(message_fields(messages, refuses))


def _switches(template: CompiledTemplate, reasoning: bool | str | None, opening: str) -> dict[str, Any]:
    """The variables that templates read for `reasoning`. Raises `Unsupported` where this one has none for it."""
    if reasoning is None:
        return {}
    if isinstance(reasoning, str) and "reasoning_effort" not in template.variables:
        raise Unsupported(f"This model's chat template has no reasoning effort: {reasoning!r} cannot be asked for.")
    values: dict[str, bool | str] = {"enable_thinking": bool(reasoning), "thinking": bool(reasoning)}
    if isinstance(reasoning, str):
        values["reasoning_effort"] = reasoning
    known = {name: value for name, value in values.items() if name in template.variables}
    if reasoning and not known and "reasoning_effort" not in template.variables and opening not in template.source:
        raise Unsupported("This model's chat template knows no reasoning.")
    if reasoning is False and not known and "reasoning_effort" in template.variables:
        raise Unsupported("This model's reasoning can be made short, but not be turned off.")
    return known


def _cut(text: str) -> str:
    """Up to where the final message ends; if the template trimmed it, without the space at its end."""
    at = text.rfind(CUT[0])
    if at < 0:
        raise TemplateError("The chat template leaves out the final message, so it cannot be continued.")
    return text[:at] if text.startswith(CUT, at) else text[:at].rstrip()


def _over_ids(spans: Sequence[Span], encoded: Encoded) -> tuple[Span, ...]:
    starts = [start for start, _ in encoded.offsets]
    ends = [end for _, end in encoded.offsets]
    found: list[Span] = []
    for start, end, source in spans:
        first, last = bisect.bisect_right(ends, start), bisect.bisect_left(starts, end)
        if first < last:
            found.append(Span(first, last, source))
    return tuple(found)


def _read_json(file: Path) -> dict[str, Any]:
    try:
        read = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as problem:
        raise CorruptWeights(f"{file.name} in {file.parent} cannot be read: {problem}") from None
    return cast("dict[str, Any]", read) if isinstance(read, dict) else {}


def _special_tokens(config: Mapping[str, Any]) -> dict[str, str]:
    """bos_token and the like; older files hold them as a mapping with `content`."""
    names = [name for name in config if name.endswith("_token") and not name.startswith("add_")]
    spelled = {name: config[name].get("content") if isinstance(config[name], dict) else config[name] for name in names}
    return {name: value for name, value in spelled.items() if isinstance(value, str)}
