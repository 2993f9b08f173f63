"""`HubBackend`: chat models of the Hub, answered by Hugging Face's Inference Providers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ambidex.backend import Capabilities, Observer
from ambidex.errors import AuthenticationError, ConfigError
from ambidex.option_names import refuses_unknown_options
from ambidex.reply import Usage
from ambidex.request import DEFAULT_TIMEOUT, Request
from ambidex_backends.http.answer import Plan
from ambidex_backends.http.chunks import ChunkReader
from ambidex_backends.http.client import Ask
from ambidex_backends.http.dialect import ROUTER
from ambidex_backends.http.limits import DEFAULT_LIMITS, Limits
from ambidex_backends.http.provider_routes import PROVIDERS, behind_router
from ambidex_backends.http.remembered import Remembered
from ambidex_backends.http.remote import Connection, RemoteBackend
from ambidex_backends.http.request_body import chat_body, completion_body, encoded
from ambidex_backends.http.retry import MAX_ATTEMPTS
from ambidex_backends.http.routes import Routes
from ambidex_backends.http.secret import Credentials, Secret, checked_headers
from ambidex_backends.http.tool_names import ToolNames

from .model_facts import ModelFacts, ProviderFacts, depends_on_facts, read_facts
from .model_name import ModelName
from .providers import TEXT_GENERATION, Served, completion_route, for_chat, for_prompt, read_mapping
from .text_generation import TokenReader, text_generation_body

ROUTER_URL = "https://router.huggingface.co/v1"
HUB_URL = "https://huggingface.co"
_TRUSTED_DOMAINS = ("huggingface.co", "hf.co")

FACTS_SECONDS = 600.0
"""What the router says of a model is good for so long."""

PAUSE_SECONDS = 60.0
"""After a look-up without an answer, requests go without it for so long."""


@refuses_unknown_options(ConfigError)
class HubBackend(RemoteBackend):
    """Any chat model that Inference Providers serve.

    model     "org/name", with ":provider", ":fastest" (the router's default), ":cheapest" or ":preferred" behind it
    token     a Hugging Face token; None: the one that is logged in (HF_TOKEN, `hf auth login`). That one goes to
              https on huggingface.co and to a loopback `base_url` only, a token given here to `base_url` as well
    bill_to   an organisation that pays instead
    base_url  another router, for instance a test server; None: AMBIDEX_HF_BASE_URL, else Hugging Face's
    headers   more headers for `base_url`, kept as secret as the token
    direct    asks the pinned provider on its own route behind the router, in its own dialect
    timeout   seconds in all for requests that bring no `timeout` of their own
    connect_timeout, first_event_timeout, idle_timeout   seconds; see `http.call.Timeouts`
    max_attempts     how often a request is sent at most; what is tried again, `http.retry` says
    max_concurrency, max_per_minute   requests under way at a time, and begun in a minute; others wait their turn
    proxy     "http(s)://[user:password@]host:port"; none is taken from the environment
    limits    what a server may make this process hold; see `http.limits.Limits`
    observe   called with every request, event and error

    A request with tools, `output` or media first looks up what the model's providers can do (once in `FACTS_SECONDS`;
    without an answer it goes on): what none of them can, or the pinned one cannot, raises `Unsupported` and is not
    sent. From then on, or after `refresh()`, `Usage.cost` is known by the router's prices. Raw prompts
    (`Request(prompt=...)`) go to a provider with a completion route, which is looked up once. docs/wire.md has more.
    Thread-safe. Raises `ConfigError` for wrong options; requests raise what `RemoteBackend.stream` says.
    """

    def __init__(
        self,
        model: str,
        *,
        token: str | None = None,
        bill_to: str | None = None,
        base_url: str | None = None,
        headers: Mapping[str, str] | None = None,
        direct: bool = False,
        timeout: float = DEFAULT_TIMEOUT,
        connect_timeout: float = 10.0,
        first_event_timeout: float = 300.0,
        idle_timeout: float = 120.0,
        max_attempts: int = MAX_ATTEMPTS,
        max_concurrency: int | None = None,
        max_per_minute: float | None = None,
        proxy: str | None = None,
        limits: Limits = DEFAULT_LIMITS,
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
        self._name = ModelName.parse(model)
        self._routes = Routes.from_url(base_url or os.environ.get("AMBIDEX_HF_BASE_URL") or ROUTER_URL)
        super().__init__(str(self._routes), self._name.full, connection)
        self._token = None if token is None else Secret(token, "token")
        if self._token is not None and not (self._routes.is_encrypted or self._routes.is_loopback):
            raise ConfigError(
                "A token is not sent over plain http: use https, or a loopback address.", param="base_url"
            )
        self._headers = {} if bill_to is None else {"x-hf-bill-to": Secret(bill_to, "bill_to").reveal()}
        self._more_headers = checked_headers(headers or {}, "token")
        if self._more_headers and not (self._routes.is_encrypted or self._routes.is_loopback):
            raise ConfigError(
                "Headers are not sent over plain http: use https, or a loopback address.", param="base_url"
            )
        if direct and self._name.provider is None:
            raise ConfigError(f"direct= asks one provider: pin it, {self._name.id}:<provider>.", param="direct")
        self._direct = direct
        self._capabilities = Capabilities(
            chat=True, n=False, beams=False, processors=False, contrast=False, trace=False
        )
        self._served = Remembered[tuple[Served, ...]](FACTS_SECONDS, pause=0.0)
        self._facts = Remembered[ModelFacts](FACTS_SECONDS, pause=PAUSE_SECONDS)

    def __repr__(self) -> str:
        return f"HubBackend({self._name.full!r}, base_url={str(self._routes)!r})"

    @property
    def capabilities(self) -> Capabilities:
        """What is known without asking; `refresh` asks the router."""
        return self._capabilities

    @property
    def providers(self) -> tuple[ProviderFacts, ...]:
        """Who serves the model, with context and prices, as far as it was looked up; `refresh` asks the router."""
        facts = self._facts.value
        return () if facts is None else facts.providers

    def refresh(self) -> Capabilities:
        """Asks the router anew what those who serve the model can do, and what they cost."""
        self._learn_facts(self._fetch(self._about_model()))
        self._served.expire()
        return self._capabilities

    async def arefresh(self) -> Capabilities:
        """The async twin of `refresh`."""
        self._learn_facts(await self._afetch(self._about_model()))
        self._served.expire()
        return self._capabilities

    def _learn_facts(self, data: Any) -> None:
        facts = read_facts(data, self._name.id)
        self._facts.learn(facts)
        self._capabilities = facts.capabilities(self._name, self._capabilities)

    def _about_model(self, *, optional: bool = False) -> Ask:
        return self._ask(self._routes, self._routes.model(self._name.id), optional=optional)

    def _question(self, request: Request) -> Ask | None:
        """What its providers can do, if that matters; who serves the model, where it is asked by its own route."""
        if depends_on_facts(request) and self._facts.is_due:
            return self._about_model(optional=True)
        if not self._served.is_due or (request.prompt is None and not self._direct):
            return None
        hub = Routes.from_url(os.environ.get("HF_ENDPOINT") or HUB_URL)
        path = hub.parts.path.rstrip("/")
        url = hub.at(f"{path}/api/models/{self._name.id}") + "?expand[]=inferenceProviderMapping"
        return self._ask(hub, url)

    def _learn(self, question: Ask, answer: Any) -> None:
        if question.optional:
            self._learn_facts(answer)
        else:
            self._served.learn(read_mapping(answer, self._name.id))

    def _forgo(self, question: Ask) -> None:
        self._facts.forgo()

    def _plan(self, request: Request) -> Plan:
        if self._facts.value is not None:
            self._facts.value.check(request, self._name)
        if request.prompt is not None:
            return self._plan_completion(request, for_prompt(self._name, self._served.value or ()))
        provider = None
        url, model, dialect = self._routes.chat, self._name.full, ROUTER
        if self._direct:
            served = for_chat(self._name, self._served.value or ())
            provider, model = served.provider, served.provider_id
            url = behind_router(self._routes, provider, PROVIDERS[provider].chat, model)
            dialect = PROVIDERS[provider].dialect
        ask = self._ask(self._routes, url, encoded(chat_body(request, model, dialect)), provider)
        return Plan(ask, self._reader(request, self._name.provider))

    def _reader(self, request: Request, provider: str | None) -> ChunkReader:
        return ChunkReader(
            ToolNames(tuple(tool.name for tool in request.tool_list)),
            model=self._name.full,
            provider=provider,
            scored=request.logprobs is not None,
            limits=self._limits,
            max_tokens=request.max_tokens,
            cost=self._cost,
        )

    def _cost(self, usage: Usage, answered_by: str | None) -> float | None:
        facts = self._facts.value
        return None if facts is None else facts.cost(usage, answered_by, self._name)

    def _plan_completion(self, request: Request, served: Served) -> Plan:
        provider = served.provider
        if provider == TEXT_GENERATION:
            url = self._routes.beside_v1(f"/{provider}/models/{self._name.id}")
            ask = self._ask(self._routes, url, encoded(text_generation_body(request)), provider)
            return Plan(
                ask, TokenReader(model=self._name.full, scored=request.logprobs is not None, limits=self._limits)
            )
        url = behind_router(self._routes, provider, completion_route(provider) or "", served.provider_id)
        body = encoded(completion_body(request, served.provider_id, PROVIDERS[provider].dialect))
        ask = self._ask(self._routes, url, body, provider)
        return Plan(ask, self._reader(request, provider))

    def _ask(
        self,
        routes: Routes,
        url: str,
        body: bytes | None = None,
        provider: str | None = None,
        *,
        optional: bool = False,
    ) -> Ask:
        """To the router or the Hub, with the token if it may go there."""
        if not routes.is_loopback and os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
            raise ConfigError("HF_HUB_OFFLINE is set, so nothing is sent: unset it, or use a local model.")
        routes_of = PROVIDERS.get(provider or "")
        own = {} if routes_of is None else routes_of.headers
        return Ask(
            url,
            body,
            limits=self._limits,
            headers={**self._headers, **own} if body is not None else {},
            credentials=Credentials(routes.origin, self._secrets(routes)),
            streams=body is not None,
            model=self._name.full,
            provider=provider or self._name.provider,
            optional=optional,
        )

    def _secrets(self, routes: Routes) -> dict[str, Secret]:
        """The headers that only this origin sees."""
        more = dict(self._more_headers) if routes is self._routes else {}
        token = self._token_for(routes)
        return more if token is None else {**more, "authorization": token}

    def _token_for(self, routes: Routes) -> Secret | None:
        is_trusted = routes.is_loopback or (routes.is_encrypted and _is_of_hugging_face(routes.host))
        if self._token is not None and (is_trusted or routes is self._routes):
            return self._token
        token = _logged_in() if is_trusted else None
        if token is None and is_trusted and routes is self._routes and not routes.is_loopback:
            raise AuthenticationError(
                "Inference Providers need a Hugging Face token: set HF_TOKEN, run `hf auth login`, or pass token=. "
                "Make one with the permission 'Make calls to Inference Providers' in your settings on huggingface.co."
            )
        return token


def _is_of_hugging_face(host: str) -> bool:
    return any(host == domain or host.endswith(f".{domain}") for domain in _TRUSTED_DOMAINS)


def _logged_in() -> Secret | None:
    """The token of the person who is logged in, unless HF_HUB_DISABLE_IMPLICIT_TOKEN forbids it."""
    from huggingface_hub import constants, get_token

    if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN:
        return None
    try:
        token = get_token()
    except Exception as problem:  # it may ask an OIDC service, with whatever errors that has
        failure = AuthenticationError(
            f"huggingface_hub could not give a token ({type(problem).__name__}): pass token=."
        )
    else:
        return None if token is None else Secret(token, "HF_TOKEN")
    raise failure
