"""Where requests go, and that keys go nowhere else and show nowhere."""

from __future__ import annotations

import copy
import pickle

import pytest

from ambidex.errors import ConfigError
from ambidex_backends.http.routes import Routes
from ambidex_backends.http.secret import Credentials, Secret


@pytest.mark.parametrize(
    ("url", "chat"),
    [
        ("http://h:1/v1", "http://h:1/v1/chat/completions"),
        ("http://h:1/v1/", "http://h:1/v1/chat/completions"),
        ("http://h:1", "http://h:1/v1/chat/completions"),
        ("http://h:1/", "http://h:1/v1/chat/completions"),
        ("https://h/a/b", "https://h/a/b/v1/chat/completions"),
        ("https://h/x/chat/completions", "https://h/x/chat/completions"),
        ("https://h/v1/completions", "https://h/v1/chat/completions"),
        ("https://h/v1?api-version=2", "https://h/v1/chat/completions?api-version=2"),
        ("http://[::1]:8/v1", "http://[::1]:8/v1/chat/completions"),
    ],
)
def test_routes_of_a_base_url(url: str, chat: str) -> None:
    assert Routes.from_url(url).chat == chat


def test_the_other_routes_stand_beside() -> None:
    routes = Routes.from_url("https://router.test/v1")
    assert routes.completions == "https://router.test/v1/completions"
    assert routes.models == "https://router.test/v1/models"
    assert routes.model("org/m") == "https://router.test/v1/models/org/m"
    assert routes.beside_v1("/groq/x") == "https://router.test/groq/x"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "h/v1",
        "ftp://h",
        "http://",
        "http://h:99999",
        "http://h:x",
        "http://a b/",
        "http://u:p@h/v1",
        "http://h/\n",
        "http://[::1",
    ],
)
def test_what_is_no_address_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Routes.from_url(url)
    assert "u:p" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://localhost", True),
        ("http://127.0.0.1", True),
        ("http://[::1]", True),
        ("http://127.9.9.9", True),
        ("http://localhost.evil.test", False),
        ("http://127.0.0.1.evil.test", False),
        ("http://10.0.0.1", False),
        ("http://0.0.0.0", False),
    ],
)
def test_loopback(url: str, expected: bool) -> None:
    assert Routes.from_url(url).is_loopback is expected


KEY = "hf_CANARYcanary1234"


def test_a_secret_does_not_show() -> None:
    secret = Secret(f"  {KEY}\n", "token")
    assert secret.reveal() == KEY
    assert KEY not in f"{secret!r} {secret} {Credentials.bearer('https://h:443', secret)!r}"
    assert not hasattr(secret, "__dict__")
    for copying in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(ConfigError) as caught:
            copying(secret)
        assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "bad", ["", "  ", f"{KEY}\nx", f"{KEY}\r\nHost: evil", f"{KEY}\0", f"{KEY}é", f"{KEY}\ud800", 5]
)
def test_a_key_that_cannot_be_sent_is_refused_without_being_shown(bad: str) -> None:
    with pytest.raises(ConfigError, match="token") as caught:
        Secret(bad, "token")
    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize(
    "other",
    [
        "http://h.test:443",
        "https://h.test:444",
        "https://x.h.test:443",
        "https://h.test.evil:443",
        "https://h.test.:443",
    ],
)
def test_keys_go_to_their_own_origin_only(other: str) -> None:
    keys = Credentials.bearer("https://h.test:443", Secret(KEY, "token"))
    assert keys.for_origin("https://h.test:443") == {"authorization": f"Bearer {KEY}"}
    assert keys.for_origin(other) == {}
