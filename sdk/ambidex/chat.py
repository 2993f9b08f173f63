"""`Chat`: a conversation with a model. Asking blocks; `AsyncChat` is the same with await."""

from __future__ import annotations

from typing import Any, Self, Unpack, overload

from typing_extensions import TypeVar

from .backend import Backend, Observer
from .conversation import Content, Conversation, RequestOptions
from .grammar import Lark, Regex
from .messages import System
from .reply import Reply
from .stream import EventStream, collect
from .structured_answer import DEFAULT_TRIES
from .structured_stream import open_answer

T = TypeVar("T")


class Chat(Conversation):
    """A conversation whose history grows with every answer.

        chat = Chat("local:pocket", system="Be brief.")
        print(chat.ask("hello").text)
        for piece in chat.stream("and now?").text: print(piece, end="")

    model    a model string (see `connect`), or a Backend, which stays open when the chat closes
    system   instructions; the first message
    observe  called with every request, event and error
    output_tries  how often at most an answer with `output` is asked for: one that does not fit its type is sent back
             with what is wrong (`Restarted` in the stream), and only the last one joins the history
    options  defaults for every ask: tools, tool_choice, parallel_tool_calls, reasoning, decoding, stop, max_tokens,
             logprobs, timeout, trace, extra; as in `Request`

    A chat never runs tools: calls in an answer wait until `ask(ToolResult(call.id, call.name, ...))` answers them all;
    until then text is refused with `PendingToolCalls`. An invalid call stays in the history as a record and may be
    answered, but nothing waits for it. The history changes only when an answer is whole: not on an error, a cancel or
    an early close. `ask()` behind an answer goes on with it, and the two become one message; models in this process
    go on in the same turn, servers as they do. One answer at a time: a second ask meanwhile raises `ConcurrentUse`.
    """

    def __init__(
        self,
        model: str | Backend,
        *,
        system: str | System | None = None,
        observe: Observer | None = None,
        output_tries: int = DEFAULT_TRIES,
        **options: Unpack[RequestOptions],
    ) -> None:
        super().__init__(model, system, observe, output_tries, options)

    @overload
    def ask(self, *content: Content, output: None = None, **options: Unpack[RequestOptions]) -> Reply[None]: ...
    @overload
    def ask(self, *content: Content, output: type[T], **options: Unpack[RequestOptions]) -> Reply[T]: ...
    @overload
    def ask(self, *content: Content, output: Regex | Lark, **options: Unpack[RequestOptions]) -> Reply[str]: ...
    @overload
    def ask(self, *content: Content, output: Any, **options: Unpack[RequestOptions]) -> Reply[Any]: ...
    def ask(self, *content: Content, output: Any = None, **options: Unpack[RequestOptions]) -> Reply[Any]:
        """The whole answer to text and parts, or to the calls that wait; with nothing given, the model goes on.

        output   a type (pydantic model, dataclass, TypedDict, Literal, union, list, ...): the answer is held to it
                 where the backend can, else asked for in words; validated, and given as `Reply.value`
        options  override the chat's for this answer

        Raises what `stream` raises, and `OutputInvalid` where the last of `output_tries` answers does not fit `output`.
        """
        return collect(self.stream(*content, output=output, **options))

    def stream(self, *content: Content, output: Any = None, **options: Unpack[RequestOptions]) -> EventStream:
        """As `ask`, event by event.

        Raises `InvalidRequest` (`PendingToolCalls`, `ConcurrentUse`, `Unsupported`) before anything is sent.
        """
        request = self._begin(content, output, options)
        try:
            if request.output is None:
                source = self._backend.stream(request)
            else:
                source = open_answer(self._backend, request, tries=self._output_tries, observe=self._observe)
        except Exception as error:
            failure = self._fail(error)
            raise failure from failure.__cause__
        except BaseException:
            self._turn.release()
            raise
        return EventStream(source, on_cancel=source.cancel, watcher=self._watcher(request))

    def fork(self) -> Chat:
        """A copy that goes on by itself from the history as it is now."""
        copy = Chat(self._model, observe=self._observe, output_tries=self._output_tries, **self._options)
        copy._messages = self._messages
        return copy

    def close(self) -> None:
        """Closes the backend if the chat connected it. May be called again."""
        if (close := self._to_close("close")) is not None:
            close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
