"""`Request`: the one value that a backend is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, cast

from .decoding import Beams, Decoding, Greedy, Sampling, check_integer, check_number, checked_texts
from .errors import InvalidRequest
from .messages import Message, checked_messages
from .option_names import refuses_unknown_options
from .output import form
from .tools import Tool, as_tools


@dataclass(frozen=True, slots=True)
class Special:
    """A control token in a raw prompt, by its spelling: `Special("<|im_start|>")`."""

    text: str


@dataclass(frozen=True, slots=True)
class NamedTool:
    """A `tool_choice`: the model must call this tool."""

    name: str


ToolChoice: TypeAlias = Literal["auto", "none", "required"] | NamedTool
ReasoningEffort: TypeAlias = bool | Literal["low", "medium", "high"]
RawPrompt: TypeAlias = str | tuple[int | str | Special, ...]

DEFAULT_TIMEOUT = 600.0
"""Seconds a request may take in all when `timeout` is not given."""

MAX_TOP_LOGPROBS = 20


@refuses_unknown_options()
@dataclass(frozen=True, slots=True)
class Request:
    """What a model is asked. Exactly one of `messages` and `prompt` is given; every option is checked when made.

    messages             the conversation, through the model's chat template
    prompt               raw text without a chat template; in a sequence, ints are token ids and `Special` a control
                         token; control-token spellings in a str stay text
    tools                what the model may call: `Tool`s or typed functions
    tool_choice          "auto", "none", "required" or NamedTool(name)
    parallel_tool_calls  False: one call at a time; None: the model's default
    output               a type, whose JSON schema the answer is held to; or a `Regex`, a `Lark`. `Reply.value` is it;
                         None where the text is none, for which `Chat` and `Agent` ask again and raise `OutputInvalid`
    reasoning            True or False, or an effort; None: the model's default
    decoding             Greedy(...), Sampling(...) or Beams(...); None: the model's or server's defaults
    stop                 one text or several, or None; the answer ends before the first that occurs
    max_tokens           limit of new tokens; None: the model's or server's default
    logprobs             log probabilities with that many alternatives per token (0: of the chosen token only)
    n                    number of answers
    timeout              seconds in all; None: `DEFAULT_TIMEOUT`
    trace                record every decoding step
    extra                what we do not model, passed to the server as it is
    """

    messages: Sequence[Message] = ()
    prompt: str | Sequence[int | str | Special] | None = field(default=None, kw_only=True)
    tools: Sequence[Tool[..., Any] | Callable[..., Any]] = field(default=(), kw_only=True)
    tool_choice: ToolChoice = field(default="auto", kw_only=True)
    parallel_tool_calls: bool | None = field(default=None, kw_only=True)
    output: Any = field(default=None, kw_only=True)
    reasoning: ReasoningEffort | None = field(default=None, kw_only=True)
    decoding: Decoding | None = field(default=None, kw_only=True)
    stop: str | Sequence[str] | None = field(default=(), kw_only=True)
    max_tokens: int | None = field(default=None, kw_only=True)
    logprobs: int | None = field(default=None, kw_only=True)
    n: int = field(default=1, kw_only=True)
    timeout: float | None = field(default=None, kw_only=True)
    trace: bool = field(default=False, kw_only=True)
    extra: Mapping[str, Any] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        set_field = object.__setattr__
        set_field(self, "messages", checked_messages(self.messages))
        if (self.prompt is None) == (not self.messages):
            given = "both" if self.messages else "neither"
            raise InvalidRequest(f"Request takes exactly one of messages and prompt, got {given}.", param="messages")
        if self.prompt is not None:
            set_field(self, "prompt", _checked_prompt(self.prompt))
        set_field(self, "tools", as_tools(self.tools))
        _check_tool_choice(self.tool_choice, self.tool_list)
        _check_one_of(self.parallel_tool_calls, (None, True, False), "parallel_tool_calls")
        _check_one_of(self.reasoning, (None, True, False, "low", "medium", "high"), "reasoning")
        if self.output is not None:
            form(self.output)  # refuses a type that has none
        if self.decoding is not None and not isinstance(self.decoding, (Greedy, Sampling, Beams)):
            raise InvalidRequest(
                f"decoding takes Greedy(...), Sampling(...) or Beams(...), got {self.decoding!r}.", param="decoding"
            )
        set_field(self, "stop", checked_texts(self.stop, "stop"))
        check_integer(self.max_tokens, "max_tokens", at_least=1)
        check_integer(self.logprobs, "logprobs", at_least=0, at_most=MAX_TOP_LOGPROBS)
        if self.n is None:
            raise InvalidRequest("n takes a whole number, got None.", param="n")
        check_integer(self.n, "n", at_least=1)
        check_number(self.timeout, "timeout", above=0.0)
        _check_one_of(self.trace, (False, True), "trace")
        if self.extra is not None and not isinstance(self.extra, Mapping):
            raise InvalidRequest(f"extra takes a mapping, got {type(self.extra).__name__}.", param="extra")

    @property
    def tool_list(self) -> tuple[Tool[..., Any], ...]:
        """`tools`, after the constructor has made every function a Tool."""
        return self.tools  # type: ignore[return-value]  # __post_init__ stored as_tools(...)

    @property
    def raw_prompt(self) -> RawPrompt | None:
        """`prompt`, after the constructor has made a sequence a tuple."""
        return self.prompt  # type: ignore[return-value]  # __post_init__ stored _checked_prompt(...)

    @property
    def stops(self) -> tuple[str, ...]:
        """`stop`, after the constructor has made one text a tuple."""
        return self.stop  # type: ignore[return-value]  # __post_init__ stored a tuple

    @property
    def seconds(self) -> float:
        """How long the whole request may take."""
        return DEFAULT_TIMEOUT if self.timeout is None else self.timeout


def _checked_prompt(prompt: object) -> RawPrompt:
    if isinstance(prompt, str):
        if not prompt:
            raise InvalidRequest("prompt is empty: give at least one character or token.", param="prompt")
        return prompt
    if not isinstance(prompt, Sequence) or isinstance(prompt, (bytes, bytearray)):
        raise InvalidRequest(
            f"prompt takes a str or a sequence of token ids, str and Special, got {type(prompt).__name__}.",
            param="prompt",
        )
    items = tuple(cast("Sequence[int | str | Special]", prompt))
    for item in items:
        wrong_type = isinstance(item, bool) or not isinstance(item, (int, str, Special))
        if wrong_type or (isinstance(item, int) and item < 0):
            raise InvalidRequest(f"prompt takes token ids >= 0, str and Special, got {item!r}.", param="prompt")
    if not items:
        raise InvalidRequest("prompt is empty: give at least one character or token.", param="prompt")
    return items


def _check_tool_choice(choice: object, tools: tuple[Tool[..., Any], ...]) -> None:
    names = [tool.name for tool in tools]
    if isinstance(choice, NamedTool):
        if choice.name not in names:
            raise InvalidRequest(
                f"tool_choice names {choice.name!r}, which is not among the tools: {', '.join(names) or 'none given'}.",
                param="tool_choice",
            )
    elif choice not in ("auto", "none", "required"):
        raise InvalidRequest(
            f"tool_choice takes 'auto', 'none', 'required' or NamedTool(name), got {choice!r}.", param="tool_choice"
        )
    elif choice == "required" and not tools:
        raise InvalidRequest("tool_choice='required' needs tools, and none are given.", param="tool_choice")


def _check_one_of(value: object, allowed: tuple[object, ...], name: str) -> None:
    if value is allowed[0]:
        return
    if not any(value is item or (isinstance(item, str) and value == item) for item in allowed):
        raise InvalidRequest(f"{name} takes one of {', '.join(map(repr, allowed))}, got {value!r}.", param=name)
