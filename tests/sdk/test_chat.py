"""`Chat`: the history, what changes it and what does not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ambidex import (
    Assistant,
    Chat,
    Event,
    EventStream,
    Finished,
    Greedy,
    Image,
    InvalidToolCall,
    Message,
    Reasoning,
    Reply,
    Request,
    System,
    Text,
    TextDelta,
    ToolCall,
    ToolResult,
    User,
)
from ambidex.conversation import with_answer
from ambidex.errors import (
    AmbidexError,
    ConcurrentUse,
    EngineError,
    IncompleteResponse,
    InvalidRequest,
    PendingToolCalls,
    RateLimited,
    Unsupported,
)
from ambidex.testing import ScriptedBackend, events_of


def add(a: int, b: int) -> int:
    """Adds."""
    return a + b


CALLS = Assistant("Let me see.", ToolCall("1", "add", {"a": 1, "b": 2}), ToolCall("2", "add", {"a": 3, "b": 4}))


def test_the_history_grows_with_every_answer() -> None:
    backend = ScriptedBackend(["Hi.", "Fine."])
    chat = Chat(backend, system="Be brief.")
    assert list(chat.messages) == [System("Be brief.")]
    assert chat.ask("Hello").text == "Hi."
    assert chat.ask("How are ", Text("you?")).text == "Fine."
    assert chat.messages == (
        System("Be brief."),
        User("Hello"),
        Assistant("Hi."),
        User("How are ", "you?"),
        Assistant("Fine."),
    )
    assert [len(request.messages) for request in backend.requests] == [2, 4]


def test_ask_is_stream_collected() -> None:
    asked, streamed = Chat(ScriptedBackend(["One two."])), Chat(ScriptedBackend(["One two."]))
    stream = streamed.stream("Count.")
    pieces = list(stream.text)
    assert asked.ask("Count.") == stream.reply
    assert "".join(pieces) == "One two."
    assert len(pieces) > 1
    assert asked.messages == streamed.messages


def test_options_are_the_chat_s_unless_given() -> None:
    backend = ScriptedBackend(["a", "b", "c"])
    chat = Chat(backend, tools=[add], max_tokens=5, decoding=Greedy(), stop="x", timeout=3)
    chat.ask("1")
    chat.ask("2", max_tokens=9, tools=(), stop=())
    chat.ask("3", max_tokens=None)
    first, second, third = backend.requests
    assert (first.max_tokens, first.decoding, first.stops, first.timeout) == (5, Greedy(), ("x",), 3)
    assert [tool.name for tool in first.tool_list] == ["add"]
    assert (second.max_tokens, second.tool_list, second.stops) == (9, (), ())
    assert third.max_tokens is None


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"temperature": 1}, "Chat has no option 'temperature'"),
        ({"max_token": 1}, "Did you mean 'max_tokens'"),
        ({"n": 2}, r"backend\.stream"),
        ({"messages": []}, "Chat has no option 'messages'"),
        ({"max_tokens": 0}, "max_tokens must be at least 1"),
        ({"decoding": "greedy"}, "decoding"),
        ({"tools": [1]}, "tool"),
    ],
)
def test_wrong_options_are_refused_at_once(options: dict[str, Any], says: str) -> None:
    backend = ScriptedBackend(["a"])
    with pytest.raises(InvalidRequest, match=says):
        Chat(backend, **options)
    chat = Chat(backend)
    with pytest.raises(InvalidRequest, match=says):
        chat.ask("a", **options)
    assert backend.requests == []
    assert chat.messages == ()
    assert chat.ask("a").text == "a"


def test_a_per_call_option_may_lean_on_the_chat_s() -> None:
    backend = ScriptedBackend(["a"])
    Chat(backend, tools=[add]).ask("a", tool_choice="required")
    assert backend.requests[0].tool_choice == "required"


@pytest.mark.parametrize("content", [User("a"), System("a"), Assistant("a"), {"role": "user"}, 3])
def test_content_is_text_parts_and_results(content: Any) -> None:
    chat = Chat(ScriptedBackend(["a"]))
    with pytest.raises(InvalidRequest):
        chat.ask(content)
    assert chat.ask("a", Image(b"\x89PNG")).text == "a"


def test_asking_with_nothing_goes_on() -> None:
    backend = ScriptedBackend(["and more"])
    chat = Chat(backend)
    with pytest.raises(InvalidRequest, match="neither"):
        chat.ask()
    chat.append(User("Tell me."))
    chat.append(Assistant("Once"))
    assert chat.ask().text == "and more"
    assert backend.requests[0].messages == (User("Tell me."), Assistant("Once"))
    assert chat.messages == (User("Tell me."), Assistant("Onceand more"))


@pytest.mark.parametrize(
    ("before", "answer", "kept"),
    [
        (Assistant("Once "), Assistant("upon"), [Assistant("Once upon")]),
        (Assistant("Once"), Assistant(Reasoning("hm"), "upon"), [Assistant("Once", Reasoning("hm"), "upon")]),
        (Assistant(Reasoning("hm"), "Once "), Assistant("upon"), [Assistant(Reasoning("hm"), "Once upon")]),
        (
            Assistant("Once"),
            Assistant(ToolCall("1", "add", {"a": 1, "b": 2})),
            [Assistant("Once", ToolCall("1", "add", {"a": 1, "b": 2}))],
        ),
        (Assistant("Once"), Assistant(), [Assistant("Once")]),
        (Assistant("  "), Assistant("upon"), [Assistant("  "), Assistant("upon")]),
        (
            Assistant(InvalidToolCall("1", "add", "{", "cut off")),
            Assistant("upon"),
            [Assistant(InvalidToolCall("1", "add", "{", "cut off")), Assistant("upon")],
        ),
    ],
)
def test_what_goes_on_with_an_answer_is_one_message_with_it(
    before: Assistant, answer: Assistant, kept: list[Assistant]
) -> None:
    assert with_answer((User("Tell me."), before), answer) == (User("Tell me."), *kept)
    assert with_answer((User("Tell me."),), answer) == (User("Tell me."), answer)


# -- tools


def test_calls_wait_for_their_results() -> None:
    backend = ScriptedBackend([CALLS, "3 and 7."])
    chat = Chat(backend, tools=[add])
    reply = chat.ask("1 + 2, 3 + 4?")
    assert reply.finish_reason == "tool_calls"
    before = chat.messages
    for content in (("Well?",), (), (ToolResult("1", "add", "3"),), (ToolResult("1", "add", "3"), "Well?")):
        with pytest.raises(PendingToolCalls, match="add \\(id '2'\\)"):
            chat.ask(*content)
    assert chat.messages == before
    assert chat.ask(ToolResult("2", "add", "7"), ToolResult("1", "add", "3"), "Well?").text == "3 and 7."
    assert chat.messages[2:] == (
        ToolResult("1", "add", "3"),
        ToolResult("2", "add", "7"),
        User("Well?"),
        Assistant("3 and 7."),
    )


def test_results_may_be_appended() -> None:
    chat = Chat(ScriptedBackend([CALLS, "3 and 7."]))
    for call in chat.ask("1 + 2, 3 + 4?").tool_calls:
        chat.append(ToolResult(call.id, call.name, "?"))
    assert chat.ask().text == "3 and 7."


def test_calls_without_an_id_get_one() -> None:
    nameless = Assistant(ToolCall("", "add", {}), ToolCall("", "add", {}))
    chat = Chat(ScriptedBackend([nameless, "ok"]))
    first, second = chat.ask("go").tool_calls
    assert first.id != second.id
    assert chat.messages[-1] == Assistant(first, second)
    assert chat.ask(ToolResult(second.id, "add", "b"), ToolResult(first.id, "add", "a")).text == "ok"


def test_an_invalid_call_is_kept_and_nothing_waits_for_it() -> None:
    invalid = InvalidToolCall("1", "add", '{"a": ', "cut off")
    for answer in ("Go on.", ToolResult("1", "add", "That was no JSON.", is_error=True)):
        chat = Chat(ScriptedBackend([Assistant(invalid), "ok"]))
        assert chat.ask("go").message.invalid_calls == (invalid,)
        assert chat.messages[-1] == Assistant(invalid)
        assert chat.ask(answer).text == "ok"


def test_an_answer_cut_inside_a_call_is_no_error() -> None:
    reply = Chat(ScriptedBackend([CALLS]), max_tokens=8).ask("go")
    assert reply.finish_reason == "length"
    assert len(reply.tool_calls) < 2
    assert reply.message.invalid_calls[0].raw.startswith('{"a"')


# -- what does not change the history


def error_at_once(request: Request) -> str:
    raise RateLimited("slow down")


def foreign_error_at_once(request: Request) -> str:
    raise KeyError("choices")


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (RateLimited("slow down"), RateLimited),
        (error_at_once, RateLimited),
        (foreign_error_at_once, EngineError),
        ([TextDelta("so "), RateLimited("slow down")], RateLimited),
        ([TextDelta("so ")], IncompleteResponse),
        ([TextDelta("so "), ValueError("odd")], EngineError),
    ],
)
def test_an_error_leaves_the_history(reply: Any, error: type[AmbidexError]) -> None:
    seen: list[Any] = []
    chat = Chat(ScriptedBackend([reply, "Hi."]), observe=seen.append)
    with pytest.raises(error) as caught:
        chat.ask("Hello")
    assert chat.messages == ()
    assert seen[-1] is caught.value
    assert chat.ask("Hello").text == "Hi."
    assert list(chat.messages) == [User("Hello"), Assistant("Hi.")]


def test_unsupported_options_leave_the_history() -> None:
    chat = Chat(ScriptedBackend(["Hi."]))
    with pytest.raises(Unsupported):
        chat.ask("Hello", logprobs=1)
    assert chat.messages == ()
    assert chat.ask("Hello").text == "Hi."


@pytest.mark.parametrize("end", ["close", "break", "with", "cancel", "forget"])
def test_an_early_end_leaves_the_history(end: str) -> None:
    chat = Chat(ScriptedBackend(["One two three.", "Hi."]))
    stream = chat.stream("Count.")
    assert next(stream) == TextDelta("One ")
    match end:
        case "close":
            stream.close()
        case "break":
            for _ in stream:
                break
        case "with":
            with stream:
                pass
        case "cancel":
            stream.cancel()
            *_, last = stream
            assert isinstance(last, Finished)
            assert last.choices[0].finish_reason == "cancelled"
        case _:
            pass
    del stream
    assert chat.messages == ()
    assert chat.ask("Hello").text == "Hi."


def test_a_cancel_from_another_thread_reaches_a_waiting_backend() -> None:
    class Waiting:
        capabilities = ScriptedBackend().capabilities

        def __init__(self) -> None:
            self.woken = threading.Event()

        def stream(self, request: Request, /) -> EventStream:
            def source() -> Iterator[Event]:
                yield TextDelta("so ")
                assert self.woken.wait(30)

            return EventStream(source(), on_cancel=self.woken.set)

    chat = Chat(Waiting())
    stream = chat.stream("Hello")
    next(stream)
    threading.Timer(0.05, stream.cancel).start()
    (last,) = stream
    assert isinstance(last, Finished)
    assert (stream.reply.text, stream.reply.finish_reason) == ("so ", "cancelled")
    assert chat.messages == ()


# -- one at a time


def test_a_second_question_meanwhile_is_refused() -> None:
    chat = Chat(ScriptedBackend(["One two.", "Hi."]))
    stream = chat.stream("Count.")
    next(stream)
    refused: list[Callable[[], Any]] = [lambda: chat.ask("Hello"), lambda: chat.append(User("a"))]
    for ask in refused:
        with pytest.raises(ConcurrentUse, match="fork"):
            ask()
    assert chat.fork().messages == ()
    assert "".join(stream.text) == "two."
    assert chat.ask("Hello").text == "Hi."


def test_a_fork_goes_on_by_itself() -> None:
    backend = ScriptedBackend(["a", "b", "c"])
    seen: list[Any] = []
    chat = Chat(backend, system="s", max_tokens=4, observe=seen.append)
    chat.ask("1")
    fork = chat.fork()
    fork.ask("2")
    chat.ask("3")
    assert fork.messages[-2:] == (User("2"), Assistant("b"))
    assert chat.messages[-2:] == (User("3"), Assistant("c"))
    assert fork.messages[:3] == chat.messages[:3]
    assert backend.requests[1].max_tokens == 4
    assert backend.requests[1] in seen


# -- the rest


def test_an_observer_sees_the_request_and_every_event() -> None:
    seen: list[Any] = []
    backend = ScriptedBackend(["One two."])
    chat = Chat(backend, observe=seen.append)
    events = list(chat.stream("Count."))
    assert seen == [backend.requests[0], *events]


def test_a_refused_question_is_observed() -> None:
    seen: list[Any] = []
    chat = Chat(ScriptedBackend([CALLS]), observe=seen.append)
    chat.ask("go")
    with pytest.raises(PendingToolCalls) as caught:
        chat.ask("go")
    assert seen[-1] is caught.value


def test_it_works_inside_a_running_event_loop() -> None:
    async def notebook() -> str:
        return Chat(ScriptedBackend(["Hi."])).ask("Hello").text

    assert asyncio.run(notebook()) == "Hi."


def test_a_backend_that_was_given_stays_open() -> None:
    backend = ScriptedBackend(["Hi."])
    with Chat(backend) as chat:
        chat.ask("Hello")
    assert not backend.closed


def test_messages_appended_are_checked() -> None:
    chat = Chat(ScriptedBackend())
    wrong: Any = {"role": "user", "content": "a"}
    with pytest.raises(InvalidRequest, match="from_openai"):
        chat.append(wrong)
    message: Message = User("a")
    chat.append(message)
    assert chat.messages == (message,)


def test_raw_events_pass_as_they_are() -> None:
    events = events_of(Assistant("One."), finish_reason="content_filter")
    chat = Chat(ScriptedBackend([events]))
    reply: Reply[None] = chat.ask("Hello")
    assert reply.finish_reason == "content_filter"
    assert chat.messages[-1] == Assistant("One.")


def test_the_repr_is_short_and_says_what_answers() -> None:
    chat = Chat(ScriptedBackend(["Hi."]))
    chat.ask("a secret")
    assert repr(chat) == "Chat('ScriptedBackend', 2 messages)"
