"""Every fault of the catalogue on real sockets: what Ambidex makes of it, and what other clients make of it.

    .venv/bin/python tests/bench/faults.py [--only cut_clean stall ...] [--peers openai smolagents ...] [--real-waits]

Ambidex meets each in up to six ways: sync and async, reading a stream's events, asking a chat, and for one JSON object.
A dot means: exactly as the catalogue says (`ambidex.testing.faults.FAULTS`): the error's type and fields, the text and
the calls so far, how often it was tried, no key in any text. Of the others a dot only means: a right answer, or an
error of their own. They are asked for a stream and, where the fault says something about it, for one object; faults of
TLS, names, proxies and callers are left out there.

    s  silently wrong: a wrong or incomplete answer, and no error        f  a foreign exception: another library's
    l  late: more than 250 ms after the time limit that was given        h  hung, and was ended from outside
    x  not as the catalogue says in another way (Ambidex only)           -  not asked

A peer that is not installed is left out, with the reason. The exit status is 1 where Ambidex has anything but dots.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import ssl
import sys
import time
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.faults.encounter import Met, circumstances, meet, problems, ways_of
from tests.faults.peers import PEERS, Told, Worker, judged, missing

from ambidex.testing.faults import FAULTS, Fault, FaultServer
from ambidex_backends.http import connection, retry

LATE = 0.25
PEER_SECONDS, PEER_PATIENCE = 1.5, 8.0
"""The time limit that peers are given, and after how long they are ended."""

MET_BY_ASKING = [fault for fault in FAULTS.values() if fault.road not in ("many", "client")]
PEERS_MEET = [fault for fault in MET_BY_ASKING if fault.door in ("plain", "refused") and fault.road == "ask"]


@contextmanager
def short_waits(real: bool) -> Generator[None]:
    """Waits between tries that are ours to choose take hundredths of a second; those a server asks for are kept."""
    kept = retry.TRANSIENT, retry.THROTTLED
    if not real:
        retry.TRANSIENT = retry.Backoff(base=0.02, cap=0.1, fixed=0.0)
        retry.THROTTLED = retry.Backoff(base=0.02, cap=0.1, fixed=0.5)
    try:
        yield
    finally:
        retry.TRANSIENT, retry.THROTTLED = kept


@contextmanager
def trusting(server: FaultServer, fault: Fault) -> Generator[None]:
    """For faults of TLS, the client trusts the server's authority."""
    kept = connection._tls
    if fault.door.startswith("tls"):
        context = ssl.create_default_context(cafile=server.certificate_authority)
        connection._tls = lambda: context  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    try:
        yield
    finally:
        connection._tls = kept


def letter(found: Sequence[str]) -> str:
    for begin, sign in (("silent", "s"), ("foreign", "f"), ("took", "l")):
        if any(problem.startswith(begin) for problem in found):
            return sign
    return "x" if found else "."


def ours(fault: Fault, server: FaultServer) -> Iterator[tuple[Met, list[str]]]:
    """In each way: what came of it, and what of that is not as it should be."""
    with circumstances(fault, server) as options, trusting(server, fault):
        for way in ways_of(fault):
            expected = fault.plain if way.form == "json" and fault.plain is not None else fault.expected
            met = meet(fault, way, server, options)
            yield met, list(problems(met, expected, slack=LATE))


def theirs(worker: Worker, faults: Iterable[Fault], server: FaultServer) -> dict[tuple[str, bool], str]:
    """By the fault's name and whether a stream was asked for, the letter."""
    found: dict[tuple[str, bool], str] = {}
    for fault in faults:
        for streams, expected in ((True, fault.expected), (False, fault.plain)):
            if expected is not None:
                told: Told = worker.ask(server.route(fault.name).base_url, streams, PEER_SECONDS, PEER_PATIENCE)
                found[fault.name, streams] = judged(told, expected, PEER_SECONDS, LATE)
    worker.close()
    return found


def version(name: str) -> str:
    return f"{name} {importlib.metadata.version({'pydantic_ai': 'pydantic-ai-slim'}.get(name, name))}"


def total(name: str, letters: str, more: str = "") -> str:
    counts = Counter(letters.replace("-", ""))
    wrong = f"{counts['s']:3} silent  {counts['f']:3} foreign  {counts['l']:3} late  {counts['h']:3} hung"
    return f"  {name:<16} {counts.total():4} runs  {wrong}{more}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", nargs="+", metavar="FAULT", help="faults by their names; all without it")
    parser.add_argument("--peers", nargs="*", choices=tuple(PEERS), default=tuple(PEERS), metavar="PEER")
    parser.add_argument("--real-waits", action="store_true", help="wait between tries as long as a program would")
    options = parser.parse_args()
    if unknown := set(options.only or ()) - set(FAULTS):
        parser.error(f"there is no fault {', '.join(sorted(unknown))}")
    chosen = [fault for fault in MET_BY_ASKING if options.only is None or fault.name in options.only]
    peers: list[str] = []
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    for name in options.peers:
        if (reason := missing(name)) is None:
            peers.append(name)
        else:
            print(f"without {name}: {reason}")
    print("beside ambidex: " + (", ".join(map(version, peers)) or "nobody"))
    began, wrong, late = time.monotonic(), list[str](), 0.0
    rows: dict[str, str] = {}
    with FaultServer() as server, short_waits(options.real_waits):
        for fault in chosen:
            letters = ""
            for met, found in ours(fault, server):
                letters += letter(found)
                late = max(late, met.seconds - met.deadline)
                wrong += [f"{fault.name} {met.way.world} {met.way.form}: {problem}" for problem in found]
            rows[fault.name] = letters
    ours_took = time.monotonic() - began
    beside: dict[str, dict[tuple[str, bool], str]] = {}
    if peers:
        met_by_peers = [fault for fault in chosen if fault in PEERS_MEET]
        with FaultServer() as server, ThreadPoolExecutor(len(peers)) as threads:
            good = server.route("ok").base_url
            several = [threads.submit(theirs, Worker(name, good), met_by_peers, server) for name in peers]
            beside = {name: one.result() for name, one in zip(peers, several, strict=True)}
    print(f"\n{'row':>3}  {'fault':<28} {'ambidex':<8}" + "".join(f"{name:<17}" for name in peers))
    for fault in chosen:
        cells = ["".join(beside[name].get((fault.name, way), "-") for way in (True, False)) for name in peers]
        print(f"{fault.number:>3}  {fault.name:<28} {rows[fault.name]:<8}" + "".join(f"{cell:<17}" for cell in cells))
    print(f"\nsync and async x stream, chat and JSON object; {ours_took:.0f} s")
    amiss = sum(letters.count("x") for letters in rows.values())
    print(total("ambidex", "".join(rows.values()), f"  {amiss:3} otherwise not as the catalogue says"))
    for name in peers:
        print(total(name, "".join(beside[name].values())))
    for line in wrong:
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
