"""`Proxy`: the HTTP proxy that a backend was told to use. None is ever taken from the environment."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from ambidex.errors import ConfigError

from .secret import Secret


@dataclass(frozen=True, slots=True)
class Proxy:
    """Its address, and the user name and password for it, if it asks for them."""

    address: str
    credentials: tuple[Secret, Secret] | None

    @property
    def is_over_tls(self) -> bool:
        return self.address.startswith("https:")

    @classmethod
    def from_url(cls, url: str) -> Proxy:
        """Of "http(s)://[user:password@]host:port". Raises `ConfigError`, which never shows the address."""
        wrong = ConfigError(
            "proxy takes an address http(s)://[user:password@]host:port; this one is not.", param="proxy"
        )
        if not isinstance(url, str):
            raise wrong
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise wrong from None
        valid = parts.scheme in ("http", "https") and parts.hostname and parts.path in ("", "/") and not parts.query
        if not valid or not url.isprintable() or " " in url:
            raise wrong
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        address = f"{parts.scheme}://{host}" + (f":{port}" if port else "")
        if parts.username is None:
            return cls(address, None)
        names = ("The proxy's user name", "The proxy's password")
        user, password = (
            Secret(unquote(part or ""), name)
            for part, name in zip((parts.username, parts.password), names, strict=True)
        )
        return cls(address, (user, password))
