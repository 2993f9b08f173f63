"""`CallForm`: what the calls of an answer must look like, for those who hold an answer to it while it is decoded."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ambidex.grammar import Chain, Grammar, Json, OneOf, Repeat, Text, chain
from ambidex.tools import Tool


@dataclass(frozen=True, slots=True)
class CallForm:
    """`opening`, `before`, then calls with `between` between them, then `closing`.

    opening  begins calls and nothing else, wherever it stands; empty if a family has no such mark
    between  None: an answer has one call at most
    """

    opening: str
    call: Grammar
    before: str = ""
    between: str | None = ""
    closing: str = ""

    def whole(self, *, several: bool) -> Grammar:
        """An answer that is nothing but calls, one or `several`."""
        return Chain((Text(self.opening), self.rest(several=several)))

    def rest(self, *, several: bool) -> Grammar:
        """What follows `opening`."""
        calls = Repeat(self.call, self.between) if several and self.between is not None else self.call
        return Chain((Text(self.before), calls, Text(self.closing)))

    @property
    def stands_alone(self) -> bool:
        """Whether each call has its own opening, and nothing encloses them all."""
        return self.opening != "" and (self.between or "").strip() == self.opening and not self.before + self.closing


def named(tools: Sequence[Tool], call: Callable[[Tool], Grammar]) -> Grammar:
    """A call of one of the tools."""
    return OneOf(tuple(map(call, tools)))


def arguments_of(tool: Tool) -> Json:
    """The arguments as a JSON object. What of the schema cannot be held is checked when the call was read."""
    return Json(tool.parameters, is_checked_later=True)


def any_object(
    tools: Sequence[Tool],
    *,
    name: str = "name",
    arguments: str = "arguments",
    first: Grammar | str = "",
    last: Grammar | str = "",
) -> Grammar:
    """A call of one of the tools as a JSON object with these two members, `first` before them and `last` behind."""
    return named(
        tools,
        lambda tool: chain(
            "{", first, f'"{name}": {quoted(tool.name)}, "{arguments}": ', arguments_of(tool), last, "}"
        ),
    )


def any_named(tools: Sequence[Tool], before: Callable[[str], Grammar | str], after: str = "") -> Grammar:
    """A call of one of the tools as what `before` makes of its name, and the object of its arguments."""
    return named(tools, lambda tool: chain(before(tool.name), arguments_of(tool), after))


def quoted(text: str) -> str:
    """As a JSON string."""
    return json.dumps(text, ensure_ascii=False)
