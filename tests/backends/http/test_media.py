"""Pictures and sounds from addresses that somebody else wrote: only from public ones, bounded, with nothing of ours."""

from __future__ import annotations

import _socket
import asyncio
import gzip
import ipaddress
import socket
import ssl
import threading
import time
import tracemalloc
from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from ambidex import Audio, Image, Url, errors
from ambidex.testing.faults import resolver
from ambidex_backends.http import connection
from ambidex_backends.http.media import MediaRules, _afetched, _fetched, afetch, fetch, only_public
from ambidex_backends.http.public_addresses import is_public

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
NOT_PUBLIC = [
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 "
        "192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4"
    ).split()
]

# -- which addresses are public


@st.composite
def inside(draw: st.DrawFn) -> int:
    network = draw(st.sampled_from(NOT_PUBLIC))
    return draw(st.integers(int(network[0]), int(network[-1])))


@given(inside(), st.integers(0, 0xFFFF))
def test_no_form_of_a_private_address_is_public(number: int, other: int) -> None:
    forms = [
        ipaddress.IPv4Address(number),
        ipaddress.IPv6Address(number),  # "compatible", long given up
        ipaddress.IPv6Address(0xFFFF << 32 | number),  # mapped
        ipaddress.IPv6Address(0xFFFF << 48 | number),  # translated
        ipaddress.IPv6Address(0x64FF9B << 96 | number),  # NAT64
        ipaddress.IPv6Address(0x64FF9B0001 << 80 | other << 64 | number),  # NAT64 of one's own
        ipaddress.IPv6Address(0x2002 << 112 | number << 80 | other),  # 6to4
        ipaddress.IPv6Address(0x20010000 << 96 | other << 64 | number ^ 0xFFFFFFFF),  # Teredo
        ipaddress.IPv6Address(0x2606_4700 << 96 | 0x5EFE << 32 | number),  # ISATAP
        ipaddress.IPv6Address(0x2606_4700 << 96 | 0x0200_5EFE << 32 | number),
    ]
    assert [form for form in forms if is_public(str(form))] == []


@given(st.integers(0, 2**32 - 1))
def test_of_ipv4_what_python_calls_global_is_public_but_multicast_and_relays(number: int) -> None:
    address = ipaddress.IPv4Address(number)
    if is_public(str(address)):
        assert address.is_global
        assert not address.is_multicast
        assert is_public(f"::ffff:{address}")
        assert is_public(str(ipaddress.IPv6Address(0x64FF9B << 96 | number)))
    elif address.is_global:
        assert address.is_multicast or str(address).startswith(("192.88.99.", "192.0.0.", "168.63.129."))


@given(st.integers(0, 2**128 - 1) | st.integers(0x2000 << 112, 0x4000 << 112))
def test_of_ipv6_no_more_is_public_than_python_calls_global(number: int) -> None:
    address = ipaddress.IPv6Address(number)
    if is_public(str(address)) and address.ipv4_mapped is None:
        assert address.is_global
        assert not any((address.is_multicast, address.is_link_local, address.is_site_local, address.is_reserved))


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "8.8.8.8", "93.184.215.14", "2606:4700:4700::1111", "2a00:1450:4001::1", "64:ff9b::101:101"]
)
def test_public_ones(address: str) -> None:
    assert is_public(address)


OTHERS = """168.63.129.16 192.88.99.1 :: ::1 fe80::1 fe80::1%eth0 2606::1%1 fc00::1 fd00:ec2::254 fec0::1 ff02::1 100::1
2001:db8::1 3fff::1 5f00::1 4000::1 localhost 1.2.3 1""".split()


@pytest.mark.parametrize("address", ["", *OTHERS])
def test_others(address: str) -> None:
    assert not is_public(address)


# -- a server of pictures on loopback, which only these tests may ask

Fetch: TypeAlias = "Callable[..., Any]"
Body: TypeAlias = "bytes | Callable[[Any], None]"
"""Or what writes it."""


def loopback_too(address: str) -> None:
    if address != "127.0.0.1":
        only_public(address)


def sync_fetch(part: Any, rules: MediaRules, permit: Any = loopback_too) -> Any:
    return _fetched(part, rules, permit)


def async_fetch(part: Any, rules: MediaRules, permit: Any = loopback_too) -> Any:
    return asyncio.run(_afetched(part, rules, permit))


@pytest.fixture(params=[sync_fetch, async_fetch], ids=["sync", "async"])
def fetched(request: pytest.FixtureRequest) -> Fetch:
    found: Fetch = request.param
    return found


class Pictures:
    """`at` says what stands at a path: status, headers, and the body or what writes it; `seen`: headers of requests."""

    def __init__(self) -> None:
        self.at: dict[str, tuple[int, dict[str, str], Body]] = {}
        self.seen: list[tuple[str, dict[str, str]]] = []
        pictures = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                pictures.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                status, headers, body = pictures.at[self.path]
                self.send_response(status)
                if isinstance(body, bytes):
                    headers = {"content-length": str(len(body)), **headers}
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                with suppress(OSError):
                    self.wfile.write(body) if isinstance(body, bytes) else body(self.wfile)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = False  # closing waits for them
        self.port = self._server.server_address[1]
        self.rules = MediaRules(http=True, ports=(self.port,), timeout=5.0)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def gives(
        self, body: Body, status: int = 200, *, kind: str = "image/png", more: Mapping[str, str] | None = None
    ) -> Image:
        """A picture that this stands for; `more` headers."""
        self.at["/a"] = status, {**({"content-type": kind} if kind else {}), **(more or {})}, body
        return Image(Url(self.url("/a")))

    def speaks_tls(self, context: ssl.SSLContext) -> None:
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def pictures() -> Generator[Pictures]:
    server = Pictures()
    yield server
    server.close()


def test_a_picture_gets_its_bytes_and_stays_the_same_otherwise(pictures: Pictures, fetched: Fetch) -> None:
    pictures.gives(PNG, kind="image/png; charset=binary")
    found = fetched(Image(Url(pictures.url("/a#part")), detail="low"), pictures.rules)
    assert found == Image(PNG, media_type="image/png", detail="low")
    assert pictures.seen[0][0] == "/a"


def test_a_sound(pictures: Pictures, fetched: Fetch) -> None:
    pictures.gives(b"ID3 and so on", kind="audio/mpeg")
    assert fetched(Audio(Url(pictures.url("/a"))), pictures.rules) == Audio(b"ID3 and so on", media_type="audio/mpeg")


@pytest.mark.parametrize(
    "part", [Image(PNG), Image(Path("x.png")), Image(Url("data:image/png;base64,AAAA")), Audio(b"")]
)
def test_what_needs_no_fetching_is_given_back(part: Any) -> None:
    assert fetch(part) is part
    assert asyncio.run(afetch(part)) is part


def test_loopback_is_refused_like_all_that_is_not_public(pictures: Pictures) -> None:
    part = pictures.gives(PNG)
    with pytest.raises(errors.InvalidRequest):
        fetch(part, pictures.rules)
    with pytest.raises(errors.InvalidRequest):
        asyncio.run(afetch(part, pictures.rules))
    assert pictures.seen == []


def test_nothing_of_ours_goes_along(
    pictures: Pictures, fetched: Fetch, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password canary")
    for name, value in {"HOME": str(tmp_path), "NETRC": str(tmp_path / ".netrc")}.items():
        monkeypatch.setenv(name, value)
    for name in ("HF_TOKEN", "AMBIDEX_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, "canary")
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    pictures.at["/b"] = 302, {"location": "/a", "set-cookie": "canary=1", "content-length": "0"}, b""
    pictures.gives(PNG)
    assert fetched(Image(Url(pictures.url("/b"))), pictures.rules).source == PNG
    assert [path for path, _ in pictures.seen] == ["/b", "/a"]
    for _, headers in pictures.seen:
        assert headers.keys() <= {"host", "accept", "accept-encoding", "user-agent", "connection"}
        assert "canary" not in str(headers)


# -- where nothing is fetched from

HOSTS = [
    *("127.0.0.1", "localhost", "127.1", "0", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001"),
    *("127.0.0.1.", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]"),
    *("[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[2001:0:1::80ff:fffe]", "[fe80::1]", "[fe80::1%25lo]", "[fd00::1]"),
    *(
        "169.254.169.254",
        "[fd00:ec2::254]",
        "100.100.100.200",
        "168.63.129.16",
        "10.0.0.1",
        "192.168.1.1",
        "172.16.0.1",
    ),
    *("100.64.0.1", "0.0.0.0", "255.255.255.255", "224.0.0.1", "[ff02::1]", "192.0.2.1", "198.18.0.1"),
]


@pytest.mark.parametrize("host", HOSTS)
def test_no_way_to_write_a_private_host_is_asked(
    pictures: Pictures, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", _socket.getaddrinfo)  # none of these goes to a name server
    for run in (sync_fetch, async_fetch):
        with pytest.raises(errors.AmbidexError) as caught:
            run(Image(Url(pictures.url("/a", host))), pictures.rules, only_public)
        # A form that this system's resolver does not know is no host; all others are known and refused.
        assert isinstance(caught.value, errors.ConnectError) or (
            isinstance(caught.value, errors.InvalidRequest) and caught.value.code == "address_refused"
        )
    assert pictures.seen == []


REFUSED = [
    *("http://a.test/x", "https://a.test:8443/x", "https://a.test:22/", "https://me@a.test/", "https://me:pw@a.test/x"),
    *(
        "https://a.test\\@b.test/",
        "https://a.test/x y",
        "https:///x",
        "https://a.test:port/",
        "https://[::1/",
        "https://",
    ),
    *("https://ä.test/", "https://a.test/\n", "https://a.test:0/", "https://a.test%00/", "https://[fe80::1%25lo]/"),
    "https://a.test/" + "x" * 5000,
]


@pytest.mark.parametrize("address", REFUSED, ids=range(len(REFUSED)))
def test_addresses_that_are_refused_as_they_are(address: str) -> None:
    for run in (sync_fetch, async_fetch):
        with pytest.raises(errors.InvalidRequest) as caught:
            run(Image(Url(address)), MediaRules(), only_public)
        assert caught.value.code == "address_refused"
        assert caught.value.param == "source"
        assert "pw" not in str(caught.value)


def test_a_name_is_looked_up_once_and_the_checked_address_is_connected_to(
    pictures: Pictures, fetched: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose answer changes with each question: a name server that wants its second answer to be taken unchecked."""
    original, asked = _socket.getaddrinfo, list[str]()

    def changing(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        if host in (b"changing.test", "changing.test"):
            asked.append(str(host))
            return original("127.0.0.1" if len(asked) == 1 else "127.0.0.2", port, *args, **options)
        return original(host, port, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", changing)
    pictures.gives(PNG)
    assert fetched(Image(Url(pictures.url("/a", "changing.test"))), pictures.rules).source == PNG
    assert len(asked) == 1
    with pytest.raises(errors.InvalidRequest):
        fetched(Image(Url(pictures.url("/a", "changing.test"))), pictures.rules)
    assert len(pictures.seen) == 1


def test_one_private_address_behind_a_name_is_enough(
    pictures: Pictures, fetched: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = _socket.getaddrinfo

    def two(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        if host in (b"two.test", "two.test"):
            return [item for one in ("127.0.0.1", "10.0.0.1") for item in original(one, port, *args, **options)]
        return original(host, port, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", two)
    with pytest.raises(errors.InvalidRequest) as caught:
        fetched(Image(Url(pictures.url("/a", "two.test"))), pictures.rules)
    assert "10.0.0.1" not in str(caught.value)
    assert pictures.seen == []


def test_over_tls_the_certificate_is_checked_for_the_name(
    pictures: Pictures, fetched: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, serving, trusting = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("pictures.test").configure_cert(serving)
    authority.configure_trust(trusting)
    monkeypatch.setattr(connection, "_tls", lambda: trusting)
    pictures.gives(PNG)
    pictures.speaks_tls(serving)
    rules = MediaRules(ports=(pictures.port,))
    with resolver({"pictures.test": ["127.0.0.1"], "other.test": ["127.0.0.1"]}):
        part = Image(Url(f"https://pictures.test:{pictures.port}/a"))
        assert fetched(part, rules).source == PNG
        with pytest.raises(errors.TLSError):
            fetched(Image(Url(f"https://other.test:{pictures.port}/a")), rules)
    assert len(pictures.seen) == 1


# -- redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "location",
    [
        "http://10.0.0.1/",
        "http://localhost.:1/",
        "//169.254.169.254/latest",
        "http://127.0.0.1:1/",
        "ftp://a.test/x",
        "file:///etc/passwd",
        "http://me:pw@127.0.0.1/",
        "",
        "http://[::1/",
        "https://[::1]/",
        "javascript:1",
        "//\\\\b",
    ],
)
def test_each_redirect_is_checked_as_the_first_address_is(
    pictures: Pictures, fetched: Fetch, location: str, status: int
) -> None:
    part = pictures.gives(b"", status, more={"location": location})
    with pytest.raises(errors.RedirectBlocked) as caught:
        fetched(part, pictures.rules)
    assert "pw" not in str(caught.value)


def test_redirects_are_followed_so_often_and_no_more(pictures: Pictures, fetched: Fetch) -> None:
    for number in range(3):
        pictures.at[f"/{number}"] = 302, {"location": f"/{number + 1}", "content-length": "0"}, b""
    pictures.at["/3"] = 200, {"content-type": "image/png"}, PNG
    assert fetched(Image(Url(pictures.url("/0"))), pictures.rules).source == PNG
    pictures.at["/3"] = 302, {"location": "/0", "content-length": "0"}, b""
    with pytest.raises(errors.RedirectBlocked):
        fetched(Image(Url(pictures.url("/0"))), pictures.rules)
    assert len(pictures.seen) == 8


def test_without_http_a_redirect_to_it_is_not_followed(pictures: Pictures) -> None:
    from ambidex_backends.http.media import _Way

    class Redirect:
        status = 302
        headers = {"location": "http://a.test/x"}  # noqa: RUF012  # of one test

    way = _Way(Image(Url("https://a.test/y")), "https://a.test/y", MediaRules())
    with pytest.raises(errors.RedirectBlocked):
        way.leads_on(Redirect())  # type: ignore[arg-type]  # all that it reads


# -- what comes


@pytest.mark.parametrize(
    ("body", "given", "is_taken"),
    [
        (PNG, "image/png", True),
        (PNG, "IMAGE/PNG", True),
        (PNG, "application/octet-stream", True),
        (PNG, "", True),
        (b"\xff\xd8\xff and so on", "image/jpeg", True),
        (b"something new", "image/jxl", True),
        (b"something new", "application/octet-stream", False),
        (b"<svg/>", "image/svg+xml", False),
        (b"<html>login</html>", "text/html", False),
        (b"<html>login</html>", "image/png", False),
        (b'{"secret": 1}', "image/png", False),
        (b"ID3", "audio/mpeg", False),
        (b"ID3", "image/png", False),
        (PNG, "text/plain", False),
    ],
)
def test_only_what_is_a_picture_is_taken(
    pictures: Pictures, fetched: Fetch, body: bytes, given: str, is_taken: bool
) -> None:
    part = pictures.gives(body, kind=given)
    if is_taken:
        found = fetched(part, pictures.rules)
        assert (found.source, found.media_type[:6]) == (body, "image/")
    else:
        with pytest.raises(errors.UnexpectedContentType):
            fetched(part, pictures.rules)


def test_the_type_that_was_asked_for_must_come(pictures: Pictures, fetched: Fetch) -> None:
    pictures.gives(PNG)
    asked = Image(Url(pictures.url("/a")), media_type="image/webp")
    with pytest.raises(errors.UnexpectedContentType):
        fetched(asked, pictures.rules)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        *((status, errors.InvalidRequest) for status in (204, 206, 304, 400)),
        *((status, errors.PermissionDenied) for status in (401, 403)),
        *((status, errors.NotFound) for status in (404, 410)),
        (429, errors.RateLimited),
        (500, errors.ServerError),
    ],
)
def test_each_status_is_an_error_of_ours(
    pictures: Pictures, fetched: Fetch, status: int, error: type[errors.AmbidexError]
) -> None:
    with pytest.raises(error) as caught:
        fetched(pictures.gives(b"", status), pictures.rules)
    assert caught.value.status == status


def endless(writer: Any) -> None:
    while True:
        writer.write(PNG * 100)


def test_so_many_bytes_and_no_more(pictures: Pictures, fetched: Fetch) -> None:
    rules = MediaRules(http=True, ports=(pictures.port,), max_bytes=len(PNG), timeout=5.0)
    assert fetched(pictures.gives(PNG), rules).source == PNG
    bomb = gzip.compress(PNG + bytes(50_000_000))
    bodies: list[tuple[Body, dict[str, str]]] = [
        (PNG + b"x", {}),
        (endless, {}),
        (bomb, {"content-encoding": "gzip"}),
    ]
    for body, more in bodies:
        asked = pictures.gives(body, more=more)
        tracemalloc.start()
        with pytest.raises(errors.LimitExceeded) as caught:
            fetched(asked, rules)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert caught.value.name == "body_bytes"
        assert peak < 4_000_000


def drip(writer: Any) -> None:
    while True:
        writer.write(b"x")
        time.sleep(0.05)


@pytest.mark.parametrize("body", [drip, lambda writer: time.sleep(1.0)], ids=["drip", "silent"])
def test_all_of_it_has_one_deadline(pictures: Pictures, fetched: Fetch, body: Callable[[Any], None]) -> None:
    rules = MediaRules(http=True, ports=(pictures.port,), timeout=0.5)
    part = pictures.gives(body)
    began = time.monotonic()
    with pytest.raises(errors.DeadlineExceeded) as caught:
        fetched(part, rules)
    assert time.monotonic() - began < 3.0
    assert caught.value.limit == 0.5


def test_a_body_that_is_cut_off_is_no_picture(pictures: Pictures, fetched: Fetch) -> None:
    part = pictures.gives(PNG, more={"content-length": str(len(PNG) + 1)})
    with pytest.raises(errors.TransportError):
        fetched(part, pictures.rules)


@pytest.mark.parametrize("wrong", ["https://a.test/x.png", Url("https://a.test/x.png"), None, b""])
def test_other_things_are_no_pictures(wrong: Any) -> None:
    with pytest.raises(errors.InvalidRequest):
        fetch(wrong)
    with pytest.raises(errors.ConfigError):
        fetch(Image(PNG), wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        *({"timeout": value} for value in (0, None, "3", float("inf"))),
        *({"max_bytes": value} for value in (0, None, True, 1.5)),
        *({"ports": value} for value in ((0,), (65536,), (True,), 8080, "8080", None)),
        {"max_redirects": -1},
        {"http": "no"},
    ],
)
def test_rules_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(errors.ConfigError):
        MediaRules(**wrong)
