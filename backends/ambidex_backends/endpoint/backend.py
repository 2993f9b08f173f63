"""`EndpointBackend`: any OpenAI-compatible server, by its address."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urldefrag

from ambidex.backend import Capabilities, Observer
from ambidex.errors import ConfigError, MalformedResponse
from ambidex.option_names import refuses_unknown_options
from ambidex.request import DEFAULT_TIMEOUT, Request
from ambidex_backends.http.answer import Plan
from ambidex_backends.http.chunks import ChunkReader
from ambidex_backends.http.client import Ask
from ambidex_backends.http.dialect import DIALECTS, VLLM, Dialect, DialectName
from ambidex_backends.http.json_values import as_object, as_text, as_whole, is_list
from ambidex_backends.http.limits import DEFAULT_LIMITS, Limits
from ambidex_backends.http.provider_routes import dialect_of_host
from ambidex_backends.http.remembered import Remembered
from ambidex_backends.http.remote import Connection, RemoteBackend
from ambidex_backends.http.request_body import chat_body, completion_body, depends_on_dialect, encoded
from ambidex_backends.http.retry import MAX_ATTEMPTS
from ambidex_backends.http.routes import Routes
from ambidex_backends.http.secret import Credentials, Secret, checked_headers
from ambidex_backends.http.server_errors import clean
from ambidex_backends.http.tool_names import ToolNames

from .server_kind import kind_of_server

KIND_SECONDS = 3600.0
"""A server is taken for what it is for so long: another may be started at the same address."""

PAUSE_SECONDS = 60.0
"""After a question without an answer, requests go out in the usual dialect for so long."""

_CONTEXT_FIELDS = ("max_model_len", "context_length", "context_window")


@refuses_unknown_options(ConfigError)
class EndpointBackend(RemoteBackend):
    """An OpenAI-compatible server.

    url       "http(s)://host/v1#model"; "/v1" is added where the path ends in neither that nor a route
    api_key   None: AMBIDEX_API_KEY; no other vendor's variable is read
    dialect   the kind of server: "openai", "vllm", "sglang", "llamacpp", "ollama", "tgi", ... (`http.dialect`). None:
              what the address tells, else what the list of its models does (asked once, and only for a request that
              kinds of servers are sent differently), else "vllm"
    model     the same as behind "#"; without either, the only model that the server lists
    timeout   seconds in all for requests that bring no `timeout` of their own
    headers   more headers, which go to this origin only and are kept as secret as the key
    insecure  sends the key over plain http to another machine too; without it that is refused
    connect_timeout, first_event_timeout, idle_timeout   seconds; see `http.call.Timeouts`
    max_attempts     how often a request is sent at most; what is tried again, `http.retry` says
    max_concurrency, max_per_minute   requests under way at a time, and begun in a minute; others wait their turn
    proxy     "http(s)://[user:password@]host:port"; none is taken from the environment
    limits    what a server may make this process hold; see `http.limits.Limits`
    done_is_enough   takes `[DONE]` without a finish reason for the end of a whole answer, as old servers send it; a
                     proxy that ends a cut answer properly cannot be told from them
    observe   called with every request, event and error

    Most servers read past a field that they do not know: what the dialect lacks raises `Unsupported` and is not sent.
    docs/wire.md shows the dialects. Thread-safe. Raises `ConfigError` for wrong options; requests raise what
    `RemoteBackend.stream` says.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        dialect: DialectName | None = None,
        model: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        headers: Mapping[str, str] | None = None,
        insecure: bool = False,
        connect_timeout: float = 10.0,
        first_event_timeout: float = 300.0,
        idle_timeout: float = 120.0,
        max_attempts: int = MAX_ATTEMPTS,
        max_concurrency: int | None = None,
        max_per_minute: float | None = None,
        proxy: str | None = None,
        limits: Limits = DEFAULT_LIMITS,
        done_is_enough: bool = False,
        observe: Observer | None = None,
    ) -> None:
        connection = Connection(
            timeout=timeout,
            connect_timeout=connect_timeout,
            first_event_timeout=first_event_timeout,
            idle_timeout=idle_timeout,
            max_attempts=max_attempts,
            max_concurrency=max_concurrency,
            max_per_minute=max_per_minute,
            proxy=proxy,
            limits=limits,
            observe=observe,
        )
        if not isinstance(url, str):
            raise ConfigError(f"url takes a str, got {type(url).__name__}.", param="url")
        if dialect is not None and dialect not in DIALECTS:
            raise ConfigError(
                f"dialect takes one of {', '.join(map(repr, DIALECTS))}, got {dialect!r}.", param="dialect"
            )
        address, fragment = urldefrag(url)
        if fragment and model is not None and unquote(fragment) != model:
            raise ConfigError(
                f"Two models are named: {unquote(fragment)!r} in the url, and model={model!r}.", param="model"
            )
        self._model = model or unquote(fragment) or None
        self._model_is_given = self._model is not None
        self._routes = Routes.from_url(address)
        super().__init__(str(self._routes), self._model, connection)
        if not isinstance(done_is_enough, bool):
            raise ConfigError(f"done_is_enough takes True or False, got {done_is_enough!r}.", param="done_is_enough")
        self._done_is_enough = done_is_enough
        self._dialect = DIALECTS[dialect] if dialect is not None else dialect_of_host(self._routes)
        self._kind = Remembered[Dialect](KIND_SECONDS, pause=PAUSE_SECONDS)
        self._credentials = self._checked_credentials(api_key, headers or {}, insecure)
        self._capabilities = Capabilities(
            chat=True, prompt=True, n=False, beams=False, processors=False, contrast=False, trace=False
        )
        self._know(self._dialect)

    def __repr__(self) -> str:
        return f"EndpointBackend({str(self._routes)!r}, model={self._model!r})"

    @property
    def capabilities(self) -> Capabilities:
        """What is known without asking; `refresh` asks the server for its kind and its context length."""
        return self._capabilities

    def refresh(self) -> Capabilities:
        """Asks the server which models it serves, and for the context length of this one."""
        question = self._about_models()
        self._learn(question, self._fetch(question))
        return self._capabilities

    async def arefresh(self) -> Capabilities:
        """The async twin of `refresh`."""
        question = self._about_models()
        self._learn(question, await self._afetch(question))
        return self._capabilities

    def _checked_credentials(self, api_key: str | None, headers: Mapping[str, str], insecure: bool) -> Credentials:
        secrets = checked_headers(headers, "api_key")
        key = api_key if api_key is not None else os.environ.get("AMBIDEX_API_KEY") or None
        if key is not None:
            secrets["authorization"] = Secret(key, "api_key" if api_key is not None else "AMBIDEX_API_KEY")
        if secrets and not (self._routes.is_encrypted or self._routes.is_loopback or insecure):
            raise ConfigError(
                f"Keys would go to {self._routes.host} over plain http, readable on the way: use https, or pass "
                "insecure=True if that network is yours.",
                param="url",
            )
        return Credentials(self._routes.origin, secrets)

    def _about_models(self, *, optional: bool = False) -> Ask:
        return Ask(
            self._routes.models,
            credentials=self._credentials,
            streams=False,
            model=self._model,
            optional=optional,
            limits=self._limits,
        )

    def _question(self, request: Request) -> Ask | None:
        """Which model there is, if none was named; which kind of server it is, if that matters."""
        if self._model is None:
            return self._about_models()
        if self._dialect is None and self._kind.is_due and depends_on_dialect(request, self._model):
            return self._about_models(optional=True)
        return None

    def _know(self, dialect: Dialect | None) -> None:
        """What a dialect has no field for, the server cannot do."""
        if dialect is not None:
            self._capabilities = dataclasses.replace(
                self._capabilities,
                prompt=dialect.completions,
                parallel_tool_calls=None if dialect.parallel else False,
                tool_choice=None if dialect.tool_choices else False,
                reasoning=False if dialect.switch is dialect.effort is None else None,
            )

    def _forgo(self, question: Ask) -> None:
        self._kind.forgo()

    def _learn(self, question: Ask, answer: Any) -> None:
        data = as_object(answer).get("data")
        if not is_list(data):
            raise MalformedResponse(f"{question.target} does not list the server's models.")
        kind = kind_of_server(answer)
        self._kind.learn(kind or VLLM)
        self._know(self._dialect or kind)
        found = {name: item for item in data if (name := as_text(as_object(item).get("id")))}
        if not self._model_is_given:
            if len(found) != 1:
                names = clean(", ".join(sorted(found)[:20])) or "none"
                raise ConfigError(f"Name the model behind '#' in the url: the server lists {names}.", param="model")
            self._model = next(iter(found))
        about = as_object(found.get(self._model or ""))
        lengths = [length for name in _CONTEXT_FIELDS if (length := as_whole(about.get(name))) is not None]
        if lengths:
            self._capabilities = dataclasses.replace(self._capabilities, context_length=lengths[0])

    def _plan(self, request: Request) -> Plan:
        model, dialect = self._model or "", self._dialect or self._kind.value or VLLM
        if request.prompt is not None:
            url, body = self._routes.completions, completion_body(request, model, dialect)
        else:
            url, body = self._routes.chat, chat_body(request, model, dialect)
        ask = Ask(url, encoded(body), credentials=self._credentials, model=model, limits=self._limits)
        names = ToolNames(tuple(tool.name for tool in request.tool_list))
        reader = ChunkReader(
            names,
            model=model,
            scored=request.logprobs is not None,
            limits=self._limits,
            max_tokens=request.max_tokens,
            done_is_enough=self._done_is_enough,
        )
        return Plan(ask, reader)
