"""`AsyncChat`: the async twin of `Chat`."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any, Self, Unpack, overload

from typing_extensions import TypeVar

from .backend import Backend, Observer
from .conversation import Content, Conversation, RequestOptions
from .grammar import Lark, Regex
from .messages import System
from .reply import Reply
from .stream import AsyncEventStream, acollect
from .structured_answer import DEFAULT_TRIES
from .structured_stream import open_async_answer
from .threaded_stream import open_async

T = TypeVar("T")


class AsyncChat(Conversation):
    """As `Chat`, with await and async for. A backend without `astream` is read in a thread.

    async with AsyncChat("local:pocket") as chat:
        print((await chat.ask("hello")).text)
        async for piece in chat.stream("and now?").text: print(piece, end="")
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
    async def ask(self, *content: Content, output: None = None, **options: Unpack[RequestOptions]) -> Reply[None]: ...
    @overload
    async def ask(self, *content: Content, output: type[T], **options: Unpack[RequestOptions]) -> Reply[T]: ...
    @overload
    async def ask(self, *content: Content, output: Regex | Lark, **options: Unpack[RequestOptions]) -> Reply[str]: ...
    @overload
    async def ask(self, *content: Content, output: Any, **options: Unpack[RequestOptions]) -> Reply[Any]: ...
    async def ask(self, *content: Content, output: Any = None, **options: Unpack[RequestOptions]) -> Reply[Any]:
        """The whole answer; see `Chat.ask`."""
        return await acollect(self.stream(*content, output=output, **options))

    def stream(self, *content: Content, output: Any = None, **options: Unpack[RequestOptions]) -> AsyncEventStream:
        """The answer event by event; a plain function. See `Chat.stream`."""
        request = self._begin(content, output, options)
        try:
            if request.output is None:
                source = open_async(self._backend, request)
            else:
                source = open_async_answer(self._backend, request, tries=self._output_tries, observe=self._observe)
        except Exception as error:
            failure = self._fail(error)
            raise failure from failure.__cause__
        return AsyncEventStream(source, on_cancel=source.cancel, watcher=self._watcher(request))

    def fork(self) -> AsyncChat:
        """A copy that goes on by itself from the history as it is now."""
        copy = AsyncChat(self._model, observe=self._observe, output_tries=self._output_tries, **self._options)
        copy._messages = self._messages
        return copy

    async def close(self) -> None:
        """Closes the backend if the chat connected it. May be called again."""
        close = self._to_close("aclose", "close")
        if inspect.iscoroutinefunction(close):
            await close()
        elif close is not None:
            await asyncio.to_thread(close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
