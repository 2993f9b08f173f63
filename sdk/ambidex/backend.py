"""The seam: what a backend is, what it can do, and how a string becomes one.

A backend is any object with `stream(request) -> EventStream` and `capabilities`; it joins by one line in the
entry-point group `ambidex.backends`, whose name is the prefix of its model strings.
"""

from __future__ import annotations

import difflib
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Protocol, TypeAlias, cast, runtime_checkable

from .decoding import Beams, Sampling
from .errors import AmbidexError, ConfigError, Unsupported
from .events import Event
from .messages import Audio, Image
from .printable_address import printable_address
from .reply import Reply
from .request import Request
from .stream import AsyncEventStream, EventStream

ENTRY_POINT_GROUP = "ambidex.backends"

Observer: TypeAlias = Callable[[Any], None]
"""Called with every `Request`, event, `Retrying` and `AmbidexError` as it passes; what it raises is only logged."""


@dataclass(frozen=True, slots=True)
class Retrying:
    """Told to observers: a request failed with `error` and is tried again in `wait` seconds, as its try `attempt`."""

    error: AmbidexError
    attempt: int
    wait: float


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a backend can do, as far as is known without asking: None means unknown. Never costs I/O to read.

    chat, prompt              takes messages; takes raw text
    tools, parallel_tool_calls, tool_choice
    tools_in_template         the model's own chat template writes tools and calls; else they are written as text
    output                    holds the answer to a JSON schema
    reasoning                 thinks apart from its answer
    logprobs, seed, n, beams  honours these options
    processors                takes functions on logits
    contrast                  has a smaller model to keep away from
    images, audio             takes these parts
    trace                     can record its steps
    context_length            tokens of prompt and answer together
    """

    chat: bool | None = None
    prompt: bool | None = None
    tools: bool | None = None
    parallel_tool_calls: bool | None = None
    tool_choice: bool | None = None
    tools_in_template: bool | None = None
    output: bool | None = None
    reasoning: bool | None = None
    logprobs: bool | None = None
    seed: bool | None = None
    n: bool | None = None
    beams: bool | None = None
    processors: bool | None = None
    contrast: bool | None = None
    images: bool | None = None
    audio: bool | None = None
    trace: bool | None = None
    context_length: int | None = None


@runtime_checkable
class Backend(Protocol):
    """What answers requests. Only these two are required.

    Optional: `astream(request) -> AsyncEventStream`, `count(request) -> int | None` (prompt tokens),
    `batch(requests) -> list[Reply]`, `refresh()` / `arefresh()` (ask the server for capabilities),
    `close()` / `aclose()`.
    """

    @property
    def capabilities(self) -> Capabilities: ...

    def stream(self, request: Request, /) -> EventStream: ...


class FullBackend(Backend, Protocol):
    """A backend with everything optional too; what `connect` gives for the built-in names."""

    def astream(self, request: Request, /) -> AsyncEventStream: ...

    def count(self, request: Request, /) -> int | None: ...

    def batch(self, requests: Sequence[Request], /) -> list[Reply[Any] | AmbidexError]: ...

    def refresh(self) -> Capabilities: ...

    async def arefresh(self) -> Capabilities: ...

    def close(self) -> None: ...

    async def aclose(self) -> None: ...


def connect(model: str, **options: Any) -> Any:
    """The backend that a model string names, for instance "local:pocket".

    "local:NAME", "local:./folder"            a model in this process
    "hf:org/name", "hf:org/name:provider"     Hugging Face Inference Providers; also :cheapest, :fastest, :preferred
    "http://host/v1#model", "https://..."     an OpenAI-compatible server
    "<name>:..."                              what a package registered under that name

    `options` go unchanged to the backend's constructor, which refuses unknown names. Calls with equal arguments
    share one backend, which closes when it was closed as often as it was connected.

    Returns a `Backend`. Raises `ConfigError` for a string that names none, with the nearest that would.
    """
    entry_point, target = _resolve(model)
    key = (model, _frozen(options))
    with _shared_lock:
        shared = _shared.get(key)
        if shared is None:
            shared = _Shared(_load(entry_point)(target, **options))
            _shared[key] = shared
        shared.holders += 1
        return shared.backend


def last_release(backend: object) -> bool:
    """For a backend's `close`: whether to really close, because nobody else holds it from `connect`."""
    with _shared_lock:
        for key, shared in _shared.items():
            if shared.backend is backend:
                shared.holders -= 1
                if shared.holders > 0:
                    return False
                del _shared[key]
                return True
    return True


def check_supported(request: Request, capabilities: Capabilities, name: str) -> None:
    """Raises `Unsupported` if the request uses what `capabilities` says no to; what is unknown (None) passes."""
    parts = [part for message in request.messages for part in message.parts]
    decoding = request.decoding
    uses = {
        "chat": bool(request.messages),
        "prompt": request.prompt is not None,
        "tools": bool(request.tools),
        "parallel_tool_calls": request.parallel_tool_calls is True,
        "tool_choice": request.tool_choice not in ("auto", "none"),
        "output": request.output is not None,
        "reasoning": request.reasoning not in (None, False),
        "logprobs": request.logprobs is not None,
        "seed": isinstance(decoding, Sampling) and decoding.seed is not None,
        "n": request.n > 1,
        "beams": isinstance(decoding, Beams),
        "processors": decoding is not None and bool(decoding.processors),
        "contrast": decoding is not None and bool(decoding.contrast),
        "images": any(isinstance(part, Image) for part in parts),
        "audio": any(isinstance(part, Audio) for part in parts),
        "trace": request.trace,
    }
    for option, used in uses.items():
        if used and getattr(capabilities, option) is False:
            raise Unsupported(
                f"{name} cannot honour {option!r}, which this request uses; see its .capabilities.", param=option
            )


def backend_names() -> list[str]:
    """The prefixes that model strings may have."""
    return sorted({entry.name for entry in entry_points(group=ENTRY_POINT_GROUP)})


class _Shared:
    def __init__(self, backend: Any) -> None:
        self.backend = backend
        self.holders = 0


_shared: dict[Any, _Shared] = {}
_shared_lock = threading.RLock()


def _resolve(model: object) -> tuple[EntryPoint, str]:
    """The entry point a model string names, and what its constructor is given."""
    if not isinstance(model, str):
        raise ConfigError(f"A model is a string such as 'local:pocket' or a Backend, got {type(model).__name__}.")
    prefix, colon, rest = model.partition(":")
    found = {entry.name: entry for entry in entry_points(group=ENTRY_POINT_GROUP)}
    if not colon or prefix not in found:
        raise ConfigError(_no_such_backend(model, prefix, bool(colon), found))
    target = model if rest.startswith("//") else rest
    if not target:
        raise ConfigError(
            f"{model!r} names a backend but no model, for instance {prefix + ':' + _EXAMPLES.get(prefix, 'NAME')!r}."
        )
    return found[prefix], target


_EXAMPLES = {"local": "pocket", "hf": "openai/gpt-oss-120b", "http": "//127.0.0.1:8000/v1#name"}


def _no_such_backend(model: str, prefix: str, has_prefix: bool, names: Iterable[str]) -> str:
    names = sorted(names)
    is_prefix = has_prefix and "/" not in prefix
    near = difflib.get_close_matches(prefix, names, n=1) if is_prefix else []
    if "//" in model or (is_prefix and not near):  # an address, or a password where a prefix was looked for
        model = printable_address(model)
    if near:
        suggestion = f" Did you mean {near[0] + model[len(prefix) :]!r}?"
    elif model.startswith(("./", "../", "/", "~")):
        suggestion = f" For a folder, write {'local:' + model!r}."
    elif "/" in model:
        suggestion = (
            f" For the Hub's model, write {'local:' + model!r} (in this process) or {'hf:' + model!r} (remote)."
        )
    else:
        suggestion = f" Did you mean {'local:' + model!r}?"
    return f"{model!r} names no backend.{suggestion} Known prefixes: {', '.join(name + ':' for name in names)}"


def _load(entry_point: EntryPoint) -> Callable[..., Any]:
    constructor: Callable[..., Any] = entry_point.load()
    return constructor


def _frozen(value: Any) -> Any:
    """`value` as something hashable; what cannot be compared by value is compared by identity."""
    if isinstance(value, dict):
        return frozenset((name, _frozen(item)) for name, item in cast("Mapping[Any, Any]", value).items())
    if isinstance(value, (list, tuple, set)):
        kind = "set" if isinstance(value, set) else "sequence"
        return (kind, *map(_frozen, cast("Iterable[Any]", value)))
    try:
        hash(value)
    except TypeError:
        return (type(value).__name__, id(value))
    return value


def notify(observe: Observer | None, item: Request | Event | AmbidexError | Any) -> None:
    """Tells an observer; its own failures are logged and go no further."""
    if observe is None:
        return
    try:
        observe(item)
    except Exception:
        import logging

        logging.getLogger("ambidex").exception("The observer raised.")
