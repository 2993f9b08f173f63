"""What an answer is held to: the type that was asked for, the calls that must be made, or calls once they begin."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ambidex import formats
from ambidex.grammar import Grammar, Json, OneOf
from ambidex.output import form
from ambidex.request import NamedTool, Request
from ambidex.tools import Tool

from .choices import WithoutConstraint
from .constraint import Constraint, GrammarConstraint
from .grammars import Grammars
from .triggered import TriggeredConstraint

SPARE_TOKENS = 8


@dataclass(frozen=True, slots=True)
class AnswerForm:
    """How the answers of one model are held to a form: its grammars and the format of its calls."""

    grammars: Grammars
    format: formats.Format
    ends: frozenset[int]

    @property
    def holds_calls(self) -> bool:
        """Whether calls can be demanded of this model."""
        return self.grammars.hold_all_forms

    def constraint(
        self, request: Request, tools: Sequence[Tool], *, starts_in_reasoning: bool, left: int
    ) -> Constraint | None:
        """None where anything may be said. `left`: tokens that may be written.

        Raises `Unsupported`, `MissingExtra`, `InvalidRequest`.
        """
        whole = self._whole(request, tools)
        if whole is None and request.tool_choice == "none":
            return self._no_calls(request.tool_list)
        if whole is None:
            return self._calls_once_begun(tools, request.parallel_tool_calls is not False)

        def begin(now_left: int) -> Constraint:
            return self.grammars.constraint(whole, now_left, must_fit=not tools)

        return self._after_reasoning(begin, left) if starts_in_reasoning else begin(left)

    def _whole(self, request: Request, tools: Sequence[Tool]) -> Grammar | None:
        """The form of the answer from its first token on, if it has one."""
        lenient = bool((request.extra or {}).get("lenient_schema"))
        wanted = None if request.output is None else form(request.output)
        if isinstance(wanted, Json) and lenient:
            wanted = Json(wanted.schema, is_checked_later=True)
        choice = request.tool_choice
        must_call = bool(tools) and choice not in ("auto", "none")
        if not must_call and (wanted is None or not tools):
            return wanted
        if isinstance(choice, NamedTool):
            tools = [tool for tool in tools if tool.name == choice.name]
        calls = self.format.call_form(tools).whole(several=request.parallel_tool_calls is not False)
        return calls if wanted is None or must_call else OneOf((calls, wanted))

    def _after_reasoning(self, begin: Callable[[int], Constraint], left: int) -> Constraint:
        closing = self.grammars.trigger(self.format.REASONING[1])
        first = begin(left - len(closing.ids))
        shortest = (first.shortest if isinstance(first, GrammarConstraint) else None) or SPARE_TOKENS
        return TriggeredConstraint(
            closing,
            begin,
            ends=self.ends,
            reserve=2 * shortest + SPARE_TOKENS,
        )

    def _no_calls(self, tools: Sequence[Tool]) -> Constraint | None:
        """Without the token that begins calls, if one does; what begins otherwise is not read as a call."""
        opening = self.grammars.ids(self.format.call_form(tools).opening) if tools else []
        return WithoutConstraint(opening[0]) if len(opening) == 1 else None

    def _calls_once_begun(self, tools: Sequence[Tool], several: bool) -> Constraint | None:
        calls = self.format.call_form(tools) if tools and self.grammars.hold_all_forms else None
        if calls is None or not calls.opening:  # nothing says where calls begin
            return None
        body = calls.rest(several=several and not calls.stands_alone)
        return TriggeredConstraint(
            self.grammars.trigger(calls.opening),
            lambda _: self.grammars.constraint(body, None),
            ends=self.ends,
            again=several,
        )
