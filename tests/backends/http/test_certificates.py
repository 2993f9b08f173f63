"""Which certificates are trusted, and what is said of a file of them that cannot be read."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.servers import chat_server, text

from ambidex import AsyncChat, Chat
from ambidex.errors import ConfigError
from ambidex_backends.http import connection


@pytest.fixture(params=["missing", "empty"])
def wrong_file(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    file = tmp_path / "certificates.pem"
    if request.param == "empty":
        file.touch()
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    connection._tls.cache_clear()
    yield
    connection._tls.cache_clear()


@pytest.mark.usefixtures("wrong_file")
def test_a_wrong_file_of_certificates_is_named_where_they_are_needed() -> None:
    with (
        Chat("https://127.0.0.1:1/v1#m") as chat,
        pytest.raises(ConfigError, match=r"SSL_CERT_FILE.*certificates\.pem"),
    ):
        chat.ask("Hi")

    async def twin() -> None:
        async with AsyncChat("https://127.0.0.1:1/v1#m") as chat:
            await chat.ask("Hi")

    with pytest.raises(ConfigError, match=r"SSL_CERT_FILE.*certificates\.pem"):
        asyncio.run(twin())


@pytest.mark.usefixtures("wrong_file")
def test_plain_http_needs_no_certificates() -> None:
    with chat_server(lambda body: text("Hello")) as url, Chat(f"{url}#m") as chat:
        assert chat.ask("Hi").text == "Hello"
