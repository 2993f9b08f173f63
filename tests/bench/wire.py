"""What a request and a streamed chunk cost in CPU time, beside bare httpx, openai-python and huggingface_hub.

    .venv/bin/python tests/bench/wire.py [--pairs 2000] [--streams 20] [--chunks 1000]

The server is another process on loopback and answers everybody with the same words; only this process's CPU time
counts, so that neither waiting nor the server does. Ours and one peer's calls alternate; every pair gives a ratio,
and the median of the ratios is printed. A peer that is not installed is left out, with a line that says so.

A plain request is 1 kB of conversation and 1 kB of answer on a connection that is kept. Ours always asks for a
stream, so that it gets its answer as four events; the peers ask for one JSON body and get that, `httpx, SSE` for the
same four events. A streamed chunk is one token in its event: `apart`, each is sent by itself and read by itself,
as from a model that decodes; `at once`, the stream is sent as fast as it is read, as from a proxy's buffer.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import importlib.metadata
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

QUESTION = "Which of these words rhyme, and why? " + "bright night kite might sight " * 29
ANSWER = "They end in the same stressed vowel and the same consonants. " * 11
KEY = "key-of-the-benchmark"
APART_SECONDS = 0.0002
"""Between two chunks that are to arrive apart: longer than reading one takes."""


# -- the server, a process of its own


def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
    return {
        "id": "chatcmpl-123456789",
        "object": "chat.completion.chunk",
        "created": 1750000000,
        "model": "bench",
        "choices": choices,
    }


def event(data: Any) -> bytes:
    text = data if isinstance(data, str) else json.dumps(data)
    body = f"data: {text}\n\n".encode()
    return b"%x\r\n%s\r\n" % (len(body), body)


USAGE = {"prompt_tokens": 200, "completion_tokens": 150, "total_tokens": 350}


def streamed(pieces: Iterable[str]) -> list[bytes]:
    """An answer as HTTP chunks, one event in each: text, the finish reason, the usage, the end."""
    counts = {**chunk({}), "choices": [], "usage": USAGE}
    chunks = [chunk({"role": "assistant", "content": ""} | {"content": piece}) for piece in pieces]
    return [*map(event, [*chunks, chunk({}, "stop"), counts, "[DONE]"]), b"0\r\n\r\n"]


def whole(text: str) -> bytes:
    message = {"role": "assistant", "content": text}
    answer = {
        "id": "chatcmpl-123456789",
        "object": "chat.completion",
        "created": 1750000000,
        "model": "bench",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": USAGE,
    }
    return json.dumps(answer).encode()


def answer(connection: socket.socket, chunks: int) -> None:
    plain = whole(ANSWER)
    as_json = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(plain) + plain
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    short = head + b"".join(streamed([ANSWER]))
    tokens = streamed(f" token{number % 100}" for number in range(chunks))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with suppress(OSError), connection, connection.makefile("rb") as reader:
        while reader.readline():
            length = 0
            while line := reader.readline().strip().lower():
                if line.startswith(b"content-length:"):
                    length = int(line.partition(b":")[2])
            body = json.loads(reader.read(length))
            if body["model"] == "short":
                connection.sendall(short if body.get("stream") else as_json)
            elif body["model"] == "long":
                connection.sendall(head + b"".join(tokens))
            else:
                connection.sendall(head)
                for piece in tokens:
                    time.sleep(APART_SECONDS)
                    connection.sendall(piece)


def run_server(chunks: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=answer, args=(connection, chunks), daemon=True).start()


@contextmanager
def server(chunks: int) -> Generator[str]:
    """Its base URL."""
    command = [sys.executable, str(Path(__file__).resolve()), "--serve", "--chunks", str(chunks)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        finally:
            process.terminate()


# -- the clients: each asks, and gives the text of the answer; streams also how many pieces it came in

MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": QUESTION}]


class Client(NamedTuple):
    name: str
    ask: Callable[[str], str]
    stream: Callable[[str], tuple[int, int]]
    """Pieces and characters."""


def ambidex_client(url: str, opened: ExitStack) -> Client:
    from ambidex import Request, System, TextDelta, User, collect
    from ambidex_backends.endpoint import EndpointBackend

    backends = {
        model: EndpointBackend(f"{url}#{model}", api_key=KEY, dialect="openai") for model in ("short", "long", "apart")
    }
    for backend in backends.values():
        opened.callback(backend.close)

    def ask(model: str) -> str:
        return collect(backends[model].stream(Request([System("Be brief."), User(QUESTION)]))).text

    def stream(model: str) -> tuple[int, int]:
        pieces = size = 0
        for event in backends[model].stream(Request([System("Be brief."), User(QUESTION)])):
            if isinstance(event, TextDelta):
                pieces += 1
                size += len(event.text)
        return pieces, size

    return Client("ambidex", ask, stream)


def httpx_client(url: str, opened: ExitStack) -> Client:
    import httpx

    client = opened.enter_context(httpx.Client(headers={"authorization": f"Bearer {KEY}"}, trust_env=False))

    def ask(model: str) -> str:
        response = client.post(f"{url}/chat/completions", json={"model": model, "messages": MESSAGES})
        text: str = response.json()["choices"][0]["message"]["content"]
        return text

    def stream(model: str) -> tuple[int, int]:
        pieces = size = 0
        body = {"model": model, "messages": MESSAGES, "stream": True, "stream_options": {"include_usage": True}}
        with client.stream("POST", f"{url}/chat/completions", json=body) as response:
            for line in response.iter_lines():
                if not line.startswith("data: ") or line == "data: [DONE]":
                    continue
                for choice in json.loads(line[6:])["choices"]:
                    if text := choice["delta"].get("content"):
                        pieces += 1
                        size += len(text)
        return pieces, size

    return Client("httpx", ask, stream)


def openai_client(url: str, opened: ExitStack) -> Client:
    openai: Any = importlib.import_module("openai")  # may be absent, for type checkers too
    client = opened.enter_context(openai.OpenAI(base_url=url, api_key=KEY, max_retries=0))

    def ask(model: str) -> str:
        text: str = client.chat.completions.create(model=model, messages=MESSAGES).choices[0].message.content
        return text

    def stream(model: str) -> tuple[int, int]:
        pieces = size = 0
        with client.chat.completions.create(
            model=model, messages=MESSAGES, stream=True, stream_options={"include_usage": True}
        ) as chunks:
            for chunk in chunks:
                for choice in chunk.choices:
                    if text := choice.delta.content:
                        pieces += 1
                        size += len(text)
        return pieces, size

    return Client("openai", ask, stream)


def hub_client(url: str, opened: ExitStack) -> Client:
    hub: Any = importlib.import_module("huggingface_hub")
    client = opened.enter_context(hub.InferenceClient(base_url=url, api_key=KEY))

    def ask(model: str) -> str:
        text: str = client.chat_completion(MESSAGES, model=model).choices[0].message.content
        return text

    def stream(model: str) -> tuple[int, int]:
        pieces = size = 0
        options = {"stream": True, "stream_options": {"include_usage": True}}
        for chunk in client.chat_completion(MESSAGES, model=model, **options):
            for choice in chunk.choices:
                if text := choice.delta.content:
                    pieces += 1
                    size += len(text)
        return pieces, size

    return Client("huggingface_hub", ask, stream)


# -- the measurement

Pairs: TypeAlias = list[tuple[float, float]]
"""CPU seconds of ours and of theirs."""

WARM_UP = 3
"""Pairs that do not count."""


def cpu_seconds(call: Callable[[], object]) -> float:
    """Of all threads of this process."""
    start = time.process_time()
    call()
    return time.process_time() - start


def measure(ours: Callable[[], object], theirs: Callable[[], object], pairs: int) -> Pairs:
    """CPU seconds, side by side, in turns of who is first; without the collector, which bills one for another."""
    times: Pairs = []
    gc.collect()
    gc.disable()
    try:
        for number in range(-WARM_UP, pairs):
            if number % 2:
                mine, other = cpu_seconds(ours), cpu_seconds(theirs)
            else:
                other, mine = cpu_seconds(theirs), cpu_seconds(ours)
            if number >= 0:
                times.append((mine, other))
            if number % 50 == 0:
                gc.collect()
    finally:
        gc.enable()
    return times


def median_ratio(pairs: Pairs) -> float:
    return statistics.median(mine / other for mine, other in pairs)


def report(title: str, found: Mapping[str, Pairs], per: int) -> None:
    """One line per peer: microseconds of both, and the ratio."""
    print(f"\n{title}")
    for peer, pairs in found.items():
        mine, other = (statistics.median(times) / per * 1e6 for times in zip(*pairs, strict=True))
        ratio = median_ratio(pairs)
        print(f"  ambidex {mine:7.1f} us   {peer:<16} {other:7.1f} us   ratio {ratio:5.2f}", flush=True)


def clients(url: str, opened: ExitStack) -> list[Client]:
    found = [ambidex_client(url, opened), httpx_client(url, opened)]
    for name, make in (("openai", openai_client), ("huggingface_hub", hub_client)):
        try:
            found.append(make(url, opened))
        except ImportError as problem:
            print(f"without {name}: {problem}")
    return found


def version(name: str) -> str:
    try:
        return f"{name} {importlib.metadata.version(name)}"
    except importlib.metadata.PackageNotFoundError:
        return f"no {name}"


def compare(pairs: int, streams: int, chunks: int) -> dict[str, dict[str, Pairs]]:
    """By workload and peer."""
    with ExitStack() as opened:
        url = opened.enter_context(server(chunks))
        ours, *peers = clients(url, opened)
        for client in (ours, *peers):
            assert client.ask("short") == ANSWER, client.name
            expected = sum(len(f" token{number % 100}") for number in range(chunks))
            assert client.stream("long") == (chunks, expected), client.name
        ask = partial(ours.ask, "short")
        plain = {peer.name: measure(ask, partial(peer.ask, "short"), pairs) for peer in peers}
        plain["httpx, SSE"] = measure(ask, partial(peers[0].stream, "short"), pairs)
        return {
            "plain": plain,
            **{
                model: {
                    peer.name: measure(partial(ours.stream, model), partial(peer.stream, model), streams)
                    for peer in peers
                }
                for model in ("apart", "long")
            },
        }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--pairs", type=int, default=2000, help="plain requests beside each peer")
    options.add_argument("--streams", type=int, default=20, help="streams beside each peer")
    options.add_argument("--chunks", type=int, default=1000, help="chunks in a stream")
    options.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.serve:
        run_server(chosen.chunks)
        return
    libraries = ("httpx", "httpcore", "h11", "openai", "huggingface_hub")
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(", ".join(map(version, libraries)))
    found = compare(chosen.pairs, chosen.streams, chosen.chunks)
    report(f"plain request, {chosen.pairs} pairs (ambidex: a stream of 4 events)", found["plain"], 1)
    of_each = f"{chosen.streams} pairs of streams of {chosen.chunks}"
    report(f"streamed chunk, each by itself, {of_each}", found["apart"], chosen.chunks)
    report(f"streamed chunk, all at once, {of_each}", found["long"], chosen.chunks)


if __name__ == "__main__":
    main()
