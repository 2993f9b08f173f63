"""Where Inference Providers take chats and raw prompts, behind the router and at home.

Source: huggingface_hub's `inference/_providers/`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import quote

from .dialect import OPENAI, PROVIDER_DIALECTS, ROUTER, Dialect
from .routes import Routes


@dataclass(frozen=True, slots=True)
class ProviderRoutes:
    """One provider.

    chat, completions   its routes, behind `https://router.huggingface.co/<provider>` and at `host`; "{model}" in one
                        stands for the model's id. completions is None where it completes no raw prompts
    host                where it is at home
    headers             what it wants to be told beside the request
    """

    dialect: Dialect
    host: str | None = None
    chat: str = "/v1/chat/completions"
    completions: str | None = None
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


PROVIDERS: Mapping[str, ProviderRoutes] = {
    "together": ProviderRoutes(PROVIDER_DIALECTS["together"], "api.together.xyz", completions="/v1/completions"),
    "fireworks-ai": ProviderRoutes(
        PROVIDER_DIALECTS["fireworks-ai"], "api.fireworks.ai", "/inference/v1/chat/completions"
    ),
    "cohere": ProviderRoutes(PROVIDER_DIALECTS["cohere"], "api.cohere.com", "/compatibility/v1/chat/completions"),
    "hf-inference": ProviderRoutes(PROVIDER_DIALECTS["hf-inference"], None, "/models/{model}/v1/chat/completions"),
    "groq": ProviderRoutes(PROVIDER_DIALECTS["groq"], "api.groq.com", "/openai/v1/chat/completions"),
    "novita": ProviderRoutes(
        PROVIDER_DIALECTS["novita"], "api.novita.ai", "/v3/openai/chat/completions", "/v3/openai/completions"
    ),
    "deepinfra": ProviderRoutes(
        PROVIDER_DIALECTS["deepinfra"], "api.deepinfra.com", "/v1/openai/chat/completions", "/v1/openai/completions"
    ),
    "zai-org": ProviderRoutes(
        PROVIDER_DIALECTS["zai-org"],
        "api.z.ai",
        "/api/paas/v4/chat/completions",
        headers={"accept-language": "en-US,en", "x-source-channel": "hugging_face"},
    ),
    "cerebras": ProviderRoutes(PROVIDER_DIALECTS["cerebras"], "api.cerebras.ai"),
    "nscale": ProviderRoutes(PROVIDER_DIALECTS["nscale"], "inference.api.nscale.com"),
    "scaleway": ProviderRoutes(PROVIDER_DIALECTS["scaleway"], "api.scaleway.ai"),
    "ovhcloud": ProviderRoutes(PROVIDER_DIALECTS["ovhcloud"], "oai.endpoints.kepler.ai.cloud.ovh.net"),
    "featherless-ai": ProviderRoutes(
        PROVIDER_DIALECTS["featherless-ai"], "api.featherless.ai", completions="/v1/completions"
    ),
    "publicai": ProviderRoutes(PROVIDER_DIALECTS["publicai"], "api.publicai.co"),
    "baseten": ProviderRoutes(PROVIDER_DIALECTS["baseten"], "inference.baseten.co"),
}
"""By the router's names for them. Of hf-inference's own text generation, `hub/text_generation.py` knows more."""

_ROUTER_HOST = "router.huggingface.co"
_DIALECT_OF_HOST = {"api.openai.com": OPENAI, **{item.host: item.dialect for item in PROVIDERS.values() if item.host}}


def behind_router(router: Routes, provider: str, route: str, model: str) -> str:
    """The address of a provider's route behind the router."""
    return router.beside_v1(f"/{provider}{route.replace('{model}', quote(model, safe='/'))}")


def dialect_of_host(routes: Routes) -> Dialect | None:
    """The dialect of a service that is known by its address; None for all other servers."""
    if routes.host == _ROUTER_HOST:
        provider = PROVIDERS.get(routes.base.strip("/").partition("/")[0])
        return ROUTER if provider is None else provider.dialect
    if routes.host.endswith(".openai.azure.com"):
        return OPENAI
    return _DIALECT_OF_HOST.get(routes.host)
