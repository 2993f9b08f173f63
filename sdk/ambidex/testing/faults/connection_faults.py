"""Faults before the response: the name, the connection, TLS, proxies, the request on its way. Rows 1 to 17."""

from __future__ import annotations

from ambidex.errors import (
    ConfigError,
    ConnectError,
    DeadlineExceeded,
    ProxyError,
    RequestTooLarge,
    TLSError,
    TransportError,
)

from .chunks import WHOLE, text
from .exchange import Exchange
from .fault import Expected, Fault, Step, enter, fault

OK = text("Hel", "lo, ", "world")
GOOD = Expected(text=WHOLE)

REFUSED = Expected(ConnectError, {"phase": "connect", "sent": False}, retry="again")
NOT_IN_TIME = Expected(DeadlineExceeded, {"kind": "connect"}, retry="again")
UNTRUSTED = Expected(TLSError, {"phase": "tls", "sent": False})
SOON = {"connect_timeout": 0.4}

enter(Fault(0, "ok", "No fault: a good answer, in the form that was asked for.", OK, GOOD, plain=GOOD))

enter(Fault(1, "connection_refused", "Nobody listens on the port.", OK, REFUSED, door="refused"))
enter(Fault(2, "syn_dropped", "The connection is never accepted.", OK, NOT_IN_TIME, door="dropped", limits=SOON))
enter(
    Fault(
        3, "many_at_a_time", "Fifty requests at a time; none may fail for want of a connection.", OK, GOOD, road="many"
    )
)

enter(
    Fault(
        4,
        "unknown_name",
        "The host's name does not exist.",
        OK,
        Expected(ConnectError, {"phase": "dns", "sent": False}),
        road="name",
    )
)
enter(
    Fault(
        5,
        "name_server_down",
        "The look-up of the name fails for the moment.",
        OK,
        Expected(ConnectError, {"phase": "dns", "sent": False}, retry="again"),
        road="name",
    )
)
enter(Fault(5, "slow_name_server", "The look-up of the name does not end.", OK, NOT_IN_TIME, road="name", limits=SOON))
enter(Fault(6, "first_address_dead", "The name has two addresses; nobody listens at the first.", OK, GOOD, road="name"))
enter(
    Fault(
        6,
        "first_address_silent",
        "The name has two addresses; the first drops what comes.",
        OK,
        GOOD,
        road="name",
        limits={"connect_timeout": 2.0},
    )
)

enter(Fault(7, "tls_expired", "The certificate has expired.", OK, UNTRUSTED, door="tls_expired"))
enter(Fault(7, "tls_wrong_host", "The certificate is another host's.", OK, UNTRUSTED, door="tls_wrong_host"))
enter(Fault(7, "tls_self_signed", "The certificate is signed by itself.", OK, UNTRUSTED, door="tls_self_signed"))
enter(
    Fault(
        7,
        "tls_unknown_authority",
        "The certificate is signed by an authority that nobody trusts.",
        OK,
        UNTRUSTED,
        door="tls_unknown_authority",
    )
)
enter(Fault(7, "tls_ok", "No fault: TLS with a certificate of the server's authority.", OK, GOOD, GOOD, door="tls"))
enter(
    Fault(
        8,
        "tls_stall",
        "The connection is accepted, the TLS handshake never answered.",
        OK,
        NOT_IN_TIME,
        door="silent",
        limits=SOON,
    )
)
enter(Fault(9, "no_tls", "The port of an https address speaks plain HTTP.", OK, UNTRUSTED, door="no_tls"))

_PROXY_REFUSES = Expected(ProxyError, {"phase": "proxy"})
enter(Fault(10, "proxy_refuses_connection", "Nobody listens on the proxy's port.", OK, _PROXY_REFUSES, road="proxy"))
enter(Fault(10, "proxy_wants_password", "The proxy answers 407.", OK, _PROXY_REFUSES, road="proxy"))
enter(Fault(10, "proxy_forbids", "The proxy answers 403 to CONNECT.", OK, _PROXY_REFUSES, road="proxy", door="tls"))
enter(
    Fault(
        11,
        "proxy_dies_after_connect",
        "The proxy opens the tunnel and closes it.",
        OK,
        Expected(TransportError, retry="once"),
        road="proxy",
        door="tls",
    )
)
enter(Fault(11, "proxy_works", "No fault: a proxy that passes on.", OK, GOOD, road="proxy"))
enter(Fault(11, "proxy_tunnels", "No fault: a tunnel through a proxy.", OK, GOOD, road="proxy", door="tls"))


@fault(12, Expected(TransportError, retry="once"), early=True, road="upload")
def reset_while_sending(exchange: Exchange) -> None:
    """RST while the client still sends the body of its request."""
    exchange.reset()


@fault(13, Expected(RequestTooLarge, {"status": 413}), early=True, road="upload")
def answer_before_the_body(exchange: Exchange) -> None:
    """413 before the body was read; then the connection is closed."""
    exchange.reply(413, {"error": {"message": "too large"}}, {"connection": "close"})
    exchange.wait(0.1)
    exchange.end_of_sending()


@fault(14, GOOD, road="second")
def stale_connection(exchange: Exchange) -> Step | None:
    """A good answer and an open connection, which is closed when the next request comes on it."""
    if not exchange.place:
        return OK
    exchange.close()
    return None


@fault(14, GOOD, road="second")
def stale_connection_reset(exchange: Exchange) -> Step | None:
    """A good answer and an open connection, which is reset when the next request comes on it."""
    if not exchange.place:
        return OK
    exchange.reset()
    return None


@fault(14, GOOD, road="second")
def idle_connection_closed(exchange: Exchange) -> None:
    """A good answer on a connection that is closed soon after it."""
    exchange.answer(OK)
    exchange.wait(0.05)
    exchange.close()


@fault(15, Expected(DeadlineExceeded, {"kind": "first_byte"}, retry="once"), limits={"first_event_timeout": 0.3})
def no_answer(exchange: Exchange) -> None:
    """The request is read, and nothing comes."""
    exchange.hang()


@fault(15, Expected(TransportError, {"phase": "read", "sent": True}, retry="once"))
def hung_up(exchange: Exchange) -> None:
    """The request is read, and the connection closed without an answer."""
    exchange.close()


@fault(15, Expected(DeadlineExceeded, {"kind": "first_byte"}, retry="once"), limits={"first_event_timeout": 0.3})
def endless_headers(exchange: Exchange) -> None:
    """A header line every now and then, and no end of them."""
    exchange.send(b"HTTP/1.1 200 OK\r\n")
    while not exchange.stop.is_set():
        exchange.send(b"x-wait: yes\r\n")
        exchange.wait(0.03)


enter(Fault(16, "key_with_newline", "A key with a line break inside.", OK, Expected(ConfigError), road="client"))
enter(Fault(16, "key_not_ascii", "A key that is not ASCII.", OK, Expected(ConfigError), road="client"))
enter(
    Fault(
        17, "lone_surrogate", "Half a surrogate pair in a message, which goes out as U+FFFD.", OK, GOOD, road="client"
    )
)
enter(Fault(17, "surrogate_pair", "A character as two surrogates in a message.", OK, GOOD, road="client"))
