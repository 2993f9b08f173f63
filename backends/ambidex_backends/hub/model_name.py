"""`org/name[:provider|policy]`: what an `hf:` string names."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ambidex.errors import ConfigError

POLICIES = ("fastest", "cheapest", "preferred")
_FORM = re.compile(r"(?P<id>[\w.-]+(?:/[\w.-]+)?)(?::(?P<suffix>[\w.-]+))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class ModelName:
    """The Hub's id, and the provider that is pinned (None: the router chooses, by its policy)."""

    full: str
    id: str
    provider: str | None

    @classmethod
    def parse(cls, text: str) -> ModelName:
        found = _FORM.fullmatch(text) if isinstance(text, str) else None
        if found is None:
            raise ConfigError(
                f"A model of Inference Providers is 'org/name', 'org/name:provider' or one of "
                f"{', '.join(f'org/name:{policy}' for policy in POLICIES)}; got {text!r}.",
                param="model",
            )
        suffix = found["suffix"]
        return cls(text, found["id"], None if suffix in POLICIES else suffix)
