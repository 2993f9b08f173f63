"""Tool-use message formats: how a model family writes calls, results and reasoning in its text.

`get(name).parser()` reads an answer as it comes, without I/O: `feed(text)` and `close()` give events. However the text
is cut, the events are the same once adjacent deltas are joined.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Protocol

from ambidex.accumulator import Accumulator
from ambidex.errors import InvalidRequest
from ambidex.messages import Assistant, ToolCall, ToolResult
from ambidex.tools import Tool

from . import (
    apertus,
    apriel,
    command_r7b,
    command_r_plus,
    deepseek_v3,
    deepseek_v4,
    deepseek_v31,
    deepseek_v32,
    dots,
    ernie45,
    functionary_v31,
    functionary_v32,
    functiongemma,
    gemma4,
    generic,
    gigachat3,
    glm45,
    glm47,
    gpt_oss,
    granite3,
    granite_20b_fc,
    hermes,
    hunyuan_a13b,
    hunyuan_v3,
    inkling,
    internlm2,
    jamba,
    kimi_k2,
    kimi_k3,
    lfm2,
    llama3_json,
    llama4_pythonic,
    longcat,
    minicpm5,
    minimax_m2,
    minimax_m3,
    mistral_v3,
    mistral_v11,
    muse_glimmer,
    nemotron_nano_v2,
    olmo3,
    phi4_mini,
    pythonic,
    qwen3_coder,
    react,
    seed_oss,
    step3,
    xlam,
)
from .call_events import OfferedTools
from .call_form import CallForm
from .detection import family
from .parser import Parser
from .quotation import Quotation, Unquoting

__all__ = [
    "CallForm",
    "Format",
    "OfferedTools",
    "Parser",
    "Quotation",
    "Unquoting",
    "detect",
    "for_template",
    "get",
    "names",
    "parse",
]


class Format(Protocol):
    """What each format's module has."""

    @property
    def NAMES(self) -> tuple[str, ...]:  # noqa: N802  # a constant of the module
        """The families that write it."""
        ...

    @property
    def STOP_TOKENS(self) -> tuple[str, ...]:  # noqa: N802  # a constant of the module
        """What ends an answer; dropped by the parser at the end of the text."""
        ...

    @property
    def REASONING(self) -> tuple[str, str]:  # noqa: N802  # a constant of the module
        """The tags around reasoning."""
        ...

    @property
    def MARKERS(self) -> tuple[str, ...]:  # noqa: N802  # a constant of the module
        """All its tags: the parser must see them, also where they are control tokens."""
        ...

    def parser(self, tools: OfferedTools | None = None, *, starts_in_reasoning: bool = False) -> Parser:
        """A parser of one answer. With `tools`, a repaired call must fit its tool's schema.

        starts_in_reasoning  the prompt has opened the reasoning already
        """
        ...

    def call_form(self, tools: Sequence[Tool]) -> CallForm:
        """What calls of `tools`, at least one, must look like."""
        ...

    def render_call(self, call: ToolCall) -> str:
        """A call as the model would write it."""
        ...

    def render_result(self, result: ToolResult) -> str:
        """A result as the model expects it, inside a user's message."""
        ...

    def render_tools(self, tools: Iterable[Tool]) -> str:
        """The tools, as the system message lists them."""
        ...


_FORMATS: tuple[Format, ...] = (
    apertus,
    apriel,
    command_r7b,
    command_r_plus,
    deepseek_v3,
    deepseek_v31,
    deepseek_v32,
    deepseek_v4,
    ernie45,
    functionary_v31,
    functiongemma,
    gemma4,
    gigachat3,
    glm45,
    glm47,
    gpt_oss,
    muse_glimmer,
    dots,
    functionary_v32,
    generic,
    inkling,
    react,
    granite3,
    granite_20b_fc,
    hermes,
    hunyuan_a13b,
    hunyuan_v3,
    internlm2,
    jamba,
    kimi_k2,
    kimi_k3,
    lfm2,
    llama3_json,
    llama4_pythonic,
    longcat,
    minicpm5,
    minimax_m2,
    minimax_m3,
    mistral_v11,
    mistral_v3,
    nemotron_nano_v2,
    olmo3,
    phi4_mini,
    pythonic,
    qwen3_coder,
    seed_oss,
    step3,
    xlam,
)
_BY_NAME: dict[str, Format] = {name: module for module in _FORMATS for name in module.NAMES}


def names() -> list[str]:
    """The families whose format is known."""
    return sorted(_BY_NAME)


def get(name: str) -> Format:
    """A format by its family's name. Raises `InvalidRequest` for an unknown one."""
    if name not in _BY_NAME:
        raise InvalidRequest(f"There is no tool format {name!r}. Known: {', '.join(names())}.", param="name")
    return _BY_NAME[name]


def detect(template_source: str, special_tokens: Collection[str] = ()) -> str | None:
    """The family whose marks a chat template's source bears; None if there are none, or its format is not known.

    The tokenizer's special tokens decide where the template never names its own marks.
    """
    found = family(template_source, special_tokens)
    return found if found in _BY_NAME else None


def for_template(template_source: str, special_tokens: Collection[str] = ()) -> Format | None:
    """The format of a chat template; Hermes, the most widely understood, where it bears no family's marks. None: the
    marks are of a family whose format is not known here."""
    found = family(template_source, special_tokens)
    return _BY_NAME.get("hermes" if found is None else found)


def parse(name: str, text: str, tools: OfferedTools | None = None, *, starts_in_reasoning: bool = False) -> Assistant:
    """A whole answer as a message: text, reasoning, calls and what was wrong with calls, in order."""
    parser = get(name).parser(tools, starts_in_reasoning=starts_in_reasoning)
    so_far = Accumulator()
    for event in [*parser.feed(text), *parser.close()]:
        so_far.add(event)
    return so_far.choice().message
