"""Keys that cannot be printed, and the origin that each may be sent to."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NoReturn
from urllib.parse import SplitResult

from ambidex.errors import ConfigError

_HEADER_VALUE = re.compile(r"[\x21-\x7e]+(?: [\x21-\x7e]+)*")


class Secret:
    """A header's value that no repr, pickle, copy or comparison shows; `reveal()` is called at the last layer only."""

    __slots__ = ("_reveal",)

    def __init__(self, value: str, what: str) -> None:
        """`what` names it in the `ConfigError` for a value that cannot be sent; the value itself is never shown."""
        if not isinstance(value, str):
            raise ConfigError(f"{what} takes a str, got {type(value).__name__}.")
        value = value.strip()
        if not _HEADER_VALUE.fullmatch(value):
            problem = "is empty" if not value else "holds a line break, a control or a non-ASCII character"
            raise ConfigError(f"{what} {problem}: give the key as it was issued.")
        self._reveal: Callable[[], str] = lambda: value

    def reveal(self) -> str:
        return self._reveal()

    def __repr__(self) -> str:
        return "Secret(***)"

    def __reduce__(self) -> NoReturn:
        raise ConfigError("A key is neither pickled nor copied; make the backend anew where it is needed.")


@dataclass(frozen=True, slots=True)
class Credentials:
    """Headers that go to one origin and nowhere else."""

    origin: str
    headers: Mapping[str, Secret] = field(default_factory=dict[str, Secret])

    @classmethod
    def bearer(cls, origin: str, key: Secret) -> Credentials:
        return cls(origin, {"authorization": key})

    def for_origin(self, origin: str) -> dict[str, str]:
        """The headers as they are sent, if they may go there."""
        if origin != self.origin:
            return {}
        return {
            name: f"Bearer {secret.reveal()}" if name == "authorization" else secret.reveal()
            for name, secret in self.headers.items()
        }

    def hidden_in(self, body: bytes) -> bytes:
        """What a server says, without the keys that it may repeat."""
        for secret in self.headers.values():
            body = body.replace(secret.reveal().encode(), b"***")
        return body


_OURS = frozenset(
    "accept accept-encoding authorization connection content-encoding content-length content-type expect host "
    "keep-alive proxy-authorization proxy-connection te trailer transfer-encoding upgrade".split()
)
"""What says how a request is framed and answered: a body that another header frames never arrives."""
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def checked_headers(headers: Mapping[str, str], key_option: str) -> dict[str, Secret]:
    """`headers=` of a backend, in lower case. Raises `ConfigError` for what is no header, or is not the caller's."""
    if not isinstance(headers, Mapping):
        raise ConfigError(f"headers takes a mapping, got {type(headers).__name__}.", param="headers")
    secrets: dict[str, Secret] = {}
    for name, value in headers.items():
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
            raise ConfigError("A header's name in headers= is not valid.", param="headers")
        if name.lower() in _OURS:
            hint = f" Pass the key as {key_option}=." if name.lower() == "authorization" else ""
            raise ConfigError(f"headers= may not set {name!r}.{hint}", param="headers")
        secrets[name.lower()] = Secret(value, f"The header {name!r}")
    return secrets


DEFAULT_PORTS = {"http": 80, "https": 443}


def origin_of(url: SplitResult) -> str:
    """Scheme, host and port, as credentials are bound to them: `https://host:443`."""
    return f"{url.scheme}://{url.hostname}:{url.port or DEFAULT_PORTS.get(url.scheme)}"
