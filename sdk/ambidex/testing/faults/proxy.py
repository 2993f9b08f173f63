"""`FaultProxy`: an HTTP proxy on loopback that works, or fails as it is told to."""

from __future__ import annotations

import base64
import functools
import socket
from contextlib import suppress
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from ambidex.errors import ConfigError

from .exchange import Exchange
from .server import FaultServer

ProxyKind: TypeAlias = Literal["works", "refuses_connection", "wants_password", "forbids", "dies_after_connect"]


class FaultProxy(FaultServer):
    """A proxy for `http` (it passes requests on) and `https` (it opens tunnels), which connects to loopback only.

        with FaultProxy("dies_after_connect") as proxy:
            connect("https://127.0.0.1:8000/v1#m", proxy=proxy.url)

    kind      "works"; nobody listens; 407 to everything; 403 to everything; a tunnel is opened and closed
    password  "user:password" that one which works asks for; None: it asks for none

    `requests` holds what the proxy was asked; of what goes through a tunnel it sees nothing.
    """

    def __init__(self, kind: ProxyKind = "works", *, password: str | None = None) -> None:
        if kind not in _KINDS:
            raise ConfigError(f"There is no proxy of kind {kind!r}: {', '.join(_KINDS)}.")
        super().__init__(functools.partial(_KINDS[kind], password))
        self._kind = kind

    @property
    def url(self) -> str:
        """ "http://127.0.0.1:<port>"."""
        return self.address("refused" if self._kind == "refuses_connection" else "plain")


def _works(password: str | None, exchange: Exchange) -> None:
    if password is not None:
        expected = f"Basic {base64.b64encode(password.encode()).decode()}"
        if exchange.headers.get("proxy-authorization") != expected:
            _wants_password(password, exchange)
            return
    if exchange.method == "CONNECT":
        host, _, port = exchange.path.rpartition(":")
        with _connected(host.strip("[]"), int(port)) as server:
            exchange.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
            exchange.join(server)
        return
    parts = urlsplit(exchange.path)
    headers = {name: value for name, value in exchange.headers.items() if not name.startswith("proxy-")}
    lines = [f"{name}: {value}" for name, value in {**headers, "connection": "close"}.items()]
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    with _connected(parts.hostname or "", parts.port or 80) as server:
        head = "\r\n".join([f"{exchange.method} {target} HTTP/1.1", *lines, "", ""])
        server.sendall(head.encode("latin-1") + exchange.body)
        with suppress(OSError):
            while data := server.recv(65536):
                exchange.send(data)
    exchange.close()


def _wants_password(password: str | None, exchange: Exchange) -> None:
    exchange.reply(407, "password, please", {"proxy-authenticate": "Basic", "connection": "close"})


def _forbids(password: str | None, exchange: Exchange) -> None:
    exchange.reply(403, "not from here", {"connection": "close"})


def _dies_after_connect(password: str | None, exchange: Exchange) -> None:
    if exchange.method == "CONNECT":
        exchange.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
    exchange.close()


_KINDS = {
    "works": _works,
    "refuses_connection": _works,
    "wants_password": _wants_password,
    "forbids": _forbids,
    "dies_after_connect": _dies_after_connect,
}


def _connected(host: str, port: int) -> socket.socket:
    if host not in ("127.0.0.1", "::1", "localhost"):
        raise OSError(f"this proxy connects to loopback only, not to {host}")
    return socket.create_connection((host, port), 10)
