"""`AsyncChat` is `Chat` with await; a backend that knows no async is read in a thread."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from ambidex import (
    Assistant,
    AsyncChat,
    Chat,
    Event,
    EventStream,
    Request,
    System,
    TextDelta,
    ToolCall,
    ToolResult,
    User,
)
from ambidex.errors import ConcurrentUse, InvalidRequest, PendingToolCalls, RateLimited, Unsupported
from ambidex.testing import ScriptedBackend

pytestmark = pytest.mark.anyio


class OnlyStream:
    """The least that is a backend; notes in which thread it works."""

    def __init__(self, *replies: Any) -> None:
        self._scripted = ScriptedBackend(replies)
        self.capabilities = self._scripted.capabilities
        self.requests = self._scripted.requests
        self.threads: set[int] = set()
        self.closed = threading.Event()

    def stream(self, request: Request, /) -> EventStream:
        self.threads.add(threading.get_ident())
        inner = self._scripted.stream(request)

        def source() -> Iterator[Event]:
            try:
                for event in inner:
                    self.threads.add(threading.get_ident())
                    yield event
            finally:
                self.closed.set()

        return EventStream(source(), on_cancel=inner.cancel)


@pytest.fixture(params=[ScriptedBackend, OnlyStream])
def scripted(request: pytest.FixtureRequest) -> Any:
    """Makes a backend that gives these answers, with async of its own or without."""
    kind = request.param
    return (lambda *replies: ScriptedBackend(replies)) if kind is ScriptedBackend else OnlyStream


async def test_it_does_what_chat_does(scripted: Any) -> None:
    script: list[Any] = ["One two.", Assistant(ToolCall("", "add", {}), "?"), RateLimited("slow"), "Four."]

    def results(calls: tuple[ToolCall, ...]) -> list[ToolResult]:
        return [ToolResult(call.id, call.name, "3") for call in calls]

    chat = Chat(ScriptedBackend(script), system="s")
    replies = [chat.ask("1"), chat.ask("2")]
    with pytest.raises(RateLimited):
        chat.ask(*results(replies[1].tool_calls))
    replies.append(chat.ask(*results(replies[1].tool_calls)))

    twin = AsyncChat(scripted(*script), system="s")
    again = [await twin.ask("1"), await twin.ask("2")]
    with pytest.raises(PendingToolCalls):
        await twin.ask("3")
    with pytest.raises(RateLimited):
        await twin.ask(*results(again[1].tool_calls))
    again.append(await twin.ask(*results(again[1].tool_calls)))

    assert again == replies
    assert twin.messages == chat.messages


async def test_stream_is_a_plain_function(scripted: Any) -> None:
    chat = AsyncChat(scripted("One two.", "Hi."))
    stream = chat.stream("Count.")
    assert not inspect.isawaitable(stream)
    assert [piece async for piece in stream.text] == ["One ", "two."]
    async with chat.stream("Hello") as stream:
        async for _ in stream:
            break
    assert chat.messages == (User("Count."), Assistant("One two."))


@pytest.mark.parametrize("end", ["close", "cancel", "task", "leave", "leave text", "forget"])
async def test_an_early_end_leaves_the_history_and_the_chat_usable(scripted: Any, end: str) -> None:
    chat = AsyncChat(scripted("One two three.", "Hi."))
    stream = chat.stream("Count.")
    assert await anext(stream) == TextDelta("One ")
    if end == "leave":
        async for _ in stream:
            break
    elif end == "leave text":
        async for _ in stream.text:
            break
    elif end == "forget":
        del stream
    elif end == "close":
        await stream.close()
    elif end == "cancel":
        stream.cancel()
        async for _ in stream:
            pass
        assert stream.reply.finish_reason == "cancelled"
    else:
        task = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert chat.messages == ()
    assert (await chat.ask("Hello")).text == "Hi."


async def test_a_second_question_meanwhile_is_refused(scripted: Any) -> None:
    chat = AsyncChat(scripted("One.", "Two.", "Three."), system="s")
    outcomes = await asyncio.gather(chat.ask("1"), chat.ask("2"), return_exceptions=True)
    assert [type(outcome).__name__ for outcome in outcomes] == ["Reply", "ConcurrentUse"]
    assert isinstance(outcomes[1], ConcurrentUse)
    fork = chat.fork()
    await asyncio.gather(chat.ask("3"), fork.ask("4"))
    assert (len(chat.messages), len(fork.messages)) == (5, 5)
    assert fork.messages[0] == System("s")


async def test_refusals_are_the_same(scripted: Any) -> None:
    chat = AsyncChat(scripted("Hi."))
    with pytest.raises(InvalidRequest, match="AsyncChat has no option 'temperature'"):
        chat.stream("a", temperature=1)  # type: ignore[call-arg]  # that it is refused is the point
    with pytest.raises(Unsupported):
        await chat.ask("a", logprobs=1)
    assert (await chat.ask("Hello")).text == "Hi."


async def test_a_backend_without_async_never_blocks_the_loop() -> None:
    release = threading.Event()

    class Slow(OnlyStream):
        def stream(self, request: Request, /) -> EventStream:
            assert release.wait(30)
            return super().stream(request)

    chat = AsyncChat(Slow("Hi."))
    task = asyncio.create_task(chat.ask("Hello"))
    await asyncio.sleep(0.01)
    assert not task.done()
    release.set()
    assert (await task).text == "Hi."


async def test_one_thread_of_its_own_reads_it() -> None:
    backend = OnlyStream("One two three four.")
    await AsyncChat(backend).ask("Count.")
    assert len(backend.threads) == 1
    assert threading.get_ident() not in backend.threads
    assert backend.closed.is_set()


async def test_a_cancelled_task_does_not_wait_for_a_backend_that_is_stuck() -> None:
    release = threading.Event()
    cancelled = threading.Event()

    class Stuck(OnlyStream):
        def stream(self, request: Request, /) -> EventStream:
            def source() -> Iterator[Event]:
                try:
                    yield TextDelta("so ")
                    assert release.wait(30)
                finally:
                    self.closed.set()

            return EventStream(source(), on_cancel=cancelled.set)

    backend = Stuck()
    chat = AsyncChat(backend)
    task = asyncio.create_task(chat.ask("Hello"))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 20)
    assert cancelled.is_set()
    assert not backend.closed.is_set()
    release.set()
    assert await asyncio.to_thread(backend.closed.wait, 20)


async def test_a_thread_sees_the_caller_s_context() -> None:
    who = contextvars.ContextVar("who", default="nobody")

    class Asking(OnlyStream):
        def stream(self, request: Request, /) -> EventStream:
            return ScriptedBackend([who.get()]).stream(request)

    who.set("me")
    assert (await AsyncChat(Asking()).ask("Who?")).text == "me"


async def test_it_closes_what_it_connected_only() -> None:
    backend = ScriptedBackend(["Hi."])
    async with AsyncChat(backend) as chat:
        await chat.ask("Hello")
    assert not backend.closed
    await chat.close()
    assert repr(chat) == "AsyncChat('ScriptedBackend', 2 messages)"
