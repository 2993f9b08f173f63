"""httpcore's, httpx's, the system's and TLS's exceptions as ours. Their texts can hold a header: few are repeated."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator

from ambidex.errors import (
    AmbidexError,
    ConfigError,
    ConnectError,
    ProtocolError,
    ProxyError,
    StreamInterrupted,
    TLSError,
    TransportError,
)

from .call import Call
from .server_errors import clean


def translated(problem: BaseException, call: Call, host: str) -> AmbidexError:
    """The error of ours to raise instead, outside of the `except`, so that nothing of theirs hangs on it."""
    import httpcore
    import httpx

    if isinstance(problem, AmbidexError):
        return problem
    chain = list(_chain(problem))
    sent = call.sent
    if any(isinstance(item, (httpcore.TimeoutException, TimeoutError)) for item in chain) and call.remaining() <= 0.01:
        return call.expired()  # else it is the system that gave up, long before our limits
    if isinstance(problem, httpcore.ProxyError) or (call.proxied and not sent and call.phase in ("dns", "connect")):
        status = str(problem)[:3]  # what follows are the proxy's own words
        said = f" It answered {status}." if status.isdecimal() else ""
        return ProxyError(
            f"The proxy gave no connection to {host}.{said} Check the proxy and its password.",
            phase="proxy",
            sent=False,
        )
    is_tls = any(isinstance(item, ssl.SSLError) for item in chain)
    has_hung_up = not is_tls or any(isinstance(item, ssl.SSLEOFError) for item in chain)
    if call.proxied and call.phase == "tls" and has_hung_up:
        return TransportError(f"The proxy ended the connection to {host}. Try again.", phase="read", sent=False)
    if call.phase == "tls" or (not sent and is_tls):
        why = next((_tls_words(item) for item in chain if isinstance(item, ssl.SSLError)), "the handshake broke off")
        return TLSError(
            f"No trusted TLS connection to {host}: {why}. Check the address and the server's certificate.",
            phase="tls",
            sent=False,
        )
    if (unknown := next((item for item in chain if isinstance(item, socket.gaierror)), None)) is not None:
        passes = unknown.errno in (socket.EAI_AGAIN, socket.EAI_FAIL, socket.EAI_SYSTEM, socket.EAI_MEMORY)
        return ConnectError(
            f"The name {host} cannot be looked up. Check the address and the network.",
            phase="dns",
            sent=False,
            code="lookup_failed" if passes else "unknown_name",
        )
    if isinstance(problem, (httpcore.ConnectError, httpcore.ConnectTimeout, OSError)) and not sent:
        number = next((item.errno for item in chain if isinstance(item, OSError) and item.errno), None)
        why = os.strerror(number).lower() if number is not None else "no answer"
        return ConnectError(
            f"No connection to {host}: {why}. Check that the server runs and the address is right.",
            phase="connect",
            sent=False,
        )
    if isinstance(problem, (httpcore.NetworkError, httpcore.TimeoutException, httpcore.RemoteProtocolError, OSError)):
        words = str(problem)
        if isinstance(problem, httpcore.RemoteProtocolError) and "disconnected" not in words and "closed" not in words:
            return ProtocolError(f"{host} does not speak HTTP as it should: {clean(words)[:200]}.")
        kind = StreamInterrupted if call.streams else TransportError
        return kind(
            f"The connection to {host} broke while {_DOING.get(call.phase, 'in use')}. Try again.",
            phase=call.phase,
            sent=sent,
        )
    if isinstance(problem, (httpcore.LocalProtocolError, httpx.InvalidURL, UnicodeError)):
        return ConfigError(f"The request to {host} cannot be put into HTTP: a header or the address is not valid.")
    return TransportError(f"The request to {host} failed: {type(problem).__name__}.", phase=call.phase, sent=sent)


_DOING = {"write": "the request was sent", "read": "the answer was read"}


def _chain(problem: BaseException | None) -> Iterator[BaseException]:
    while problem is not None:
        yield problem
        problem = problem.__cause__ or problem.__context__


def _tls_words(problem: ssl.SSLError) -> str:
    if isinstance(problem, ssl.SSLCertVerificationError):
        return clean(problem.verify_message)
    return clean(problem.reason or "the handshake failed").lower().replace("_", " ")
