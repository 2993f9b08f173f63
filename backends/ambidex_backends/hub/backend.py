"""`HubBackend`: chat models of the Hub, answered by Hugging Face's Inference Providers."""

from __future__ import annotations

import os
from typing import Any

from ambidex.backend import Capabilities, Observer
from ambidex.errors import AuthenticationError, ConfigError
from ambidex.option_names import refuses_unknown_options
from ambidex.request import DEFAULT_TIMEOUT, Request
from ambidex_backends.http.answer import Plan
from ambidex_backends.http.chunks import ChunkReader
from ambidex_backends.http.client import Ask
from ambidex_backends.http.dialect import ROUTER
from ambidex_backends.http.remote import Connection, RemoteBackend
from ambidex_backends.http.request_body import chat_body, completion_body, encoded
from ambidex_backends.http.retry import MAX_ATTEMPTS
from ambidex_backends.http.routes import Routes
from ambidex_backends.http.secret import Credentials, Secret
from ambidex_backends.http.tool_names import ToolNames

from .model_name import ModelName
from .providers import COMPLETION_ROUTES, TEXT_GENERATION, Served, capabilities_of, for_prompt, read_mapping
from .text_generation import TokenReader, text_generation_body

ROUTER_URL = "https://router.huggingface.co/v1"
HUB_URL = "https://huggingface.co"
_TRUSTED_DOMAINS = ("huggingface.co", "hf.co")


@refuses_unknown_options(ConfigError)
class HubBackend(RemoteBackend):
    """Any chat model that Inference Providers serve.

    model     "org/name", with ":provider", ":fastest" (the router's default), ":cheapest" or ":preferred" behind it
    token     a Hugging Face token; None: the one that is logged in (HF_TOKEN, `hf auth login`). That one goes to
              https on huggingface.co and to a loopback `base_url` only, a token given here to `base_url` as well
    bill_to   an organisation that pays instead
    base_url  another router, for instance a test server; None: AMBIDEX_HF_BASE_URL, else Hugging Face's
    timeout   seconds in all for requests that bring no `timeout` of their own
    connect_timeout, first_event_timeout, idle_timeout   seconds; see `http.call.Timeouts`
    max_attempts     how often a request is sent at most; what is tried again, `http.retry` says
    max_concurrency, max_per_minute   requests under way at a time, and begun in a minute; others wait their turn
    proxy     "http(s)://[user:password@]host:port"; none is taken from the environment
    observe   called with every request, event and error

    Raw prompts (`Request(prompt=...)`) go to a provider with a completion route, which is looked up once.
    Thread-safe. Raises `ConfigError` for wrong options; requests raise what `RemoteBackend.stream` says.
    """

    def __init__(
        self,
        model: str,
        *,
        token: str | None = None,
        bill_to: str | None = None,
        base_url: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        connect_timeout: float = 10.0,
        first_event_timeout: float = 300.0,
        idle_timeout: float = 120.0,
        max_attempts: int = MAX_ATTEMPTS,
        max_concurrency: int | None = None,
        max_per_minute: float | None = None,
        proxy: str | None = None,
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
        self._capabilities = Capabilities(chat=True, n=False, beams=False, processors=False, trace=False)
        self._served: tuple[Served, ...] | None = None

    def __repr__(self) -> str:
        return f"HubBackend({self._name.full!r}, base_url={str(self._routes)!r})"

    @property
    def capabilities(self) -> Capabilities:
        """What is known without asking; `refresh` asks the router."""
        return self._capabilities

    def refresh(self) -> Capabilities:
        """Asks the router what those who serve the model can do."""
        return self._learn_capabilities(self._fetch(self._about_model()))

    async def arefresh(self) -> Capabilities:
        """The async twin of `refresh`."""
        return self._learn_capabilities(await self._afetch(self._about_model()))

    def _learn_capabilities(self, data: Any) -> Capabilities:
        self._capabilities = capabilities_of(data, self._name, self._capabilities)
        return self._capabilities

    def _about_model(self) -> Ask:
        return self._ask(self._routes, self._routes.model(self._name.id))

    def _question(self, request: Request) -> Ask | None:
        """Who completes raw prompts with this model."""
        if request.prompt is None or self._served is not None:
            return None
        hub = Routes.from_url(os.environ.get("HF_ENDPOINT") or HUB_URL)
        path = hub.parts.path.rstrip("/")
        url = hub.at(f"{path}/api/models/{self._name.id}") + "?expand[]=inferenceProviderMapping"
        return self._ask(hub, url)

    def _learn(self, question: Ask, answer: Any) -> None:
        self._served = read_mapping(answer, self._name.id)

    def _plan(self, request: Request) -> Plan:
        if request.prompt is not None:
            return self._plan_completion(request, for_prompt(self._name, self._served or ()))
        body = encoded(chat_body(request, self._name.full, ROUTER))
        ask = self._ask(self._routes, self._routes.chat, body)
        names = ToolNames(tuple(tool.name for tool in request.tool_list))
        return Plan(ask, ChunkReader(names, model=self._name.full, provider=self._name.provider))

    def _plan_completion(self, request: Request, served: Served) -> Plan:
        provider = served.provider
        if provider == TEXT_GENERATION:
            url = self._routes.beside_v1(f"/{provider}/models/{self._name.id}")
            ask = self._ask(self._routes, url, encoded(text_generation_body(request)), provider)
            return Plan(ask, TokenReader(model=self._name.full, scored=request.logprobs is not None))
        url = self._routes.beside_v1(f"/{provider}{COMPLETION_ROUTES[provider]}")
        body = encoded(completion_body(request, served.provider_id, ROUTER))
        ask = self._ask(self._routes, url, body, provider)
        return Plan(ask, ChunkReader(ToolNames(()), model=self._name.full, provider=provider))

    def _ask(self, routes: Routes, url: str, body: bytes | None = None, provider: str | None = None) -> Ask:
        """To the router or the Hub, with the token if it may go there."""
        if not routes.is_loopback and os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
            raise ConfigError("HF_HUB_OFFLINE is set, so nothing is sent: unset it, or use a local model.")
        return Ask(
            url,
            body,
            headers=self._headers if body is not None else {},
            credentials=self._credentials(routes),
            streams=body is not None,
            model=self._name.full,
            provider=provider or self._name.provider,
        )

    def _credentials(self, routes: Routes) -> Credentials | None:
        is_trusted = routes.is_loopback or (routes.is_encrypted and _is_of_hugging_face(routes.host))
        if self._token is not None and (is_trusted or routes is self._routes):
            return Credentials.bearer(routes.origin, self._token)
        if not is_trusted:
            return None
        token = _logged_in()
        if token is not None:
            return Credentials.bearer(routes.origin, token)
        if routes is self._routes and not routes.is_loopback:
            raise AuthenticationError(
                "Inference Providers need a Hugging Face token: set HF_TOKEN, run `hf auth login`, or pass token=. "
                "Make one with the permission 'Make calls to Inference Providers' in your settings on huggingface.co."
            )
        return None


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
