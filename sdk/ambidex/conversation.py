"""What `Chat` and `AsyncChat` share: a history, default options, and one turn at a time."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypedDict

from .backend import Backend, Observer, connect, notify
from .call_pairing import paired, with_unique_ids
from .decoding import Decoding, check_integer
from .errors import AmbidexError, ConcurrentUse, ConfigError, InvalidRequest
from .events import Event, Finished
from .messages import Assistant, Message, Part, System, Text, ToolResult, User, checked_messages, may_go_on
from .option_names import unknown_name_message
from .printable_address import printable_model
from .request import ReasoningEffort, Request, ToolChoice
from .stream import Watcher, as_ambidex_error
from .tools import Tool

Content: TypeAlias = str | Part | ToolResult


class RequestOptions(TypedDict, total=False):
    """The options of `Request` that a chat passes on; what they mean stands there."""

    tools: Sequence[Tool[..., Any] | Callable[..., Any]]
    tool_choice: ToolChoice
    parallel_tool_calls: bool | None
    reasoning: ReasoningEffort | None
    decoding: Decoding | None
    stop: str | Sequence[str] | None
    max_tokens: int | None
    logprobs: int | None
    timeout: float | None
    trace: bool
    extra: Mapping[str, Any] | None


class Conversation:
    """The history and the options; only one turn at a time may be under way."""

    def __init__(
        self,
        model: str | Backend,
        system: str | System | None,
        observe: Observer | None,
        output_tries: int,
        options: RequestOptions,
    ) -> None:
        check_integer(output_tries, "output_tries", at_least=1)
        self._options: RequestOptions = {}
        self._options = self._merged(options)
        if options:
            # A Request checks its options when made: here that is done before there is anything to ask.
            Request((User("?"),), **options)
        self._messages: tuple[Message, ...] = ()
        if system is not None:
            self._messages = (system if isinstance(system, System) else System(system),)
        self._observe = observe
        self._output_tries = output_tries
        self._model = model
        self._backend = connected(model)
        self._owns_backend = isinstance(model, str)
        self._turn = threading.Lock()

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation so far, the system message first."""
        return self._messages

    def append(self, message: Message) -> None:
        """Adds a message to the history without asking. Raises `ConcurrentUse` while an answer streams."""
        added = checked_messages((message,))
        self._take_turn()
        self._messages = (*self._messages, *added)
        self._turn.release()

    def _begin(self, content: tuple[Content, ...], output: Any, options: RequestOptions) -> Request:
        """Takes the turn; the request to make. Given back by `_fail` or when the `Turn` is closed."""
        merged = self._merged(options)
        self._take_turn()
        try:
            new = _new_messages(self._messages, content)
            request = Request((*self._messages, *new), output=output, **merged)
        except Exception as error:
            failure = self._fail(error)
            raise failure from failure.__cause__
        notify(self._observe, request)
        return request

    def _watcher(self, request: Request) -> Turn:
        return Turn(request, self._observe, self._keep, self._turn.release)

    def _keep(self, messages: tuple[Message, ...]) -> None:
        self._messages = messages

    def _fail(self, error: Exception) -> AmbidexError:
        """Gives the turn back before there is a stream; the error to raise."""
        self._turn.release()
        failure = as_ambidex_error(error)
        notify(self._observe, failure)
        return failure

    def _to_close(self, *names: str) -> Callable[[], Any] | None:
        """The first of these methods that the backend has, once, if this conversation connected it."""
        owned, self._owns_backend = self._owns_backend, False
        methods = [method for name in names if (method := getattr(self._backend, name, None)) is not None]
        return methods[0] if owned and methods else None

    def __repr__(self) -> str:
        model = printable_model(self._model) if isinstance(self._model, str) else type(self._model).__name__
        return f"{type(self).__name__}({model!r}, {len(self._messages)} messages)"

    def _take_turn(self) -> None:
        if not self._turn.acquire(blocking=False):
            raise ConcurrentUse(
                f"This {type(self).__name__} is still answering: read or close that stream first, "
                "or ask a copy made by fork()."
            )

    def _merged(self, options: RequestOptions) -> RequestOptions:
        """The defaults, overridden by `options`; unknown names are refused."""
        owner = type(self).__name__
        for name in options:
            if name == "n":
                raise InvalidRequest(f"{owner} goes on with one answer; for more: backend.stream(Request(..., n=n)).")
            if name not in RequestOptions.__annotations__:
                raise InvalidRequest(unknown_name_message(owner, name, RequestOptions.__annotations__), param=name)
        return {**self._options, **options}


class Turn(Watcher[Event]):
    """One question and its answer: the history changes when the answer is whole, and not before."""

    def __init__(
        self,
        request: Request,
        observe: Observer | None,
        keep: Callable[[tuple[Message, ...]], None],
        release: Callable[[], None],
    ) -> None:
        self._request = request
        self._observe = observe
        self._keep = keep
        self._release: Callable[[], None] | None = release

    def accept(self, event: Event) -> Event:
        if isinstance(event, Finished) and event.choices[0].finish_reason != "cancelled":
            event = with_unique_call_ids(event)
            self._keep(with_answer(self._request.messages, event.choices[0].message))
        notify(self._observe, event)
        return event

    def failed(self, error: AmbidexError) -> None:
        notify(self._observe, error)

    def closed(self) -> None:
        release, self._release = self._release, None
        if release is not None:
            release()


def connected(model: object) -> Backend:
    """The backend that a model string names, or the one given. Raises `ConfigError` for anything else."""
    if isinstance(model, str):
        backend = connect(model)
    else:
        backend = model
    if not isinstance(backend, Backend):
        raise ConfigError(
            f"A model is a string such as 'local:pocket' or a Backend (stream and capabilities), "
            f"got {type(backend).__name__}."
        )
    return backend


def with_unique_call_ids(event: Finished) -> Finished:
    """The end of an answer with an id of its own for each call."""
    first, *others = event.choices
    first = dataclasses.replace(first, message=with_unique_ids(first.message))
    return dataclasses.replace(event, choices=(first, *others))


def with_answer(messages: Sequence[Message], answer: Assistant) -> tuple[Message, ...]:
    """The history with the answer; one that goes on with an answer before it becomes one message with that."""
    *before, last = messages
    if not isinstance(last, Assistant) or not may_go_on(last):
        return (*messages, answer)
    *parts, end = last.parts
    first, *others = answer.parts or (Text(""),)
    if isinstance(end, Text) and isinstance(first, Text):
        return (*before, Assistant(*parts, end.text + first.text, *others))
    return (*before, Assistant(*last.parts, *answer.parts))


def _new_messages(history: Sequence[Message], content: tuple[Content, ...]) -> list[Message]:
    """What a turn adds: the results in the order of their calls, then what the person says."""
    for item in content:
        if isinstance(item, (System, User, Assistant)):
            raise InvalidRequest(f"ask takes text, parts and ToolResults; add a {type(item).__name__} with append().")
    results = paired(history, (item for item in content if isinstance(item, ToolResult)))
    said = [item for item in content if not isinstance(item, ToolResult)]
    return [*results, *([User(*said)] if said else [])]
