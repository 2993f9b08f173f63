"""What the Hub and the router say about a model's providers. No I/O.

`GET {hub}/api/models/{id}?expand[]=inferenceProviderMapping`: who serves it, under which name, for which task.
`GET {router}/v1/models/{id}`: what those who serve it can do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ambidex.backend import Capabilities
from ambidex.errors import MalformedResponse, NotFound, Unsupported
from ambidex_backends.http.json_values import as_object, as_text, as_whole, is_list, is_object

from .model_name import ModelName

COMPLETION_ROUTES = {
    "together": "/v1/completions",
    "featherless-ai": "/v1/completions",
    "deepinfra": "/v1/openai/completions",
    "novita": "/v3/openai/completions",
}
"""Providers that complete raw prompts, and their routes behind the router; hf-inference has one of its own."""

TEXT_GENERATION = "hf-inference"


@dataclass(frozen=True, slots=True)
class Served:
    """One provider of a model: its own name for it, and the task that it serves it for."""

    provider: str
    provider_id: str
    task: str


def read_mapping(data: Any, model: str) -> tuple[Served, ...]:
    """Who serves the model now; the mapping is a dict by provider, or a list of entries that name it."""
    mapping = as_object(data).get("inferenceProviderMapping")
    if is_object(mapping):
        entries = list(mapping.items())
    elif is_list(mapping):
        entries = [(as_text(as_object(item).get("provider")), item) for item in mapping]
    else:
        raise MalformedResponse(f"The Hub does not say who serves {model!r}.")
    served = [
        Served(provider, as_text(entry.get("providerId")) or model, as_text(entry.get("task")))
        for provider, entry in entries
        if is_object(entry) and entry.get("status") != "error"
    ]
    return tuple(served)


def for_prompt(name: ModelName, served: tuple[Served, ...]) -> Served:
    """Who is asked for a raw completion: the pinned provider, or the first that has the route."""
    able = [
        item
        for item in served
        if item.task == "text-generation" and (item.provider in COMPLETION_ROUTES or item.provider == TEXT_GENERATION)
    ]
    if name.provider is None and able:
        return able[0]
    for item in able:
        if item.provider == name.provider:
            return item
    if name.provider is not None and all(item.provider != name.provider for item in served):
        who = ", ".join(item.provider for item in served) or "nobody"
        raise NotFound(f"{name.provider} does not serve {name.id!r}; it is served by: {who}.", provider=name.provider)
    others = ", ".join(f"{name.id}:{item.provider}" for item in able)
    works = f"This works: {others}." if others else "No provider completes raw prompts with it: ask with messages."
    who = f"{name.provider} completes no raw prompts" if name.provider else "No provider completes raw prompts"
    raise Unsupported(f"{who} with {name.id!r}. {works}", param="prompt", provider=name.provider)


def capabilities_of(data: Any, name: ModelName, known: Capabilities) -> Capabilities:
    """`known`, with what the router says: of the pinned provider, else of any (the shortest context of all)."""
    model = as_object(as_object(data).get("data")) or as_object(data)
    if not is_list(model.get("providers")):
        raise MalformedResponse(f"The router does not describe {name.id!r}.")
    providers = [item for item in model["providers"] if is_object(item)]
    live = [item for item in providers if item.get("status") in (None, "live")]
    if name.provider is not None:
        live = [item for item in live if item.get("provider") == name.provider]
    inputs = as_object(model.get("architecture")).get("input_modalities")
    lengths = [length for item in live if (length := as_whole(item.get("context_length"))) is not None]
    return Capabilities(
        chat=known.chat,
        prompt=known.prompt,
        tools=_any(live, "supports_tools"),
        output=_any(live, "supports_structured_output"),
        n=known.n,
        beams=known.beams,
        processors=known.processors,
        images="image" in inputs if is_list(inputs) else None,
        audio="audio" in inputs if is_list(inputs) else None,
        trace=known.trace,
        context_length=min(lengths, default=None),
    )


def _any(providers: list[dict[str, Any]], name: str) -> bool | None:
    said = [item[name] for item in providers if isinstance(item.get(name), bool)]
    return any(said) if said else None
