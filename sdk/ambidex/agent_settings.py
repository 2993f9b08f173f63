"""What `Agent` and `AsyncAgent` share: the model, the tools, the limits."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic

from typing_extensions import TypeVar

from .agent_limits import Limits
from .agent_step import AgentRun
from .backend import Backend, Observer
from .conversation import connected
from .decoding import Decoding, check_integer, check_number, several
from .errors import ConfigError, InvalidRequest
from .journal import Journal, MemoryJournal, Settlement, checked_run_id
from .messages import Message, System, User, checked_messages
from .request import ReasoningEffort, Request
from .run_record import JournaledRun, RunRecord
from .tool_runner import ToolRunner
from .tools import Tool, as_tools

T = TypeVar("T", default=None)


class AgentSettings(Generic[T]):
    """Set once and never changed by a run, so that one agent may run many tasks, also at the same time."""

    def __init__(
        self,
        model: str | Backend,
        *,
        tools: Sequence[Tool[..., Any] | Callable[..., Any]],
        system: str | System | None = None,
        output: type[T] | None = None,
        max_steps: int = 20,
        max_tokens: int | None = None,
        max_total_tokens: int | None = None,
        max_cost: float | None = None,
        max_tool_calls: int | None = None,
        max_repeats: int | None = 8,
        timeout: float | None = None,
        tool_timeout: float | None = None,
        parallel: bool = True,
        strict_calls: bool = False,
        decoding: Decoding | None = None,
        reasoning: ReasoningEffort | None = None,
        stop: str | Sequence[str] | None = (),
        extra: Mapping[str, Any] | None = None,
        observe: Observer | None = None,
        journal: Journal | None = None,
    ) -> None:
        self._tools = as_tools(tools)
        for tool in self._tools:
            if tool.run is None:
                raise InvalidRequest(
                    f"An agent runs its tools, and {tool.name!r} has no function: give Tool(..., run=function), or "
                    "use a Chat and answer the calls yourself.",
                    param="tools",
                )
        if max_steps is None:
            raise InvalidRequest("max_steps takes a whole number, got None.", param="max_steps")
        check_integer(max_steps, "max_steps", at_least=1)
        check_integer(max_total_tokens, "max_total_tokens", at_least=1)
        check_number(max_cost, "max_cost", above=0.0)
        check_integer(max_tool_calls, "max_tool_calls", at_least=1)
        check_integer(max_repeats, "max_repeats", at_least=1)
        check_number(timeout, "timeout", above=0.0)
        check_number(tool_timeout, "tool_timeout", above=0.0)
        self._limits = Limits(max_steps, max_total_tokens, max_cost, max_tool_calls, max_repeats, timeout)
        self._runner = ToolRunner({tool.name: tool for tool in self._tools}, strict_calls, parallel, tool_timeout)
        self._options = Request(
            (User("?"),),  # the task's messages take its place
            tools=self._tools,
            output=output,
            max_tokens=max_tokens,
            decoding=decoding,
            reasoning=reasoning,
            stop=stop,
            extra=extra,
        )
        self._system = system if system is None or isinstance(system, System) else System(system)
        self._observe = observe
        if journal is not None and not callable(getattr(journal, "open", None)):
            raise ConfigError(f"journal takes a Journal such as SQLiteJournal(path), got {type(journal).__name__}.")
        self._records_all = journal is not None
        self._journal: Journal = MemoryJournal() if journal is None else journal
        self._backend = connected(model)
        self._owns_backend = isinstance(model, str)

    @property
    def journal(self) -> Journal:
        """The one given, else a `MemoryJournal` of this agent's runs that were given an id."""
        return self._journal

    def _new_run(self, task: str | Sequence[Message], run_id: str | None) -> tuple[AgentRun, RunRecord]:
        """The run of a task. Raises `InvalidRequest` for what is neither a text nor messages."""
        given = checked_messages((User(task),) if isinstance(task, str) else task)
        if not given:
            raise InvalidRequest("The task is empty: give a text or at least one message.")
        messages = list(given)
        if self._system is not None and not isinstance(messages[0], System):
            messages.insert(0, self._system)
        if run_id is None and self._records_all:
            run_id = uuid.uuid4().hex
        if run_id is None:
            return self._run(messages, None), RunRecord()
        return self._run(messages, checked_run_id(run_id)), JournaledRun(self._journal, run_id, task=given)

    def _resumed_run(self, run_id: str, settle: Sequence[Settlement]) -> tuple[AgentRun, RunRecord]:
        """The run of that id, its messages still in the journal."""
        settled = several(settle, lambda item: isinstance(item, Settlement))
        if settled is None:
            raise InvalidRequest("settle takes what call.happened(...) and its like return, in a list.", param="settle")
        return self._run([], checked_run_id(run_id)), JournaledRun(self._journal, run_id, settle=settled)

    def _run(self, messages: list[Message], run_id: str | None) -> AgentRun:
        return AgentRun(messages, self._limits, self._options, started=time.monotonic(), run_id=run_id)

    def _is_idempotent(self, tool: str) -> bool:
        return any(item.name == tool and item.idempotent for item in self._tools)

    def _prompt_tokens(self, request: Request) -> int | None:
        """How many tokens the request's prompt has, where a limit needs it and the backend can say."""
        count = getattr(self._backend, "count", None) if self._limits.count_tokens else None
        tokens: int | None = None if count is None else count(request)
        return tokens

    def __repr__(self) -> str:
        names = ", ".join(tool.name for tool in self._tools)
        return f"{type(self).__name__}({type(self._backend).__name__}, tools: {names or 'none'})"
