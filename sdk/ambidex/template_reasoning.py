"""The variables by which chat templates turn reasoning on and off, and say how much of it; one table for all.

Read from 145 templates. A template has a switch if it reads the variable. Whether old reasoning stays in a prompt is
the template's own rule; those that let it be chosen read one of `HISTORY_SWITCHES`, which `variables=` can set.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import NamedTuple

from .errors import Unsupported


class Switch(NamedTuple):
    """A variable, and its values for reasoning on and off; None: left unset, the template's default."""

    variable: str
    on: bool | str | None
    off: bool | str
    used_by: str


SWITCHES = (
    Switch("enable_thinking", True, False, "Qwen3, GLM, Granite 4, SmolLM3, Nemotron 3, Gemma 4, Hunyuan, ..."),
    Switch("thinking", True, False, "DeepSeek V3.1 and later, Granite 3.2 and 3.3, Kimi K3"),
    Switch("thinking_mode", "enabled", "disabled", "MiniMax M3"),
    Switch("reasoning", True, False, "Command A Reasoning and later"),
    Switch("add_thoughts", True, False, "Apriel 1.5"),
)

EFFORTS = {
    "reasoning_effort": "gpt-oss, Mistral v15, DeepSeek V4, Qwen3.8, Solar, Inkling",
    "thinking_effort": "Kimi K3",
    "reasoning_strength": "Muse Glimmer",
}
"""Variables that take how much to reason, and who reads them."""

HISTORY_SWITCHES = (
    "preserve_thinking",
    "keep_past_thinking",
    "clear_thinking",
    "truncate_history_thinking",
    "drop_thinking",
)

_NEIGHBOURS: Mapping[str, tuple[str, ...]] = {
    "low": ("low", "minimal"),
    "medium": ("medium",),
    "high": ("high", "xhigh", "max"),
}
_NAMED = re.compile(r"""["'](none|minimal|low|medium|high|xhigh|max)["']""")


def reasoning_variables(
    asked: bool | str | None, source: str, variables: Collection[str], opening: str
) -> dict[str, bool | str]:
    """What to set for `asked` in a template that reads `variables` and whose format opens reasoning with `opening`.

    Raises `Unsupported` where the template has nothing for it.
    """
    if asked is None:
        return {}
    switches = [switch for switch in SWITCHES if switch.variable in variables]
    efforts = [name for name in EFFORTS if name in variables]
    named = set(_NAMED.findall(source)) if efforts else set[str]()
    if asked is False:
        return _off(switches, efforts, named)
    values: dict[str, bool | str] = {switch.variable: switch.on for switch in switches if switch.on is not None}
    if isinstance(asked, str):
        if not efforts:
            raise Unsupported(f"This model's chat template has no reasoning effort: {asked!r} cannot be asked for.")
        return values | {name: _effort(asked, named) for name in efforts}
    if not values and not efforts and opening not in source:
        raise Unsupported("This model's chat template knows no reasoning.")
    if not values and "none" in named:  # its default is none
        return {name: _effort("high", named) for name in efforts}
    return values


def _off(switches: list[Switch], efforts: list[str], named: set[str]) -> dict[str, bool | str]:
    values: dict[str, bool | str] = {switch.variable: switch.off for switch in switches}
    if not values and efforts:
        if "none" not in named:
            raise Unsupported("This model's reasoning can be made short, but not be turned off.")
        return dict.fromkeys(efforts, "none")
    return values


def _effort(asked: str, named: set[str]) -> str:
    """The template's own word for it; one that names a single word, its default, takes any."""
    if asked in named or len(named) < 2:
        return asked
    for word in _NEIGHBOURS.get(asked, ()):
        if word in named:
            return word
    known = ", ".join(sorted(named - {"none"}))
    raise Unsupported(f"This model's chat template has no reasoning effort {asked!r}, only: {known}.")
