"""`ambidex warm`: what the first use of a model does once, done beforehand."""

from __future__ import annotations

import time
from typing import Any

from ambidex.backend import connect
from ambidex.request import Request
from ambidex.stream import collect

from .screen import Screen


def warm(model: str, *, quantize: str | None) -> None:
    """Downloads and loads the model, compiles what is compiled once, and computes one token."""
    options: dict[str, Any] = {} if quantize is None else {"quantize": quantize}
    with Screen() as screen:
        screen.wait(f"loading {model}")
        started = time.perf_counter()
        backend = connect(model, **options)
        try:
            loaded = time.perf_counter()
            screen.wait("computing a first token")
            collect(backend.stream(Request(prompt="Hello", max_tokens=1)))
            ended = time.perf_counter()
            screen.answer(f"{model} is ready: loaded in {loaded - started:.1f} s, first token {ended - loaded:.2f} s\n")
        finally:
            if (close := getattr(backend, "close", None)) is not None:
                close()
