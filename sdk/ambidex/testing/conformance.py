"""What every backend keeps, as a suite that a backend's tests inherit; needs no pytest of its own.

    from ambidex.testing.conformance import BackendConformance

    class TestMyBackend(BackendConformance):
        def make_backend(self):
            return MyBackend(...)

pytest collects the inherited methods; what the capabilities say no to, or nothing about, is skipped. Each test makes
a backend and closes it: where that is slow, hold one from `connect` and make others by the same `connect`.
The backend must take `request()` and `tool_request()`, which may be overridden; what it answers does not matter.
"""

from __future__ import annotations

import asyncio
import copy
import dataclasses
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, get_args
from unittest import SkipTest

from ambidex.backend import Backend, Capabilities
from ambidex.chat import Chat
from ambidex.decoding import Beams, Greedy, Sampling
from ambidex.errors import AmbidexError, Unsupported
from ambidex.events import (
    Event,
    Finished,
    Restarted,
    TextDelta,
    TokenScored,
    ToolCallDelta,
    ToolCalled,
    ToolCallStarted,
)
from ambidex.messages import Audio, Image, Message, System, ToolResult, User
from ambidex.reply import FinishReason, Reply
from ambidex.request import Request
from ambidex.stream import acollect, collect
from ambidex.threaded_stream import open_async
from ambidex.tools import Tool, tool


@tool
def get_weather(city: str) -> str:
    """The weather in a city.

    Args:
        city: the city's name
    """
    return f"Sunny in {city}."


class BackendConformance:
    """Inherit, write `make_backend`; override the others where the defaults do not fit."""

    deterministic = True
    """Whether `Greedy()` gives the same answer twice."""

    def make_backend(self) -> Backend:
        """A new backend, or one more hold on a shared one."""
        raise NotImplementedError

    def request(self, **options: Any) -> Request:
        """A request whose answer has more than one token."""
        return Request([System("Be brief."), User("Count from one to ten.")], **options)

    def tool_request(self, **options: Any) -> Request:
        """A request that is best answered by calling `get_weather`."""
        return Request([User("What is the weather in Paris?")], tools=[get_weather], **options)

    # -- the stream

    def test_finished_is_the_last_event_and_comes_once(self) -> None:
        with self._backend() as backend:
            events = list(backend.stream(self.request()))
            finished = [event for event in events if isinstance(event, Finished)]
            assert finished == events[-1:]
            assert finished[0].choices[0].finish_reason in get_args(FinishReason)

    def test_the_pieces_make_the_text(self) -> None:
        with self._backend() as backend:
            stream = backend.stream(self.request())
            pieces: list[str] = []
            for event in stream:
                match event:
                    case Restarted():
                        pieces.clear()
                    case TextDelta(text):
                        pieces.append(text)
                    case _:
                        pass
            assert "".join(pieces) == stream.reply.text

    def test_the_reply_is_what_finished_says(self) -> None:
        with self._backend() as backend:
            stream = backend.stream(self.request())
            *_, finished = stream
            assert isinstance(finished, Finished)
            reply = stream.reply
            assert (reply.choices, reply.usage, reply.timings) == (finished.choices, finished.usage, finished.timings)

    def test_nothing_comes_after_the_end(self) -> None:
        with self._backend() as backend:
            stream = backend.stream(self.request())
            collect(stream)
            assert next(stream, None) is None
            assert list(stream) == []

    def test_closing_early_ends_the_stream_and_nothing_else(self) -> None:
        with self._backend() as backend:
            stream = backend.stream(self.request())
            next(stream)
            stream.close()
            stream.close()
            assert next(stream, None) is None
            assert stream.reply.finish_reason is None
            self._still_answers(backend)

    def test_leaving_the_loop_closes_the_stream(self) -> None:
        with self._backend() as backend:
            stream = backend.stream(self.request())
            for _ in stream:
                break
            assert next(stream, None) is None
            self._still_answers(backend)

    def test_a_stream_never_read_can_be_closed(self) -> None:
        with self._backend() as backend:
            backend.stream(self.request()).close()
            self._still_answers(backend)

    def test_cancel_ends_in_finished(self) -> None:
        with self._backend() as backend:
            stream = backend.stream(self.request())
            next(stream)
            stream.cancel()
            stream.cancel()
            *_, last = stream
            assert isinstance(last, Finished)
            assert stream.reply.finish_reason == "cancelled"
            self._still_answers(backend)

    def test_two_streams_at_once(self) -> None:
        with self._backend() as backend:
            first, second = backend.stream(self.request()), backend.stream(self.request())
            assert next(first) is not None
            assert collect(second).finish_reason is not None
            assert collect(first).finish_reason is not None

    # -- the request

    def test_max_tokens_cuts_the_answer(self) -> None:
        with self._backend() as backend:
            reply = collect(backend.stream(self.request(max_tokens=1)))
            assert reply.finish_reason == "length"
            assert reply.usage.output_tokens in (None, 1)

    def test_stop_ends_the_answer_before_the_text(self) -> None:
        self._needs_determinism()
        with self._backend() as backend:
            text = collect(backend.stream(self.request(decoding=Greedy()))).text
            stop = text[len(text) // 2 :][:3]
            if not stop:
                raise SkipTest("the answer is too short")
            reply = collect(backend.stream(self.request(decoding=Greedy(), stop=stop)))
            assert reply.text == text[: text.index(stop)]
            assert reply.finish_reason == "stop"
            assert reply.stop_sequence in (None, stop)

    def test_logprobs_are_those_of_the_tokens(self) -> None:
        self._needs("logprobs")
        with self._backend() as backend:
            stream = backend.stream(self.request(logprobs=2, max_tokens=4))
            scored = tuple(event.logprob for event in stream if isinstance(event, TokenScored))
            assert stream.reply.logprobs == scored
            assert scored
            assert all(token.logprob <= 0 and len(token.top) <= 2 for token in scored)

    def test_n_gives_n_choices(self) -> None:
        self._needs("n")
        with self._backend() as backend:
            assert len(collect(backend.stream(self.request(n=2, max_tokens=4))).choices) == 2

    def test_a_raw_prompt_is_taken(self) -> None:
        self._needs("prompt")
        with self._backend() as backend:
            assert collect(backend.stream(Request(prompt="One, two,", max_tokens=4))).finish_reason is not None

    def test_what_is_not_supported_is_refused_before_anything_is_sent(self) -> None:
        with self._backend() as backend:
            for name, request in self._requests_that_use().items():
                if getattr(backend.capabilities, name) is False:
                    refused(backend, request)
                    asyncio.run(arefused(backend, request))

    # -- tools

    def test_a_call_makes_the_round_trip(self) -> None:
        self._needs("tools")
        with self._backend() as backend:
            choice = "required" if backend.capabilities.tool_choice else "auto"
            request = self.tool_request(tool_choice=choice)
            stream = backend.stream(request)
            events = list(stream)
            reply = stream.reply
            if choice == "auto" and not reply.tool_calls:
                raise SkipTest("the model did not call the tool, and cannot be made to")
            assert reply.tool_calls
            assert reply.finish_reason == "tool_calls"
            self._check_calls(events, reply)
            results = [
                ToolResult(call.id, call.name, get_weather(**get_weather.bind(call.arguments)))
                for call in reply.tool_calls
            ]
            messages: list[Message] = [*request.messages, reply.message, *results]
            assert collect(backend.stream(Request(messages, tools=[get_weather]))).finish_reason is not None

    def test_a_cut_call_is_invalid(self) -> None:
        self._needs("tools", "tool_choice")
        with self._backend() as backend:
            reply = collect(backend.stream(self.tool_request(tool_choice="required", max_tokens=2)))
            assert reply.finish_reason == "length"
            assert reply.tool_calls == ()

    def test_without_tools_nothing_is_called(self) -> None:
        with self._backend() as backend:
            reply = collect(backend.stream(self.request()))
            assert reply.tool_calls == ()
            assert reply.message.invalid_calls == ()

    # -- async

    def test_async_answers_as_sync_does(self) -> None:
        self._needs_determinism()
        with self._backend() as backend:
            request = self.request(decoding=Greedy())
            reply = collect(backend.stream(request))

            async def ask() -> Reply[Any]:
                return await acollect(open_async(backend, request))

            other = asyncio.run(ask())
            assert (other.message, other.finish_reason) == (reply.message, reply.finish_reason)

    def test_async_streams_end_early_as_sync_ones_do(self) -> None:
        with self._backend() as backend:

            async def close_and_cancel() -> None:
                stream = open_async(backend, self.request())
                await anext(stream)
                await stream.close()
                assert await anext(stream, None) is None
                stream = open_async(backend, self.request())
                await anext(stream)
                stream.cancel()
                async for _ in stream:
                    pass
                assert stream.reply.finish_reason == "cancelled"

            asyncio.run(close_and_cancel())
            self._still_answers(backend)

    def test_a_cancelled_task_raises_cancelled_error(self) -> None:
        with self._backend() as backend:

            async def cancel() -> None:
                stream = open_async(backend, self.request())
                await anext(stream)
                reading = asyncio.create_task(acollect(stream))
                await asyncio.sleep(0)
                reading.cancel()
                await asyncio.wait([reading])
                assert reading.cancelled() or stream.reply.finish_reason is not None
                await stream.close()

            asyncio.run(cancel())
            self._still_answers(backend)

    # -- the backend

    def test_capabilities_are_known_without_asking(self) -> None:
        with self._backend() as backend:
            assert isinstance(backend.capabilities, Capabilities)
            assert backend.capabilities == backend.capabilities

    def test_it_counts_tokens_or_says_that_it_cannot(self) -> None:
        with self._backend() as backend:
            count = getattr(backend, "count", None)
            if count is None:
                raise SkipTest("this backend does not count")
            assert (tokens := count(self.request())) is None or tokens > 0

    def test_unknown_options_are_refused(self) -> None:
        with self._backend() as backend:
            constructor: Any = type(backend)
            try:
                constructor("model", no_such_option=1)
            except (AmbidexError, TypeError) as error:
                refusal = str(error)
            else:
                raise AssertionError("no_such_option was taken")
            assert "no_such_option" in refusal

    def test_it_can_be_closed_twice(self) -> None:
        with self._backend() as backend:
            close = getattr(backend, "close", None)
            if close is None:
                raise SkipTest("this backend holds nothing")
            collect(backend.stream(self.request()))
            close()

    def test_a_reply_is_a_value(self) -> None:
        with self._backend() as backend:
            reply = collect(backend.stream(self.request()))
            assert copy.deepcopy(reply) == reply

    def test_a_chat_goes_on(self) -> None:
        with self._backend() as backend:
            chat = Chat(backend, max_tokens=8)
            chat.ask("Hello.")
            chat.ask("And now?")
            assert [type(message).__name__ for message in chat.messages] == ["User", "Assistant"] * 2

    # -- what the tests stand on

    @contextmanager
    def _backend(self) -> Generator[Backend]:
        backend = self.make_backend()
        try:
            yield backend
        finally:
            if (close := getattr(backend, "close", None)) is not None:
                close()

    def _needs(self, *names: str) -> None:
        with self._backend() as backend:
            for name in names:
                if not getattr(backend.capabilities, name):
                    raise SkipTest(f"this backend has no {name}, or does not know")

    def _needs_determinism(self) -> None:
        if not self.deterministic:
            raise SkipTest("this backend's answers differ")

    def _still_answers(self, backend: Backend) -> None:
        assert collect(backend.stream(self.request(max_tokens=2))).finish_reason is not None

    def _check_calls(self, events: list[Event], reply: Reply[Any]) -> None:
        called = [event for event in events if isinstance(event, ToolCalled)]
        assert tuple(event.call for event in called) == reply.tool_calls
        for event in called:
            started = [e for e in events if isinstance(e, ToolCallStarted) and e.index == event.index]
            assert [(e.id, e.name) for e in started] == [(event.call.id, event.call.name)]
            written = "".join(e.json for e in events if isinstance(e, ToolCallDelta) and e.index == event.index)
            assert event.call.repaired or written == event.call.arguments_json

    def _requests_that_use(self) -> dict[str, Request]:
        """By capability, a request that needs it."""
        request = self.request()
        picture, sound = Image(b"\x89PNG\r\n\x1a\n", media_type="image/png"), Audio(b"RIFF", media_type="audio/wav")
        named = Tool("look", "Looks.", {"type": "object", "properties": {}})
        return {
            "chat": request,
            "prompt": Request(prompt="One,"),
            "tools": dataclasses.replace(request, tools=[named]),
            "tool_choice": dataclasses.replace(request, tools=[named], tool_choice="required"),
            "logprobs": dataclasses.replace(request, logprobs=1),
            "seed": dataclasses.replace(request, decoding=Sampling(seed=1)),
            "n": dataclasses.replace(request, n=2),
            "beams": dataclasses.replace(request, decoding=Beams()),
            "processors": dataclasses.replace(request, decoding=Greedy(processors=(lambda logits, seen: logits,))),
            "contrast": dataclasses.replace(request, decoding=Greedy(contrast=0.5)),
            "images": Request([User(picture)]),
            "audio": Request([User(sound)]),
            "trace": dataclasses.replace(request, trace=True),
        }


def refused(backend: Backend, request: Request) -> None:
    """The request raises `Unsupported` before its first event."""
    try:
        event = next(backend.stream(request))
    except Unsupported:
        return
    raise AssertionError(f"not refused; the first event was {event}")


async def arefused(backend: Backend, request: Request) -> None:
    """The async twin of `refused`."""
    try:
        event = await anext(open_async(backend, request))
    except Unsupported:
        return
    raise AssertionError(f"not refused; the first event was {event}")
