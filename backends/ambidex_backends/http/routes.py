"""Where a base URL's routes are, by the rules that OpenAI-compatible clients share."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, urlsplit, urlunsplit

from ambidex.errors import ConfigError

from .secret import origin_of

_CHAT = "/chat/completions"
_COMPLETIONS = "/completions"


@dataclass(frozen=True, slots=True)
class Routes:
    """The addresses of one server. `from_url`:

    .../chat/completions, .../completions   that route is used as it is, the others stand beside it
    .../v1                                  + /chat/completions
    anything else, also nothing             + /v1/chat/completions

    A query is kept on every route; the fragment is no part of an address.
    """

    parts: SplitResult
    base: str

    @classmethod
    def from_url(cls, url: str) -> Routes:
        """Raises `ConfigError` for what is no http(s) address, or holds a user name or password."""
        wrong = ConfigError("The address of a server is http(s)://host[:port]/v1, without spaces; this one is not.")
        try:
            parts = urlsplit(url)
            valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            raise wrong from None
        if not valid or any(not character.isprintable() or character == " " for character in url):
            raise wrong
        if parts.username is not None or parts.password is not None:
            raise ConfigError("An address holds no user name or password: pass the key as api_key=.")
        path = parts.path.rstrip("/")
        for route in (_CHAT, _COMPLETIONS):
            if path.endswith(route):
                return cls(parts, path.removesuffix(route))
        return cls(parts, path if path.endswith("/v1") else f"{path}/v1")

    @property
    def origin(self) -> str:
        return origin_of(self.parts)

    @property
    def host(self) -> str:
        return self.parts.hostname or ""

    @property
    def is_encrypted(self) -> bool:
        return self.parts.scheme == "https"

    @property
    def is_loopback(self) -> bool:
        """Whether it is this machine: `localhost`, or a loopback address."""
        if self.host == "localhost" or self.host.endswith(".localhost"):
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def chat(self) -> str:
        return self.at(self.base + _CHAT)

    @property
    def completions(self) -> str:
        return self.at(self.base + _COMPLETIONS)

    @property
    def models(self) -> str:
        return self.at(f"{self.base}/models")

    def model(self, name: str) -> str:
        return self.at(f"{self.base}/models/{quote(name, safe='/')}")

    def beside_v1(self, path: str) -> str:
        """A route of the same server outside `/v1`."""
        return self.at(self.base.removesuffix("/v1") + path)

    def at(self, path: str) -> str:
        return urlunsplit((self.parts.scheme, self.parts.netloc, path, self.parts.query, ""))

    def __str__(self) -> str:
        return urlunsplit((self.parts.scheme, self.parts.netloc, self.base, "", ""))
