"""Hours of requests to a server of which some fail, in every way of the fault catalogue or cut at a random byte.

    .venv/bin/python tests/bench/soak.py [--minutes 60] [--faults 0.05] [--rate 100] [--cancels 0.02]

Threads and tasks ask two backends; what they are answered is known beforehand, so an answer that is wrong and does not
say so is counted. Once a minute everything pauses for a moment and is measured. The end is a slope per figure
(Theil-Sen: the median of the slopes between all pairs) and PASS or FAIL, which is also the exit status. Linux only.

What glibc keeps of freed memory, in an arena and a cache per thread, grows by chance: with each large answer that is
cut off at its limit, and with each small piece in a cache that keeps the heap from shrinking. So the client runs with
one arena and no caches, and large pieces go back to the system (`GIVES_BACK`; `--default-malloc` runs it as any
program). What is left is what the program holds.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import json
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.process_state import AVAILABLE, descriptors, memory

from ambidex import AmbidexError, Request, User
from ambidex.reply import Reply
from ambidex.testing.faults import FAULTS, Chunk, Early, Exchange, FaultServer, Step, calls, text
from ambidex_backends.endpoint import EndpointBackend
from ambidex_backends.hub import HubBackend

THREADS, TASKS = 8, 16
SECONDS_PER_REQUEST = 10.0
LATE = 0.25
"""Seconds after its time limit at which a request counts as late."""

HIGHEST_SLOPES = {"RSS MiB": 1.0, "descriptors": 1.0, "threads": 0.2, "tasks": 0.2}
"""Per hour, after the warm-up: a fifth of the time."""

GIVES_BACK = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "65536",
    "MALLOC_TRIM_THRESHOLD_": "131072",
    "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0",
}
"""glibc's settings, read when a program starts."""

SHORTEST_JUDGED = 20.0
"""Minutes; in less, memory has not settled."""


# The server's side.


def answer(number: int) -> list[Chunk]:
    """The whole answer to request `number`; some are calls, some of one piece, some of many."""
    if number % 7 == 3:
        return calls(("f", {"number": number, "text": "é\n" * (number % 31)}), step=1 + number % 9)
    return text(*(f"{number}.{piece} " for piece in range(1 + number % 23)))


def expected(number: int) -> tuple[str, tuple[str, ...]]:
    """What `answer` says, as text and calls."""
    if number % 7 == 3:
        arguments = {"number": number, "text": "é\n" * (number % 31)}
        return "", (f"f {json.dumps(arguments, ensure_ascii=False)}",)
    return "".join(f"{number}.{piece} " for piece in range(1 + number % 23)), ()


FAULTY = [
    name
    for name, fault in FAULTS.items()
    if fault.door == "plain" and fault.road == "ask" and not isinstance(fault.behaviour, Early)
]
GOOD_ANYWAY = {(good.text, good.calls) for name in FAULTY if (good := FAULTS[name].expected).error is None}
"""What faults say that a client should not even notice."""


def cut_at_random(exchange: Exchange, chunks: list[Chunk], draw: random.Random) -> None:
    """The answer, up to any of its bytes."""
    events = [b"data: " + json.dumps(item).encode() + b"\n\n" for item in chunks]
    wire = b"".join(b"%x\r\n%s\r\n" % (len(event), event) for event in events)
    exchange.begin()
    exchange.send(wire[: draw.randrange(len(wire))])
    if draw.random() < 0.5:
        exchange.close()
    else:
        exchange.wait(0.02)
        exchange.reset()


def serve(faults: float, seed: int) -> None:
    """Prints its address; ends with its standard input."""
    draw = random.Random(seed)

    def step(exchange: Exchange) -> Step | None:
        if len(server.requests) > 1000:
            server.requests.clear()
        number = int(exchange.json["messages"][-1]["content"])
        chance = draw.random()
        if chance < faults / 2:
            return draw.choice(FAULTY)
        if chance < faults:
            cut_at_random(exchange, answer(number), draw)
            return None
        exchange.stream(answer(number))
        return None

    with FaultServer() as server:
        print(server.route(step).base_url, flush=True)
        sys.stdin.read()


# The client's side.


class Asking:
    """What the threads and tasks share: the pace, the pauses, and what became of the requests."""

    def __init__(self, base_url: str, rate: float, cancels: float) -> None:
        limits: dict[str, Any] = {"first_event_timeout": 1.0, "idle_timeout": 1.0, "timeout": SECONDS_PER_REQUEST}
        self.backends = (
            EndpointBackend(f"{base_url}#m", api_key="soak-key", **limits),
            HubBackend("org/m", base_url=base_url, token="hf_soak", **limits),
        )
        self.outcomes: Counter[str] = Counter()
        self.late = 0
        self.wrong: list[str] = []
        self.foreign: list[str] = []
        self.active = 0
        self.over = False
        self.may_go = threading.Event()
        self._cancels = cancels
        self._interval = 1.0 / rate
        self._next = time.monotonic()
        self._numbers = itertools.count()
        self._lock = threading.Lock()

    def next_number(self) -> tuple[int, float] | None:
        """The next request, and the seconds until it may begin. None during a pause."""
        with self._lock:
            if not self.may_go.is_set():
                return None
            now = time.monotonic()
            self._next = max(self._next + self._interval, now - 1.0)
            self.active += 1
            return next(self._numbers), max(0.0, self._next - now)

    def backend(self, number: int) -> EndpointBackend | HubBackend:
        return self.backends[number % 2]

    def cancels(self, number: int) -> bool:
        return random.Random(number).random() < self._cancels

    def done(self, number: int, reply: Reply[Any] | None, error: BaseException | None, seconds: float) -> None:
        """Notes how request `number` ended."""
        with self._lock:
            self.active -= 1
            self.late += seconds > SECONDS_PER_REQUEST + LATE
            if isinstance(error, AmbidexError):
                self.outcomes[type(error).__name__] += 1
            elif error is not None:
                self.foreign.append(f"{type(error).__name__}: {error}")
            elif reply is not None and reply.finish_reason != "cancelled":
                found = (
                    reply.text,
                    tuple(
                        f"{call.name} {json.dumps(dict(call.arguments), ensure_ascii=False)}"
                        for call in reply.tool_calls
                    ),
                )
                right = found == expected(number)
                if not right and found not in GOOD_ANYWAY:  # such a fault has words of its own
                    self.wrong.append(f"request {number}: {found[0][:60]!r} {found[1]}")
                self.outcomes["right" if right else "right, another"] += 1
            else:
                self.outcomes["cancelled"] += 1

    def thread(self) -> None:
        while not self.over:
            turn = self.next_number()
            if turn is None:
                self.may_go.wait(1.0)
                continue
            number, wait = turn
            time.sleep(wait)
            began, reply, failure = time.monotonic(), None, None
            try:
                with self.backend(number).stream(Request([User(str(number))])) as stream:
                    for position, _ in enumerate(stream):
                        if position == number % 5 and self.cancels(number):
                            stream.cancel()
                    reply = stream.reply
            except BaseException as error:
                failure = error
            self.done(number, reply, failure, time.monotonic() - began)

    async def task(self) -> None:
        while not self.over:
            turn = self.next_number()
            if turn is None:
                await asyncio.sleep(0.05)
                continue
            number, wait = turn
            await asyncio.sleep(wait)
            began, reply, failure = time.monotonic(), None, None
            try:
                async with self.backend(number).astream(Request([User(str(number))])) as stream:
                    if self.cancels(number):
                        asyncio.get_running_loop().call_later(number % 5 / 1000, stream.cancel)
                    async for _ in stream:
                        pass
                    reply = stream.reply
            except BaseException as error:
                failure = error
            self.done(number, reply, failure, time.monotonic() - began)


@dataclass
class Sample:
    hours: float
    figures: dict[str, float]


def paused(asking: Asking, loop: asyncio.AbstractEventLoop, began: float) -> Sample:
    """Everything that is under way ends, and half a second later what is there still is counted."""
    asking.may_go.clear()
    end = time.monotonic() + 3 * SECONDS_PER_REQUEST
    while asking.active and time.monotonic() < end:
        time.sleep(0.01)
    time.sleep(0.5)
    gc.collect()
    figures = {
        "RSS MiB": memory() / 2**20,
        "descriptors": descriptors(),
        "threads": threading.active_count(),
        "tasks": len(asyncio.all_tasks(loop)),
        "active": asking.active,
    }
    asking.may_go.set()
    return Sample((time.monotonic() - began) / 3600, figures)


def slope(samples: list[Sample], name: str) -> float:
    """Per hour, by Theil and Sen; none where a busy machine came to a single measurement."""
    pairs = itertools.combinations(samples, 2)
    slopes = [(b.figures[name] - a.figures[name]) / (b.hours - a.hours) for a, b in pairs]
    return statistics.median(slopes) if slopes else 0.0


def soak(base_url: str, minutes: float, rate: float, cancels: float) -> bool:
    """Whether it passed."""
    asking = Asking(base_url, rate, cancels)
    loop = asyncio.new_event_loop()

    async def tasks() -> None:
        await asyncio.gather(*(asking.task() for _ in range(TASKS)))
        for backend in asking.backends:
            await backend.aclose()

    threads = [threading.Thread(target=asking.thread) for _ in range(THREADS)]
    threads.append(threading.Thread(target=lambda: loop.run_until_complete(tasks())))
    asking.may_go.set()
    for thread in threads:
        thread.start()
    began = time.monotonic()
    interval = 60.0 if minutes >= 10 else minutes * 60 / 10
    samples: list[Sample] = []
    while time.monotonic() - began < minutes * 60:
        time.sleep(interval)
        sample = paused(asking, loop, began)
        samples.append(sample)
        figures = "  ".join(f"{name} {value:g}" for name, value in sample.figures.items() if name != "RSS MiB")
        total = sum(asking.outcomes.values())
        print(f"{sample.hours * 60:6.1f} min  {total} requests  RSS {sample.figures['RSS MiB']:.1f} MiB  {figures}")
        print(f"            {dict(asking.outcomes.most_common())}", flush=True)
    asking.over = True
    for thread in threads:
        thread.join(60)
    return verdict(asking, samples, minutes)


def verdict(asking: Asking, samples: list[Sample], minutes: float) -> bool:
    passed = True

    def say(line: str, right: bool) -> None:
        nonlocal passed
        passed = passed and right
        print(f"  {'ok  ' if right else 'FAIL'}  {line}")

    total = sum(asking.outcomes.values())
    print(f"{total} requests in {minutes:g} min; {asking.late} of them later than their limit + {LATE} s")
    say(f"silently wrong: {len(asking.wrong)} {asking.wrong[:3]}", not asking.wrong)
    say(f"exceptions that are not ours: {len(asking.foreign)} {asking.foreign[:3]}", not asking.foreign)
    stuck = max(sample.figures["active"] for sample in samples)
    say(f"requests that did not end: {stuck:g}", not stuck)
    settled = samples[len(samples) // 5 :]
    for name, highest in HIGHEST_SLOPES.items():
        found = slope(settled, name)
        judged = name != "RSS MiB" or minutes >= SHORTEST_JUDGED
        note = f"at most {highest:g}" if judged else f"not judged in less than {SHORTEST_JUDGED:g} minutes"
        first, last = settled[0].figures[name], settled[-1].figures[name]
        # Whole things that come and go (idle connections) make a slope in a short time: then a hundredth more is flat.
        flat = found <= highest or last <= first * 1.01
        say(f"{name}: {found:+.3f} per hour ({note}), from {first:.1f} to {last:.1f}", flat or not judged)
    print("PASS" if passed else "FAIL")
    return passed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--faults", type=float, default=0.05, help="share of the requests that meet one")
    parser.add_argument("--cancels", type=float, default=0.02, help="share of the requests that are cancelled")
    parser.add_argument("--rate", type=float, default=100.0, help="requests per second")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--default-malloc", action="store_true", help="keep the system's way of keeping freed memory")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.faults, options.seed)
        return 0
    if not AVAILABLE:
        print("This needs /proc, to count descriptors and memory.")
        return 0
    if not options.default_malloc and not GIVES_BACK.items() <= os.environ.items():
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **GIVES_BACK})
    command = [sys.executable, __file__, "--serve", "--faults", str(options.faults), "--seed", str(options.seed)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            passed = soak(server.stdout.readline().strip(), options.minutes, options.rate, options.cancels)
        finally:
            server.stdin.close()
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
