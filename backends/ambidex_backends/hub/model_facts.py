"""What the router says of a model: who serves it, what each of them can do, holds and costs. No I/O.

`GET {router}/v1/models/{id}`. All of it may be missing: None is unknown, and what is unknown stands in nobody's way.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ambidex.backend import Capabilities
from ambidex.errors import MalformedResponse, Unsupported
from ambidex.messages import Audio, Image
from ambidex.reply import Usage
from ambidex.request import Request
from ambidex_backends.http.json_values import as_number, as_object, as_text, as_whole, is_list, is_object

from .model_name import ModelName

_MILLION = 1_000_000
_ALL = frozenset({"image", "audio"})


@dataclass(frozen=True, slots=True)
class ProviderFacts:
    """One provider of a model; None: the router does not say.

    provider                   its name, as behind the model's: "org/name:provider"
    is_live                    whether it answers at the moment
    context_length             tokens of prompt and answer together
    input_price, output_price  USD per million tokens; 0 where it is free
    tools, output              whether it calls tools; whether it holds an answer to a JSON schema
    """

    provider: str
    is_live: bool = True
    context_length: int | None = None
    input_price: float | None = None
    output_price: float | None = None
    tools: bool | None = None
    output: bool | None = None


_DOES = {"tools": "calls tools", "output": "gives structured output"}
_DOES_NOT = {"tools": "calls no tools", "output": "gives no structured output"}


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """`providers` in the router's order; `inputs` are the modalities that the model reads ("text", "image", ...)."""

    providers: tuple[ProviderFacts, ...]
    inputs: frozenset[str] | None = None

    def capabilities(self, name: ModelName, known: Capabilities) -> Capabilities:
        """`known`, with what the pinned provider can do, else any of them (the shortest context of all)."""
        able = self._asked(name)
        lengths = [item.context_length for item in able if item.context_length is not None]
        return dataclasses.replace(
            known,
            tools=_any([item.tools for item in able]),
            output=_any([item.output for item in able]),
            images=None if self.inputs is None else "image" in self.inputs,
            audio=None if self.inputs is None else "audio" in self.inputs,
            context_length=min(lengths, default=None),
        )

    def check(self, request: Request, name: ModelName) -> None:
        """Raises `Unsupported` for what the pinned provider, or every provider, is known not to do; names who does."""
        for kind in sorted(_media_of(request) - (self.inputs or _ALL)):
            option, what = ("images", "pictures") if kind == "image" else ("audio", "sound")
            raise Unsupported(f"{name.id!r} reads no {what}: choose another model.", param=option)
        needs, asked = _needs_of(request), self._asked(name)
        missing = [[need for need in needs if getattr(item, need) is False] for item in asked]
        if not all(missing) or not missing:
            return  # someone can, or it is not known of someone that he cannot
        lacking = [need for need in needs if all(need in some for some in missing)] or needs
        if name.provider is None:
            says = f"No provider {' and '.join(_DOES[need] for need in lacking)} with {name.id!r}."
        else:
            says = f"{name.provider} {' and '.join(_DOES_NOT[need] for need in lacking)} with {name.id!r}."
        raise Unsupported(f"{says} {self._who_can(needs, name)}", param=lacking[0], provider=name.provider)

    def _who_can(self, needs: Sequence[str], name: ModelName) -> str:
        def those_with(*wanted: str) -> str:
            able = [item for item in self.providers if item.is_live and all(getattr(item, need) for need in wanted)]
            return ", ".join(f"{name.id}:{item.provider}" for item in able)

        if everything := those_with(*needs):
            return f"This works: {everything}."
        parts = [f"{who} {_DOES[need]}" for need in needs if (who := those_with(need))]
        return f"{'; '.join(parts)}." if parts else "Choose another model, or leave it out."

    def cost(self, usage: Usage, answered_by: str | None, name: ModelName) -> float | None:
        """USD by the listed prices, all input at the input price (the most that a prompt in a cache can have cost).

        None where tokens, prices or the one who answered are not known; if all who can have answered ask the same,
        it does not matter who it was.
        """
        who = answered_by or name.provider
        offers = [item for item in self.providers if (item.provider == who if who is not None else item.is_live)]
        prices = {(item.input_price, item.output_price) for item in offers}
        if len(prices) != 1 or usage.input_tokens is None or usage.output_tokens is None:
            return None
        ((input_price, output_price),) = prices
        if input_price is None or output_price is None:
            return None
        return (usage.input_tokens * input_price + usage.output_tokens * output_price) / _MILLION

    def _asked(self, name: ModelName) -> list[ProviderFacts]:
        """Who may be asked: those that answer at the moment; the pinned one only."""
        return [item for item in self.providers if item.is_live and name.provider in (None, item.provider)]


def read_facts(data: Any, model: str) -> ModelFacts:
    """Raises `MalformedResponse` for what does not describe a model."""
    about = as_object(as_object(data).get("data")) or as_object(data)
    if not is_list(about.get("providers")):
        raise MalformedResponse(f"The router does not describe {model!r}.")
    inputs = as_object(about.get("architecture")).get("input_modalities")
    return ModelFacts(
        tuple(_provider(item) for item in about["providers"] if is_object(item) and as_text(item.get("provider"))),
        frozenset(filter(None, map(as_text, inputs))) if is_list(inputs) else None,
    )


def depends_on_facts(request: Request) -> bool:
    """Whether the request uses what not every model or provider has."""
    return bool(_needs_of(request) or _media_of(request))


def _provider(item: dict[str, Any]) -> ProviderFacts:
    pricing = as_object(item.get("pricing"))
    free = 0.0 if item.get("is_free") is True else None
    return ProviderFacts(
        as_text(item["provider"]),
        item.get("status") in (None, "live"),
        as_whole(item.get("context_length")),
        _price(pricing.get("input"), free),
        _price(pricing.get("output"), free),
        _yes_or_no(item.get("supports_tools")),
        _yes_or_no(item.get("supports_structured_output")),
    )


def _price(value: Any, free: float | None) -> float | None:
    number = as_number(value)
    return number if number is not None and number >= 0 else free


def _yes_or_no(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _any(said: Sequence[bool | None]) -> bool | None:
    """Whether one says yes; None if none does and one does not say."""
    return True if True in said else None if None in said else False if said else None


def _needs_of(request: Request) -> list[str]:
    uses = {"tools": bool(request.tools), "output": request.output is not None}
    return [need for need, used in uses.items() if used]


def _media_of(request: Request) -> set[str]:
    parts = [part for message in request.messages for part in message.parts]
    kinds = ["image" for part in parts if isinstance(part, Image)] + [
        "audio" for part in parts if isinstance(part, Audio)
    ]
    return set(kinds)
