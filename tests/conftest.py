"""What every test stands on: no network but loopback, no settings of the person who runs it, few threads."""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

REPOSITORY = Path(__file__).resolve().parent.parent

# A machine that is busy with other things is no failure; how many examples is decided by who runs the suite.
hypothesis.settings.register_profile("default", deadline=None)
hypothesis.settings.register_profile("nightly", deadline=None, max_examples=2000)
hypothesis.settings.load_profile("default")

# huggingface_hub reads this once, when imported: a token saved on this machine must never reach a test.
os.environ["HF_TOKEN_PATH"] = os.devnull


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared test data: $AMBIDEX_SHARED, else `shared` beside the checkout."""
    folder = Path(os.environ.get("AMBIDEX_SHARED") or REPOSITORY.parent / "shared")
    if not folder.is_dir():
        pytest.skip(f"no shared test data at {folder}; AMBIDEX_SHARED names another folder")
    return folder


@pytest.fixture
def anyio_backend() -> str:
    """Tests marked `anyio` run on asyncio."""
    return "asyncio"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting, token or proxy of the person who runs the tests; a test sets what it is about."""
    ours = {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_ENDPOINT", "HF_HUB_OFFLINE"}
    for name in list(os.environ):
        is_setting = name.startswith("AMBIDEX_") and name != "AMBIDEX_SHARED"
        if name in ours or is_setting or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def few_torch_threads() -> None:
    """The models here are so small that a second thread costs more than it brings. Imports no torch for this."""
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def loopback_only() -> Iterator[None]:
    """Connections that would leave this machine fail the test; no `except Exception` swallows that."""

    def is_local(address: Any) -> bool:
        if not isinstance(address, tuple):  # a Unix socket's path
            return True
        host = address[0]
        if host in ("", "localhost"):
            return True
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False

    def guarded(connect: Callable[[socket.socket, Any], Any]) -> Callable[[socket.socket, Any], Any]:
        def guard(self: socket.socket, address: Any) -> Any:
            if not is_local(address):
                pytest.fail(f"a test tried to connect to {address!r}; tests may use loopback only")
            return connect(self, address)

        return guard

    look_up = socket.getaddrinfo

    def look_up_local(host: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name is not None and not is_local((name,)):
            pytest.fail(f"a test tried to look up {name!r}; tests may use loopback only")
        return look_up(host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded(socket.socket.connect))
        patch.setattr(socket.socket, "connect_ex", guarded(socket.socket.connect_ex))
        patch.setattr(socket, "getaddrinfo", look_up_local)
        yield
