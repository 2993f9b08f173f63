"""Streams end in `Finished` or in one of our errors, and let go of their source however they end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from ambidex import (
    Assistant,
    Choice,
    Event,
    EventStream,
    Finished,
    Reply,
    Restarted,
    TextDelta,
    Usage,
    ValueDelta,
    acollect,
    collect,
)
from ambidex.errors import EngineError, IncompleteResponse, RateLimited, StreamInterrupted
from ambidex.stream import AsyncEventStream, Watcher

WHOLE = Finished((Choice(Assistant("one two"), "stop"),), Usage(1, 2), model="m", request_id="r")


class Source:
    """Yields what it is given, raises what is an exception, and counts how often it was closed."""

    def __init__(self, *items: Event | BaseException) -> None:
        self._items = iter(items)
        self.closed = 0

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        item = next(self._items)
        if isinstance(item, BaseException):
            raise item
        return item

    def close(self) -> None:
        self.closed += 1


class AsyncSource(Source):
    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        await asyncio.sleep(0)
        try:
            return next(self)
        except StopIteration:
            raise StopAsyncIteration from None

    async def aclose(self) -> None:
        self.close()


ONE, TWO = TextDelta("one "), TextDelta("two")


def test_a_whole_stream_gives_its_events_and_the_reply() -> None:
    source = Source(ONE, TWO, WHOLE, TextDelta("never read"))
    stream = EventStream(source)
    assert list(stream) == [ONE, TWO, WHOLE]
    assert stream.reply == Reply(WHOLE.choices, WHOLE.usage, WHOLE.timings, "m", "r")
    assert source.closed
    assert list(stream) == []


def test_the_reply_is_partial_until_the_end() -> None:
    stream = EventStream(Source(ONE, TWO, WHOLE))
    assert stream.reply.text == ""
    next(stream)
    assert (stream.reply.text, stream.reply.finish_reason) == ("one ", None)
    assert collect(stream).finish_reason == "stop"


def test_text_gives_the_pieces_of_the_first_choice() -> None:
    source = Source(ONE, TextDelta("other", choice=1), TextDelta(""), TWO, WHOLE)
    assert list(EventStream(source).text) == ["one ", "two"]


def test_what_was_streamed_before_a_restart_is_void() -> None:
    stream = EventStream(Source(ONE, ValueDelta([1]), Restarted("wrong"), TWO))
    for _ in range(4):
        next(stream)
    assert stream.reply.text == "two"


@pytest.mark.parametrize("items", [(), (ONE, TWO)])
def test_an_end_without_finished_is_an_error(items: tuple[Event, ...]) -> None:
    source = Source(*items)
    stream = EventStream(source)
    with pytest.raises(IncompleteResponse) as caught:
        list(stream)
    assert caught.value.partial is not None
    assert caught.value.partial.text == "".join(event.text for event in items if isinstance(event, TextDelta))
    assert source.closed
    assert next(stream, None) is None


def test_our_errors_pass_with_what_came_before() -> None:
    stream = EventStream(Source(ONE, StreamInterrupted("broken", phase="read")))
    with pytest.raises(StreamInterrupted, match="broken") as caught:
        collect(stream)
    assert caught.value.partial is not None
    assert caught.value.partial.text == "one "
    assert next(stream, None) is None


def test_a_partial_that_is_there_stays() -> None:
    partial = Reply((Choice(Assistant("all of it")),))
    with pytest.raises(RateLimited) as caught:
        collect(EventStream(Source(ONE, RateLimited("slow", partial=partial))))
    assert caught.value.partial is partial


def test_no_foreign_error_escapes() -> None:
    foreign = KeyError("choices")
    with pytest.raises(EngineError, match="KeyError: 'choices'") as caught:
        collect(EventStream(Source(ONE, foreign)))
    assert caught.value.__cause__ is foreign


def test_an_interrupt_passes_and_closes() -> None:
    source = Source(ONE, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        collect(EventStream(source))
    assert source.closed


def test_leaving_a_loop_or_block_closes() -> None:
    for leave in ("loop", "block", "close", "forget"):
        source = Source(ONE, TWO, WHOLE)
        stream = EventStream(source)
        if leave == "loop":
            for _ in stream:
                break
        elif leave == "block":
            with stream:
                next(stream)
        elif leave == "close":
            stream.close()
        del stream
        gc.collect()
        assert source.closed, leave


def test_cancel_ends_in_finished_with_what_came() -> None:
    source = Source(ONE, TWO, WHOLE)
    stream = EventStream(source)
    next(stream)
    stream.cancel()
    stream.cancel()
    assert list(stream) == [Finished((Choice(Assistant("one "), "cancelled"),))]
    assert stream.reply.finish_reason == "cancelled"
    assert source.closed


def test_a_source_that_can_be_cancelled_ends_by_itself() -> None:
    waiting = threading.Event()

    def source() -> Iterator[Event]:
        yield ONE
        assert waiting.wait(30)
        yield WHOLE

    stream = EventStream(source(), on_cancel=waiting.set)
    next(stream)
    threading.Timer(0.05, stream.cancel).start()
    last = next(stream)
    assert isinstance(last, Finished)
    assert last.choices[0].finish_reason == "cancelled"
    assert last.usage == WHOLE.usage


@pytest.mark.parametrize("end", [(), (StreamInterrupted("reset"),), (ValueError("closed"),)])
def test_an_error_that_comes_of_the_cancel_is_none(end: tuple[Exception, ...]) -> None:
    stream = EventStream(Source(ONE, *end), on_cancel=lambda: None)
    next(stream)
    stream.cancel()
    assert collect(stream).finish_reason == "cancelled"


def test_a_cancel_after_the_end_changes_nothing() -> None:
    told: list[int] = []
    stream = EventStream(Source(WHOLE), on_cancel=lambda: told.append(1))
    collect(stream)
    stream.cancel()
    assert stream.reply.finish_reason == "stop"
    assert not told


class Notes(Watcher[Event]):
    def __init__(self) -> None:
        self.notes: list[object] = []

    def accept(self, event: Event) -> Event:
        self.notes.append(event)
        return TextDelta("two!") if event == TWO else event

    def failed(self, error: Exception) -> None:
        self.notes.append(error)

    def closed(self) -> None:
        self.notes.append("closed")


def test_a_watcher_sees_and_changes_events() -> None:
    notes = Notes()
    assert list(EventStream(Source(ONE, TWO, WHOLE), watcher=notes)) == [ONE, TextDelta("two!"), WHOLE]
    assert notes.notes[:4] == [ONE, TWO, WHOLE, "closed"]


def test_a_watcher_learns_of_the_error_that_is_raised() -> None:
    notes = Notes()
    with pytest.raises(IncompleteResponse) as caught:
        collect(EventStream(Source(ONE), watcher=notes))
    assert caught.value in notes.notes
    assert "closed" in notes.notes


# -- the async twin


@pytest.mark.anyio
async def test_async_a_whole_stream() -> None:
    source = AsyncSource(ONE, TWO, WHOLE)
    stream = AsyncEventStream(source)
    assert [event async for event in stream] == [ONE, TWO, WHOLE]
    assert stream.reply.text == "one two"
    assert source.closed
    assert [piece async for piece in AsyncEventStream(AsyncSource(ONE, TWO, WHOLE)).text] == ["one ", "two"]


@pytest.mark.anyio
async def test_async_errors() -> None:
    with pytest.raises(IncompleteResponse):
        await acollect(AsyncEventStream(AsyncSource(ONE)))
    with pytest.raises(EngineError) as caught:
        await acollect(AsyncEventStream(AsyncSource(ONE, KeyError("a"))))
    assert caught.value.partial is not None
    assert caught.value.partial.text == "one "


@pytest.mark.anyio
async def test_async_cancel_ends_in_finished() -> None:
    source = AsyncSource(ONE, TWO, WHOLE)
    stream = AsyncEventStream(source)
    await anext(stream)
    stream.cancel()
    assert (await acollect(stream)).finish_reason == "cancelled"
    assert source.closed


@pytest.mark.anyio
async def test_async_a_cancelled_task_raises_cancelled_error_and_closes() -> None:
    class Stuck(AsyncSource):
        async def __anext__(self) -> Event:
            await asyncio.sleep(60)
            return ONE

    source = Stuck()
    task = asyncio.create_task(acollect(AsyncEventStream(source)))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert source.closed


@pytest.mark.anyio
@pytest.mark.parametrize("leave", ["loop", "text", "error", "forget"])
async def test_async_leaving_a_loop_ends_the_stream_at_once_and_closes_it_soon(leave: str) -> None:
    class Told(Watcher[Event]):
        ended = False

        def closed(self) -> None:
            self.ended = True

    source, told = AsyncSource(ONE, TWO, WHOLE), Told()
    stream = AsyncEventStream(source, watcher=told)
    if leave == "text":
        async for _ in stream.text:
            break
    elif leave == "loop":
        async for _ in stream:
            break
    elif leave == "error":
        with contextlib.suppress(KeyError):
            async for _ in stream:
                raise KeyError
    else:
        await anext(stream)
    if leave != "forget":
        assert told.ended
        assert await anext(stream, None) is None
    del stream
    gc.collect()
    assert told.ended
    await asyncio.sleep(0.001)
    assert source.closed == 1


def test_async_leaving_a_loop_closes_the_stream_though_the_event_loop_ends_then() -> None:
    source = AsyncSource(ONE, TWO, WHOLE)

    async def leave() -> None:
        async for _ in AsyncEventStream(source):
            break

    asyncio.run(leave())
    assert source.closed


@pytest.mark.anyio
async def test_async_looking_at_a_stream_is_not_reading_it() -> None:
    stream = AsyncEventStream(AsyncSource(ONE, TWO, WHOLE))
    for dropped in (aiter(stream), stream.text):
        del dropped
    async with contextlib.aclosing(stream.text) as pieces:  # type: ignore[type-var]  # as whoever had a generator does
        assert await anext(pieces) == "one "
    assert await anext(stream, None) is None


def test_async_a_stream_that_nobody_reads_cancels_its_source() -> None:
    cancelled: list[str] = []
    AsyncEventStream(AsyncSource(WHOLE), on_cancel=lambda: cancelled.append("never read"))
    stream = AsyncEventStream(AsyncSource(ONE, WHOLE), on_cancel=lambda: cancelled.append("its event loop is closed"))
    asyncio.run(stream.__anext__())
    del stream
    gc.collect()
    assert cancelled == ["never read", "its event loop is closed"]


@pytest.mark.anyio
async def test_async_early_close() -> None:
    source = AsyncSource(ONE, TWO, WHOLE)
    async with AsyncEventStream(source) as stream:
        await anext(stream)
    assert source.closed
    assert await anext(stream, None) is None
    await stream.aclose()
