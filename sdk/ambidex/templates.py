"""Messages to token ids through a model's own chat template.

Only the template writes control tokens: what a user, a tool or a document spells like one stays text, on by default
(see `provenance.py`). The template runs in a sandbox with limits (see `template_sandbox.py`).
"""

from __future__ import annotations

import bisect
import contextlib
import datetime
import json
from collections.abc import Callable, Mapping, Sequence
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
from .provenance import CUT, Span, Traced, Tracer, Untrusted, Written
from .template_fields import untrusted
from .template_reasoning import reasoning_variables
from .template_repair import BARE_TOOLS, Attempt, left_out, own_ways, written_out_ways
from .template_support import TemplateSupport, found_support
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
        self.tool_source = source if tool_source is None else tool_source
        self.tokenizer = tokenizer
        self.special_tokens = dict(special_tokens or {})
        self._template = CompiledTemplate(source)
        self._tool_template = self._template if tool_source is None else CompiledTemplate(tool_source)
        self.format = formats.for_template(tool_source or source, tuple(tokenizer.control))

    @classmethod
    def from_pretrained(
        cls,
        folder: str | Path,
        *,
        tokenizer: Tokenizer | None = None,
        special_tokens: Mapping[str, str] | None = None,
    ) -> ChatTemplate:
        """The template and tokenizer in a model's folder: chat_template.jinja or tokenizer_config.json, tokenizer.json.

        tokenizer       one that was loaded already
        special_tokens  its names of special tokens, such as bos_token; None: those in the folder

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
        if special_tokens is None:
            special_tokens = _special_tokens({**_read_json(folder / "special_tokens_map.json"), **config})
        return cls(
            source,
            tokenizer=tokenizer or HFTokenizer.from_file(folder / "tokenizer.json"),
            special_tokens=special_tokens,
            tool_source=sources.get("tool_use"),
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
            **self._given(template, tools, now),
            **self.reasoning_variables(reasoning, with_tools=bool(tools)),
            **self._checked_variables(variables or {}),
            "add_generation_prompt": add_generation_prompt and not continue_final,
        }

        traced, _ = self._traced(messages, tools, self._tracing(template, given, now, continue_final))
        starts_in_reasoning = self._is_in_reasoning(traced, continue_final)
        if reasoning is False and starts_in_reasoning:
            raise Unsupported("This model's chat template always begins with reasoning: it cannot be turned off.")
        encoded = self._encoded(traced)
        return RenderedPrompt(encoded.ids, traced.text, _over_ids(traced.spans, encoded), starts_in_reasoning)

    def reasoning_variables(self, reasoning: bool | str | None, *, with_tools: bool = False) -> dict[str, bool | str]:
        """The template's own variables for `reasoning`. Raises `Unsupported` where it has none for it."""
        template = self._tool_template if with_tools else self._template
        return reasoning_variables(reasoning, template.source, template.variables, self._reasoning_tags[0])

    @property
    def knows_reasoning(self) -> bool:
        """Whether it has a switch for reasoning, or names the tag that opens it."""
        try:
            self.reasoning_variables(True)
        except Unsupported:
            return False
        return True

    @cached_property
    def support(self) -> TemplateSupport:
        """What the template writes itself, what is written in its stead, and what cannot be in a prompt."""

        def differences(messages: Sequence[Message], tools: Sequence[Tool[..., Any]]) -> frozenset[str]:
            template = self._tool_template if tools else self._template
            given = {**self._given(template, tools, None), "add_generation_prompt": True}
            return self._traced(messages, tools, self._tracing(template, given, None, continue_final=False))[1]

        return found_support(differences)

    @property
    def variables(self) -> frozenset[str]:
        """The variables that the template reads; `render(variables=...)` sets them."""
        return self._template.variables | self._tool_template.variables

    def _given(
        self, template: CompiledTemplate, tools: Sequence[Tool[..., Any]], now: datetime.datetime | None
    ) -> dict[str, Any]:
        """Variables that every rendering has."""
        functions = _functions(tools, now) if "functions" in template.variables else {}
        return {"documents": None, **functions, **self.special_tokens}

    def _tracing(
        self, template: CompiledTemplate, given: Mapping[str, Any], now: datetime.datetime | None, continue_final: bool
    ) -> Callable[[Attempt], Traced]:
        def write(fields: Mapping[str, Any]) -> str:
            text = template.render(fields, now)
            return _cut(text) if continue_final else text

        def trace(attempt: Attempt) -> Traced:
            fields = attempt.messages
            if continue_final:
                fields = [*fields[:-1], {**fields[-1], "content": Written((fields[-1]["content"], CUT))}]
            return self._tracer.trace({**given, "messages": fields, "tools": attempt.tools}, write)

        return trace

    def _traced(
        self,
        messages: Sequence[Message],
        tools: Sequence[Tool[..., Any]],
        trace: Callable[[Attempt], Traced],
    ) -> tuple[Traced, frozenset[str]]:
        """The messages in the first way in which the template writes all of them; what it leaves out in every way is
        written in the format's own. Beside it, how that differs from what transformers gives."""
        own = self._own(messages, tools, trace)
        if isinstance(own, tuple):
            return own
        lost = own if isinstance(own, frozenset) else None
        for attempt in written_out_ways(messages, tools, lost, self.format, self._tracer.is_spelled_in):
            with contextlib.suppress(TemplateError):
                traced = trace(attempt)
                if not left_out(messages, tools, traced):
                    return traced, attempt.differs
        if isinstance(own, TemplateError):
            raise own
        left = " and ".join(sorted(own))
        unknown = "and how else to write them is not known" if self.format is None else "also where it is plain text"
        raise TemplateError(f"The chat template leaves out {left}, {unknown}.")

    def _own(
        self,
        messages: Sequence[Message],
        tools: Sequence[Tool[..., Any]],
        trace: Callable[[Attempt], Traced],
    ) -> tuple[Traced, frozenset[str]] | frozenset[str] | TemplateError:
        """What the template itself makes of them, and how that differs; what it leaves out; or its first error."""
        lost: frozenset[str] | None = None
        problem: TemplateError | None = None
        for attempt in own_ways(messages, tools, self._tracer.is_spelled_in):
            if BARE_TOOLS in attempt.differs and lost is not None and "tools" not in lost:
                break
            try:
                traced = trace(attempt)
            except TemplateLimitExceeded:
                raise
            except TemplateError as error:
                problem = problem or error
                continue
            missing = left_out(messages, tools, traced)
            if not missing:
                return traced, attempt.differs
            lost = missing if lost is None or len(missing) < len(lost) else lost
        if lost is None:
            assert problem is not None
            return problem
        return lost

    def _encoded(self, traced: Traced) -> Encoded:
        """The whole text at once, as every model was trained; piece by piece where it spells control tokens."""
        if not traced.forged:
            encoded = self.tokenizer.encode(traced.text)
            found = [(id, at) for id, at in zip(encoded.ids, encoded.offsets, strict=True) if id in self._control_ids]
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


def _functions(tools: Sequence[Tool[..., Any]], now: datetime.datetime | None) -> dict[str, Any]:
    """For FireFunction's template, which takes its tools as text, beside the date."""
    listed = [json.dumps(tool.to_openai()["function"], ensure_ascii=False, indent=4) for tool in tools]
    parts: list[str | Untrusted] = ["["]
    for i, text in enumerate(listed):
        parts += [",\n"] if i else []
        parts.append(Untrusted(text, f"tools[{i}].name"))
    date = (now or datetime.datetime.now()).strftime("%b %d %Y")
    return {"functions": Written((*parts, "]")), "datetime": date}


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
