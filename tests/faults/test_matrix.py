"""Every fault of the catalogue x sync and async x stream, chat and plain JSON, on real sockets.

No silent wrong result, no exception of another library, nothing past its deadline, tried as often as the catalogue
says, no key in any text, nothing left behind.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.faults.encounter import SIGNS, WAYS, Way, circumstances, hurried, logged, meet, problems, ways_of

from ambidex.testing.faults import FAULTS, Expected, Fault, FaultServer
from ambidex_backends.http import connection, retry

MET_BY_ASKING = [fault for fault in FAULTS.values() if fault.road not in ("many", "client")]
RECOVERABLE = [
    fault
    for fault in MET_BY_ASKING
    if fault.expected.retry in ("once", "again") and fault.door == "plain" and fault.road in ("ask", "upload")
]
AFTER = Expected(text=FAULTS["ok"].expected.text)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits that are ours to choose are short; those that a server asks for are kept."""
    monkeypatch.setattr(retry, "TRANSIENT", retry.Backoff(base=0.02, cap=0.1, fixed=0.0))
    monkeypatch.setattr(retry, "THROTTLED", retry.Backoff(base=0.02, cap=0.1, fixed=0.5))


@pytest.fixture
def trusting(server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> Callable[[Fault], None]:
    """Has the client trust the server's authority, for faults of TLS."""

    def trust(fault: Fault) -> None:
        if fault.door.startswith("tls"):
            pytest.importorskip("trustme")
            context = ssl.create_default_context(cafile=server.certificate_authority)
            monkeypatch.setattr(connection, "_tls", lambda: context)

    return trust


def side_by_side(work: Callable[[Any], list[str]], items: list[Any]) -> None:
    """Does `work` with all of them at a time, and fails with what it finds wrong."""
    with ThreadPoolExecutor(len(items)) as threads:
        found = list(threads.map(work, items))
    assert [f"{item}: {problem}" for item, wrong in zip(items, found, strict=True) for problem in wrong] == []


@pytest.mark.parametrize("fault", MET_BY_ASKING, ids=lambda fault: f"{fault.number}-{fault.name}")
def test_each_fault_ends_as_the_catalogue_says(
    fault: Fault, server: FaultServer, trusting: Callable[[Fault], None]
) -> None:
    """In each way; and in two of them with less time than most faults take."""
    trusting(fault)
    with circumstances(fault, server) as options, logged() as log:

        def look(meeting: tuple[Way, float | None]) -> list[str]:
            way, deadline = meeting
            if deadline is not None:
                return list(hurried(meet(fault, way, server, {**options, "timeout": deadline})))
            expected = fault.plain if way.form == "json" and fault.plain is not None else fault.expected
            return list(problems(meet(fault, way, server, options), expected))

        hurries = [(Way("sync", "stream"), 0.3), (Way("async", "ask"), 0.3)]
        side_by_side(look, [*((way, None) for way in ways_of(fault)), *hurries])
    assert not [sign for sign in SIGNS if sign in log.getvalue()]


@pytest.mark.parametrize("fault", RECOVERABLE, ids=lambda fault: fault.name)
def test_a_fault_that_passes_costs_one_more_request(fault: Fault, server: FaultServer) -> None:
    with circumstances(fault, server) as options:
        side_by_side(lambda way: list(problems(meet(fault, way, server, options, "ok"), AFTER, tries=2)), WAYS)
