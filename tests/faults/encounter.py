"""A client of ours meets one fault of the catalogue: what came of it, and what of that is not as it should be."""

from __future__ import annotations

import asyncio
import base64
import copy
import io
import json
import logging
import pickle
import time
import traceback
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.leaks import no_task_left

from ambidex import AsyncChat, Chat, Request, TextDelta, Tool, User
from ambidex.backend import Retrying
from ambidex.errors import AmbidexError, DeadlineExceeded
from ambidex.reply import Reply
from ambidex.testing.faults import Expected, Fault, FaultProxy, FaultServer, Received, Step, resolver
from ambidex.testing.faults.fault import Retry
from ambidex.testing.faults.server import dropping
from ambidex_backends.endpoint import EndpointBackend

KEY = "sk-" + "CANARYcanary" + "0987654321"
SIGNS = (KEY, KEY[-8:], base64.b64encode(KEY.encode()).decode())

DEADLINE = 8.0
"""Seconds in all for one request, where the fault says nothing else."""

SLACK = 2.0
"""So much later a wait may end on a machine that does ten other things too; on an idle one it is less than 0.25 s."""

TRIES: Mapping[Retry, int] = {"never": 1, "once": 2, "again": 3, "free": 1}
TOOLS = tuple(Tool(name, "Calculates.", {"type": "object"}) for name in ("add", "sub"))

HOSTS: dict[str, tuple[str, Any]] = {
    "unknown_name": ("nowhere.localhost", "unknown"),
    "name_server_down": ("down.localhost", "down"),
    "slow_name_server": ("slow.localhost", "slow"),
    "first_address_dead": ("dead.localhost", ["127.0.0.2", "127.0.0.1"]),
    "first_address_silent": ("silent.localhost", ["127.0.0.2", "127.0.0.1"]),
}
"""The faults of names: how the server's host is called there, and what a look-up of it gives."""


class Way(NamedTuple):
    """How it is asked: for a stream's events, by a chat, or for one JSON object (the server's models)."""

    world: str  # "sync" or "async"
    form: str  # "stream", "ask" or "json"


WAYS = [Way(world, form) for world in ("sync", "async") for form in ("stream", "ask")]
JSON_WAYS = [Way(world, "json") for world in ("sync", "async")]


def ways_of(fault: Fault) -> list[Way]:
    return [*WAYS, *(JSON_WAYS if fault.plain is not None else [])]


@dataclass
class Met:
    """What came of it.

    streamed  the text of the events that were given out
    history   how many messages the chat has afterwards
    seen      what the observer was told
    """

    fault: Fault
    way: Way
    deadline: float
    reply: Reply[Any] | None = None
    error: BaseException | None = None
    streamed: str = ""
    history: int | None = None
    seconds: float = 0.0
    requests: list[Received] = field(default_factory=list[Received])
    seen: list[Any] = field(default_factory=list[Any])
    said: str = ""

    @property
    def answer(self) -> Reply[Any] | None:
        """The reply, or the part of it that an error holds."""
        return self.error.partial if isinstance(self.error, AmbidexError) else self.reply


@contextmanager
def circumstances(fault: Fault, server: FaultServer) -> Generator[dict[str, Any]]:
    """What has to be so for a client to meet the fault; options for the backend. One fault of names at a time."""
    options: dict[str, Any] = {"timeout": DEADLINE, **fault.limits}
    with ExitStack() as stack:
        if fault.road == "proxy":
            proxy = stack.enter_context(FaultProxy(fault.name.removeprefix("proxy_").replace("tunnels", "works")))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
            options["proxy"] = proxy.url
        if fault.road == "name":
            host, found = HOSTS[fault.name]
            stack.enter_context(resolver({host: found}))
        if fault.name == "first_address_silent":
            for part in dropping("127.0.0.2", int(server.address().rpartition(":")[2])):
                stack.enter_context(part)
        yield options


def meet(fault: Fault, way: Way, server: FaultServer, options: Mapping[str, Any], *then: Step) -> Met:
    """Asks once, in one way, for a route that does what the fault says, and `then` what follows."""
    route = server.route(fault.name, *then)
    url = route.url.replace("127.0.0.1", HOSTS[fault.name][0]) if fault.name in HOSTS else route.url
    met = Met(fault, way, options["timeout"])
    backend = EndpointBackend(url, api_key=KEY, headers={"x-api-key": KEY}, observe=met.seen.append, **options)
    content = "x" * 4_000_000 if fault.road == "upload" else "hi"
    before = 1 if fault.road == "second" else 0
    if way.world == "sync":
        _ask(met, backend, content, before)
    else:
        asyncio.run(_aask(met, backend, content, before))
    met.requests = route.requests[before:]
    met.said = "\n".join(_everything_said(met, backend))
    return met


def _ask(met: Met, backend: EndpointBackend, content: str, before: int) -> None:
    chat = Chat(backend, tools=TOOLS)
    for _ in range(before):
        for _ in backend.stream(Request([User(content)], timeout=DEADLINE)):
            pass
        time.sleep(0.15)
    began = time.monotonic()
    try:
        if met.way.form == "json":
            backend.refresh()
        elif met.way.form == "ask":
            met.reply = chat.ask(content)
        else:
            with backend.stream(Request([User(content)], tools=TOOLS)) as stream:
                for event in stream:
                    met.streamed += event.text if isinstance(event, TextDelta) else ""
            met.reply = stream.reply
    except BaseException as error:
        met.error = error
    met.seconds = time.monotonic() - began
    met.history = len(chat.messages)
    backend.close()


async def _aask(met: Met, backend: EndpointBackend, content: str, before: int) -> None:
    chat = AsyncChat(backend, tools=TOOLS)
    for _ in range(before):
        async for _ in backend.astream(Request([User(content)], timeout=DEADLINE)):
            pass
        await asyncio.sleep(0.15)
    began = time.monotonic()
    try:
        if met.way.form == "json":
            await backend.arefresh()
        elif met.way.form == "ask":
            met.reply = await chat.ask(content)
        else:
            async with backend.astream(Request([User(content)], tools=TOOLS)) as stream:
                async for event in stream:
                    met.streamed += event.text if isinstance(event, TextDelta) else ""
            met.reply = stream.reply
    except BaseException as error:
        met.error = error
    met.seconds = time.monotonic() - began
    met.history = len(chat.messages)
    await backend.aclose()
    await no_task_left()


def problems(met: Met, expected: Expected, *, tries: int | None = None, slack: float = SLACK) -> Iterator[str]:
    """All that is not as the catalogue says, in words. `slack`: seconds by which it may be late."""
    if met.seconds > met.deadline + slack:
        yield f"took {met.seconds:.2f} s, with a deadline of {met.deadline} s"
    yield from _wrong_outcome(met, expected)
    if met.way.form != "json":
        yield from _wrong_answer(met, expected)
    if met.way.form == "ask" and met.history != (0 if met.error else 2):
        yield f"the chat has {met.history} messages"
    yield from _wrong_tries(met, TRIES[expected.retry] if tries is None else tries)
    yield from (f"a key shows: {sign[:4]}…" for sign in SIGNS if sign in met.said)


def _wrong_outcome(met: Met, expected: Expected) -> Iterator[str]:
    error = met.error
    if error is None:
        if expected.error is not None:
            yield f"silent: no error, but {met.reply!r}"
        return
    if not isinstance(error, AmbidexError):
        yield f"foreign: {error!r}"
        return
    if type(error) is not expected.error:
        yield f"{type(error).__name__}: {error}"
        return
    for name, value in expected.fields.items():
        if getattr(error, name) != value:
            yield f"{name} is {getattr(error, name)!r}, not {value!r}"
    if error.__cause__ is not None:
        yield f"it hangs on {error.__cause__!r}"
    again = pickle.loads(pickle.dumps(error))
    if (type(again), str(again), set(vars(again))) != (type(error), str(error), set(vars(error))):
        yield f"pickled, it is {again!r}"


def _wrong_answer(met: Met, expected: Expected) -> Iterator[str]:
    answer = met.answer
    text = answer.text if answer is not None else ""
    if expected.text is not None and text != expected.text:
        yield f"the text is {text!r}"
    if met.way.form == "stream" and met.streamed != text:
        yield f"{met.streamed!r} was streamed, {text!r} is in the reply"
    message = answer.message if answer is not None else None
    calls = (
        tuple(f"{call.name} {json.dumps(call.arguments, ensure_ascii=False)}" for call in message.tool_calls)
        if message
        else ()
    )
    invalid = tuple(call.name for call in message.invalid_calls) if message else ()
    if calls != expected.calls:
        yield f"the calls are {calls}"
    if invalid != expected.invalid:
        yield f"the invalid calls are {invalid}"


def _wrong_tries(met: Met, tries: int) -> Iterator[str]:
    retried = sum(isinstance(item, Retrying) for item in met.seen)
    attempts = met.error.attempts if isinstance(met.error, AmbidexError) else retried + 1
    if attempts != tries or (met.way.form != "json" and retried != tries - 1):
        yield f"tried {attempts} times, {retried} retries were told"
    gets_there = met.fault.door in ("plain", "tls") and met.fault.road in ("ask", "upload")
    if gets_there and len(met.requests) != tries:
        yield f"{len(met.requests)} requests came, where {tries} should"
    wait = met.fault.expected.fields.get("retry_after")
    for one, two in zip(met.requests, met.requests[1:], strict=False):
        if wait is not None and not wait <= two.at - one.at < 1.5 * wait + SLACK:
            yield f"asked again after {two.at - one.at:.3f} s, where {wait} s were told"


def _everything_said(met: Met, backend: EndpointBackend) -> Iterable[str]:
    """Texts, tracebacks with the locals of each frame of ours, pickles, reprs: wherever a key could show."""
    yield from (repr(item) for item in (backend, vars(backend), met.seen, met.reply))
    error = met.error
    if error is None:
        return
    yield from (str(error), repr(error), repr(pickle.dumps(error)), repr(copy.deepcopy(error)), repr(vars(error)))
    yield from (repr(error.__cause__), repr(error.__context__))
    if met.fault.road != "upload":  # the locals hold the four megabytes again and again
        yield from traceback.TracebackException.from_exception(error, capture_locals=True).format()


@contextmanager
def logged() -> Generator[io.StringIO]:
    """All that is logged by anyone at the lowest level: the texts, and what they were made of."""
    stream = io.StringIO()

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            stream.write(f"{record.getMessage()} {record.args!r} {record.exc_info!r}\n")

    handler, root = Handler(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield stream
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


def hurried(met: Met) -> Iterator[str]:
    """What is wrong where time is shorter than the fault takes: it ends in time, in an answer or an error of ours."""
    if met.seconds > met.deadline + SLACK:
        yield f"took {met.seconds:.2f} s, with a deadline of {met.deadline} s"
    if met.error is not None and not isinstance(met.error, AmbidexError):
        yield f"foreign: {met.error!r}"
    if met.error is None and met.fault.expected.error is not None:
        yield f"silent: no error, but {met.reply!r}"
    if isinstance(met.error, DeadlineExceeded) and met.error.kind == "total" and met.error.limit != met.deadline:
        yield f"the limit is said to be {met.error.limit}"
