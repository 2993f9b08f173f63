"""Other clients for the same wire, as their users call them: what each makes of a fault. For `tests/bench/faults.py`.

Each runs in a process of its own, which is ended when it hangs. They get a time limit and keep their other defaults.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import multiprocessing
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

from ambidex.testing.faults import Expected

MODEL = "test-model"
KEY = "hf_peer"
TOOLS = [
    {
        "type": "function",
        "function": {"name": name, "description": "Calculates.", "parameters": {"type": "object", "properties": {}}},
    }
    for name in ("add", "sub")
]
MESSAGES = [{"role": "user", "content": "hi"}]

Answer: TypeAlias = tuple[str, list[tuple[str, str]]]
"""Text, and calls as (name, arguments)."""

Ask: TypeAlias = Callable[[str, bool, float], Answer]
"""Asks at a base URL, for a stream or not, with so many seconds as its time limit."""


def _openai() -> Ask:
    openai: Any = importlib.import_module("openai")

    def ask(url: str, streams: bool, seconds: float) -> Answer:
        with openai.OpenAI(base_url=url, api_key=KEY, timeout=seconds) as client:
            options = {"model": MODEL, "messages": MESSAGES, "tools": TOOLS}
            if not streams:
                return _whole(client.chat.completions.create(**options))
            with client.chat.completions.stream(**options) as stream:
                return _whole(stream.get_final_completion())

    return ask


def _huggingface_hub() -> Ask:
    hub: Any = importlib.import_module("huggingface_hub")

    def ask(url: str, streams: bool, seconds: float) -> Answer:
        client = hub.InferenceClient(base_url=url, api_key=KEY, timeout=seconds)
        if not streams:
            return _whole(client.chat_completion(MESSAGES, tools=TOOLS))
        return _joined(client.chat_completion(MESSAGES, tools=TOOLS, stream=True))

    return ask


def _pydantic_ai() -> Ask:
    direct: Any = importlib.import_module("pydantic_ai.direct")
    messages: Any = importlib.import_module("pydantic_ai.messages")
    models: Any = importlib.import_module("pydantic_ai.models")
    chat: Any = importlib.import_module("pydantic_ai.models.openai")
    providers: Any = importlib.import_module("pydantic_ai.providers.openai")
    tools: Any = importlib.import_module("pydantic_ai.tools")

    async def wait(url: str, streams: bool, seconds: float) -> Answer:
        model = chat.OpenAIChatModel(MODEL, provider=providers.OpenAIProvider(base_url=url, api_key=KEY))
        asked = [messages.ModelRequest.user_text_prompt("hi")]
        schema = {"type": "object", "properties": {}}
        offered = [tools.ToolDefinition(name=name, parameters_json_schema=schema) for name in ("add", "sub")]
        options = {
            "model_settings": {"timeout": seconds},
            "model_request_parameters": models.ModelRequestParameters(function_tools=offered),
        }
        if streams:
            async with direct.model_request_stream(model, asked, **options) as stream:
                async for _ in stream:
                    pass
                answer = stream.get()
        else:
            answer = await direct.model_request(model, asked, **options)
        calls = [part for part in answer.parts if isinstance(part, messages.ToolCallPart)]
        return answer.text or "", [(call.tool_name, call.args_as_json_str()) for call in calls]

    return lambda url, streams, seconds: asyncio.run(wait(url, streams, seconds))


def _smolagents() -> Ask:
    smolagents: Any = importlib.import_module("smolagents")

    class _Add(smolagents.Tool):  # type: ignore[misc, name-defined, unused-ignore]  # known at run time only
        name = "add"
        description = "Calculates."
        inputs: Mapping[str, Any] = {"x": {"type": "integer", "description": "A number."}}
        output_type = "string"

        def forward(self, x: int) -> str:
            return str(x)

    class _Sub(_Add):
        name = "sub"

    def ask(url: str, streams: bool, seconds: float) -> Answer:
        model = smolagents.OpenAIModel(MODEL, api_base=url, api_key=KEY, client_kwargs={"timeout": seconds})
        asked = [smolagents.ChatMessage(role="user", content=[{"type": "text", "text": "hi"}])]
        tools = [_Add(), _Sub()]
        if not streams:
            answer = model.generate(asked, tools_to_call_from=tools)
            calls = [(call.function.name, _as_json(call.function.arguments)) for call in answer.tool_calls or ()]
            return answer.content or "", calls
        join: Any = importlib.import_module("smolagents.models").agglomerate_stream_deltas
        answer = join(list(model.generate_stream(asked, tools_to_call_from=tools)))
        calls = [(call.function.name, _as_json(call.function.arguments)) for call in answer.tool_calls or ()]
        return answer.content or "", calls

    return ask


PEERS: Mapping[str, Callable[[], Ask]] = {
    "openai": _openai,
    "huggingface_hub": _huggingface_hub,
    "pydantic_ai": _pydantic_ai,
    "smolagents": _smolagents,
}
"""Raise `ImportError` where the package is not installed."""

OWN_ERRORS: Mapping[str, tuple[str, ...]] = {
    "openai": ("openai",),
    "huggingface_hub": ("huggingface_hub",),
    "pydantic_ai": ("pydantic_ai",),
    "smolagents": ("smolagents", "openai"),
}
"""Whose exceptions its users are told to expect."""


def _as_json(arguments: Any) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments)


def _whole(completion: Any) -> Answer:
    message = completion.choices[0].message
    calls = [(call.function.name, _as_json(call.function.arguments)) for call in message.tool_calls or ()]
    return message.content or "", calls


def _joined(chunks: Iterable[Any]) -> Answer:
    """As the documents of these libraries have one do it."""
    text, calls = "", dict[Any, list[str]]()
    for chunk in chunks:
        for choice in chunk.choices:
            text += choice.delta.content or ""
            for piece in choice.delta.tool_calls or ():
                call = calls.setdefault(piece.index, ["", ""])
                call[0] += (piece.function and piece.function.name) or ""
                call[1] += (piece.function and piece.function.arguments) or ""
    return text, [(name, arguments) for name, arguments in calls.values()]


@dataclass(frozen=True, slots=True)
class Told:
    """What came of one call: an answer, or the type of an exception and whose it is; None of both: it hung."""

    seconds: float
    answer: Answer | None = None
    error: str | None = None
    is_own: bool = False


class Worker:
    """One peer in a process of its own, that is started again after it had to be ended."""

    def __init__(self, name: str, good_url: str) -> None:
        """`good_url` answers well: the first call, which imports and makes much, does not count."""
        self.name = name
        self._good_url = good_url
        self._process: Any = None
        self._pipe: Any = None

    def ask(self, url: str, streams: bool, seconds: float, patience: float) -> Told:
        """`patience`: seconds after which it counts as hanging."""
        if self._process is None:
            context = multiprocessing.get_context("spawn")
            self._pipe, theirs = context.Pipe()
            self._process = context.Process(target=_work, args=(self.name, theirs), daemon=True)
            self._process.start()
            theirs.close()
            self._pipe.recv()  # it has imported what it needs
            for warm_up in (True, False):
                self._pipe.send((self._good_url, warm_up, 60.0))
                self._pipe.recv()
        began = time.monotonic()
        self._pipe.send((url, streams, seconds))
        if self._pipe.poll(patience):
            with suppress(EOFError):
                told: Told = self._pipe.recv()
                return told
        self.close()
        return Told(time.monotonic() - began)

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._pipe.close()
            self._process = self._pipe = None


def _work(name: str, pipe: Any) -> None:
    warnings.simplefilter("ignore")
    logging.disable()
    ask = PEERS[name]()
    pipe.send("ready")
    while True:
        url, streams, seconds = pipe.recv()
        began = time.monotonic()
        try:
            answer = ask(url, streams, seconds)
        except BaseException as error:
            kind = type(error)
            whose = kind.__module__.partition(".")[0]
            told = Told(time.monotonic() - began, None, f"{kind.__module__}.{kind.__name__}", whose in OWN_ERRORS[name])
        else:
            told = Told(time.monotonic() - began, answer)
        pipe.send(told)


def missing(name: str) -> str | None:
    """Why a peer cannot be driven here."""
    try:
        PEERS[name]()
    except Exception as problem:
        return str(problem) or type(problem).__name__
    return None


def judged(told: Told, expected: Expected, seconds: float, late: float) -> str:
    """One letter, see `tests/bench/faults.py`."""
    if told.answer is None and told.error is None:
        return "h"
    if told.error is not None and not told.is_own:
        return "f"
    if told.answer is not None and (expected.error is not None or not _is_right(told.answer, expected)):
        return "s"
    return "l" if told.seconds > seconds + late else "."


def _is_right(answer: Answer, expected: Expected) -> bool:
    text, calls = answer
    written: list[str] = []
    for name, arguments in calls:
        try:
            written.append(f"{name} {json.dumps(json.loads(arguments or '{}'), ensure_ascii=False)}")
        except ValueError:
            written.append(f"{name} {arguments}")
    return (expected.text is None or text == expected.text) and tuple(written) == expected.calls
