"""The way from a public call to the wire is short, and cannot grow unseen. (The engine's: tests/backends/local.)"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from ambidex import Chat, Request, User, collect, connect
from ambidex.errors import AmbidexError

ROOT = Path(__file__).parents[2]
OURS = (str(ROOT / "sdk"), str(ROOT / "backends"))
FRAMES_TO_THE_WIRE = 4


def frames_of_ours() -> int:
    """Frames of this project's packages above the caller of the caller."""
    frame, count = sys._getframe(2), 0
    while frame is not None:
        count += frame.f_code.co_filename.startswith(OURS)
        frame = frame.f_back  # type: ignore[assignment]
    return count


def ask_a_chat(model: str) -> object:
    with Chat(model) as chat:
        return chat.ask("hello")


def stream_a_chat(model: str) -> object:
    with Chat(model) as chat:
        return next(chat.stream("hello"))


def ask_a_backend(model: str) -> object:
    with contextlib.closing(connect(model)) as backend:
        return collect(backend.stream(Request([User("hello")])))


@pytest.mark.parametrize("call", [ask_a_chat, stream_a_chat, ask_a_backend])
@pytest.mark.parametrize("model", ["hf:org/name", "http://127.0.0.1:9/v1#name"])
def test_few_frames_from_the_call_to_the_wire(
    model: str, call: Callable[[str], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    depths: list[int] = []

    def send(*args: Any, **kwargs: Any) -> httpx.Response:
        depths.append(frames_of_ours())
        raise httpx.ConnectError("not sent")

    monkeypatch.setenv("HF_TOKEN", "hf_of_the_test")
    monkeypatch.setattr(httpx.Client, "send", send)
    with pytest.raises(AmbidexError):
        call(model)
    assert depths
    assert max(depths) <= FRAMES_TO_THE_WIRE
