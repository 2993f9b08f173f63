"""A chat server that breaks as it is told to, on real sockets: to see what a program does when the network fails.

    from ambidex.testing.faults import FaultServer, text

    with FaultServer() as server:
        route = server.route("status_500", text("Hel", "lo"))     # the first attempt fails, the second is answered
        assert Chat(route.url).ask("Hi").text == "Hello"
        assert route.posts == 2

`FAULTS` is the catalogue: what each fault does, and what a client should make of it. A fault of your own is a function
of the `Exchange`. `FaultProxy` is a proxy that works or fails, `resolver` decides how names are looked up. Needs no
pytest; faults of TLS need trustme.
"""

from __future__ import annotations

from .catalogue import FAULTS
from .chunks import Chunk, calls, chunk, completion, text, usage
from .exchange import Exchange, Received
from .fault import Behaviour, Early, Expected, Fault, Step
from .names import resolver
from .proxy import FaultProxy
from .server import FaultServer, Route

__all__ = [
    "FAULTS",
    "Behaviour",
    "Chunk",
    "Early",
    "Exchange",
    "Expected",
    "Fault",
    "FaultProxy",
    "FaultServer",
    "Received",
    "Route",
    "Step",
    "calls",
    "chunk",
    "completion",
    "resolver",
    "text",
    "usage",
]
