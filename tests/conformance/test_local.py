"""Pocket, in this process, keeps what every backend keeps."""

from __future__ import annotations

from typing import Any, ClassVar

from ambidex.backend import Backend, connect
from ambidex.testing.conformance import BackendConformance


class TestPocket(BackendConformance):
    held: ClassVar[Any]

    @classmethod
    def setup_class(cls) -> None:
        cls.held = connect("local:pocket", device="cpu")

    @classmethod
    def teardown_class(cls) -> None:
        cls.held.close()

    def make_backend(self) -> Backend:
        backend: Backend = connect("local:pocket", device="cpu")
        return backend
