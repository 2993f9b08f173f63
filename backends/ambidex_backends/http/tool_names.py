"""Tool names as the wire allows them, and back. OpenAI's dialect takes `^[a-zA-Z0-9_-]{1,64}$` only."""

from __future__ import annotations

import hashlib
import re

_LEGAL = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_ILLEGAL = re.compile(r"[^a-zA-Z0-9_-]")
_DIGEST = 8


def to_wire(name: str) -> str:
    """A legal name as it is; any other with its strange characters replaced and a digest behind, always the same."""
    if _LEGAL.fullmatch(name):
        return name
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:_DIGEST]
    return f"{_ILLEGAL.sub('_', name)[: 63 - _DIGEST]}_{digest}"


class ToolNames:
    """The names of one request's tools; `original` turns what a server answers back into them."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._originals = {to_wire(name): name for name in names}

    def __contains__(self, name: str) -> bool:
        """Whether a name on the wire is that of a tool which was offered."""
        return name in self._originals

    def original(self, name: str) -> str:
        return self._originals.get(name, name)
