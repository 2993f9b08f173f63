"""The scripted backend keeps what every backend keeps."""

from __future__ import annotations

from ambidex.backend import Backend, Capabilities
from ambidex.events import TextDelta
from ambidex.messages import Assistant, Reasoning, Text, ToolCall, User
from ambidex.request import Request
from ambidex.stream import EventStream
from ambidex.testing import ScriptedBackend
from ambidex.testing.conformance import BackendConformance


def answer(request: Request) -> Assistant:
    if request.tools and isinstance(request.messages[-1], User):
        call = ToolCall("call-1", "get_weather", {"city": "Paris, the one in France"})
        return Assistant(Reasoning("Where?", "signed"), "I look.", call, ToolCall("2", "get_weather", {"city": "Lyon"}))
    return Assistant(Reasoning("Easy."), Text("One, two, three, "), Text("four, five.\nDone."))


class TestScriptedBackend(BackendConformance):
    def make_backend(self) -> Backend:
        return ScriptedBackend(answer)


class TestScriptedBackendThatCanDoNothing(BackendConformance):
    """Every refusal there is."""

    def make_backend(self) -> Backend:
        nothing = dict.fromkeys(("prompt", "tools", "tool_choice", "seed", "images", "audio", "trace"), False)
        none = dict.fromkeys(("logprobs", "n", "beams", "processors", "contrast", "output", "reasoning"), False)
        return ScriptedBackend(answer, capabilities=Capabilities(chat=True, **nothing, **none))


class OnlyStream:
    """The least that is a backend: async code reads it in a thread."""

    def __init__(self) -> None:
        self._scripted = ScriptedBackend(answer)
        self.capabilities = self._scripted.capabilities

    def stream(self, request: Request, /) -> EventStream:
        return self._scripted.stream(request)


class TestTheLeastBackend(BackendConformance):
    def make_backend(self) -> Backend:
        return OnlyStream()


def test_the_suite_finds_a_backend_that_drops_a_piece() -> None:
    class Dropping(OnlyStream):
        def stream(self, request: Request, /) -> EventStream:
            events = list(self._scripted.stream(request))
            first = next(event for event in events if isinstance(event, TextDelta))
            events.remove(first)
            return EventStream(iter(events))

    class Suite(BackendConformance):
        def make_backend(self) -> Backend:
            return Dropping()

    try:
        Suite().test_the_pieces_make_the_text()
    except AssertionError:
        return
    raise AssertionError("the suite did not notice")
