"""Asks once, in a process of its own, and prints by how much the peak of its memory rose and how that ended.

python memory_child.py URL sync|async|models [OPTIONS AS JSON]
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.process_state import forget_peak, memory, peak_memory

from ambidex import AmbidexError, Request, User, acollect, collect
from ambidex_backends.endpoint import EndpointBackend


def ask(url: str, how: str, request: Request) -> tuple[str, Any]:
    """How it ended: the error's type and the limit's name, or "answered"."""
    backend = EndpointBackend(url, max_attempts=1, connect_timeout=120)

    async def wait() -> None:
        try:
            await acollect(backend.astream(request))
        finally:
            await backend.aclose()

    try:
        if how == "models":
            backend.refresh()
        elif how == "sync":
            collect(backend.stream(request))
        else:
            asyncio.run(wait())
    except AmbidexError as error:
        return type(error).__name__, getattr(error, "name", None)
    finally:
        backend.close()
    return "answered", None


def main() -> None:
    url, how, options = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    request = Request([User("hi")], timeout=120, **options)
    good = url.replace("/bad/", "/good/")
    for _ in range(3):  # so that all that is imported and kept once is there
        assert ask(good, how, request)[0] == "answered"
    gc.collect()
    before = memory()
    forget_peak()
    ended, limit = ask(url, how, request)
    print(json.dumps({"rose": peak_memory() - before, "ended": ended, "limit": limit}))


if __name__ == "__main__":
    main()
