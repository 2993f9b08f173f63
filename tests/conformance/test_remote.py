"""Hugging Face's router and an OpenAI-compatible server, on a real socket with Pocket behind it, keep what all keep."""

from __future__ import annotations

import gc
import warnings
from contextlib import ExitStack
from typing import ClassVar

import pytest
from tests.relay import relay

from ambidex.backend import Backend, connect
from ambidex.testing.conformance import BackendConformance

# The suite runs event loops that end before the backend is closed: idle connections are left to the collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


class PocketBehindASocket(BackendConformance):
    url: ClassVar[str]
    opened: ClassVar[ExitStack]

    @classmethod
    def setup_class(cls) -> None:
        cls.opened = ExitStack()
        backend = connect("local:pocket", device="cpu")
        cls.opened.callback(backend.close)
        cls.url = cls.opened.enter_context(relay(backend, model="some-org/pocket"))

    @classmethod
    def teardown_class(cls) -> None:
        cls.opened.close()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            gc.collect()


class TestEndpoint(PocketBehindASocket):
    def make_backend(self) -> Backend:
        backend: Backend = connect(f"{self.url}#some-org/pocket")
        return backend


class TestHub(PocketBehindASocket):
    def make_backend(self) -> Backend:
        backend: Backend = connect("hf:some-org/pocket", base_url=self.url, token="hf_of_the_test")
        return backend
