"""Who serves a model, under which name, for which task. No I/O.

`GET {hub}/api/models/{id}?expand[]=inferenceProviderMapping`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ambidex.errors import MalformedResponse, NotFound, Unsupported
from ambidex_backends.http.json_values import as_object, as_text, is_list, is_object
from ambidex_backends.http.provider_routes import PROVIDERS

from .model_name import ModelName

TEXT_GENERATION = "hf-inference"
"""It completes raw prompts on a route of its own kind."""


def completion_route(provider: str) -> str | None:
    """Where a provider completes raw prompts in OpenAI's form, if it does."""
    routes = PROVIDERS.get(provider)
    return None if routes is None else routes.completions


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
        if item.task == "text-generation" and (completion_route(item.provider) or item.provider == TEXT_GENERATION)
    ]
    if name.provider is None and able:
        return able[0]
    for item in able:
        if item.provider == name.provider:
            return item
    if name.provider is not None and all(item.provider != name.provider for item in served):
        raise _does_not_serve(name, served)
    others = ", ".join(f"{name.id}:{item.provider}" for item in able)
    works = f"This works: {others}." if others else "No provider completes raw prompts with it: ask with messages."
    who = f"{name.provider} completes no raw prompts" if name.provider else "No provider completes raw prompts"
    raise Unsupported(f"{who} with {name.id!r}. {works}", param="prompt", provider=name.provider)


def for_chat(name: ModelName, served: tuple[Served, ...]) -> Served:
    """The pinned provider, as it is asked on its own route."""
    for item in served:
        if item.provider == name.provider and item.task == "conversational" and item.provider in PROVIDERS:
            return item
    if any(item.provider == name.provider for item in served):
        raise Unsupported(
            f"{name.provider} has no route of its own for chats with {name.id!r}: leave direct= out.",
            param="direct",
            provider=name.provider,
        )
    raise _does_not_serve(name, served)


def _does_not_serve(name: ModelName, served: tuple[Served, ...]) -> NotFound:
    who = ", ".join(item.provider for item in served) or "nobody"
    return NotFound(f"{name.provider} does not serve {name.id!r}; it is served by: {who}.", provider=name.provider)
