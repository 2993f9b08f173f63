"""`fetch`: a picture or sound from a public https address, as bytes. Nothing else loads an address from a message.

Whoever wrote the address may want to reach what only this machine can: so it is looked up once, each address behind
the name must be public, and the connection goes to one that was checked; the same again for each redirect. No key, no
cookie, no proxy. docs/limits.md says what is refused.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

from ambidex.decoding import check_integer, check_number
from ambidex.errors import (
    AmbidexError,
    ConfigError,
    DeadlineExceeded,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    RateLimited,
    RedirectBlocked,
    ServerError,
    UnexpectedContentType,
)
from ambidex.media_type import media_type_of
from ambidex.messages import Audio, Image, Url

from .addresses import Permit
from .call import Call, Timeouts
from .client import AnyResponse, Ask, Http
from .limits import MIB, Limits
from .public_addresses import is_public
from .secret import DEFAULT_PORTS
from .server_errors import clean

Media = TypeVar("Media", Image, Audio)

CONNECT_SECONDS = 10.0
_REDIRECTS = (301, 302, 303, 307, 308)
_BYTES_OF_ANY_KIND = ("", "application/octet-stream", "binary/octet-stream")
_MOST_OF_AN_ADDRESS = 4096


@dataclass(frozen=True, slots=True)
class MediaRules:
    """What `fetch` goes by.

    timeout        seconds for all of it, redirects included
    max_bytes      of the picture or sound, decompressed
    max_redirects  followed, one after another; each is checked like the first address
    http           whether http is good enough, in which anyone on the way may exchange the picture
    ports          beside 443 (and 80, with http)
    """

    timeout: float = 30.0
    max_bytes: int = 20 * MIB
    max_redirects: int = 3
    http: bool = False
    ports: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.http, bool):
            raise ConfigError(f"http takes True or False, got {self.http!r}.", param="http")
        if not isinstance(self.ports, Collection) or isinstance(self.ports, (str, bytes)):
            raise ConfigError(f"ports takes whole numbers, such as (8443,), got {self.ports!r}.", param="ports")
        object.__setattr__(self, "ports", tuple(self.ports))
        for port in self.ports:
            if isinstance(port, bool) or not isinstance(port, int) or not 0 < port < 65536:
                raise ConfigError(f"ports takes whole numbers from 1 to 65535, got {port!r}.", param="ports")
        try:
            check_number(self.timeout, "timeout", above=0.0)
            check_integer(self.max_bytes, "max_bytes", at_least=1)
            check_integer(self.max_redirects, "max_redirects", at_least=0)
        except AmbidexError as problem:
            raise ConfigError(problem.message, param=problem.param) from None
        for name in ("timeout", "max_bytes", "max_redirects"):
            if getattr(self, name) is None:
                raise ConfigError(f"{name} takes a number, got None: it is what bounds a fetch.", param=name)


DEFAULT_RULES = MediaRules()


def fetch(part: Media, rules: MediaRules = DEFAULT_RULES) -> Media:
    """The same picture or sound, with the bytes that stand at its `Url`; one that needs no fetching is given back.

    Raises `InvalidRequest` for an address that may not be asked, `RedirectBlocked` for one that leads to such, or to
    too many; `UnexpectedContentType` for what is no picture or sound; `LimitExceeded`, `DeadlineExceeded`; `NotFound`,
    `PermissionDenied`, `RateLimited`, `ServerError`; `TransportError`. Nothing is tried again.
    """
    return _fetched(part, rules, only_public)


async def afetch(part: Media, rules: MediaRules = DEFAULT_RULES) -> Media:
    """The async twin of `fetch`."""
    return await _afetched(part, rules, only_public)


def only_public(address: str) -> None:
    """The address itself is not named: who asked for it need not learn what this machine's names stand for."""
    if not is_public(address):
        raise InvalidRequest(
            "The address of a picture or sound leads to a host that is not on the public internet: nothing is fetched "
            "from there. Read it yourself, and give its bytes.",
            code="address_refused",
            param="source",
        )


def _fetched(part: Media, rules: MediaRules, permit: Permit) -> Media:
    address = _address_in(part, rules)
    if address is None:
        return part
    way = _Way(part, address, rules)
    http = Http(permit=permit)
    try:
        while True:
            response = http.open(way.ask(), way.call())
            try:
                if not way.leads_on(response):
                    return way.end(part, response, response.rest())
            finally:
                response.close()
    except AmbidexError as problem:
        failure = way.said(problem)
    finally:
        http.close()
    raise failure


async def _afetched(part: Media, rules: MediaRules, permit: Permit) -> Media:
    address = _address_in(part, rules)
    if address is None:
        return part
    way = _Way(part, address, rules)
    http = Http(permit=permit)
    try:
        while True:
            response = await http.aopen(way.ask(), way.call())
            try:
                if not way.leads_on(response):
                    return way.end(part, response, await response.rest())
            finally:
                await response.close()
    except AmbidexError as problem:
        failure = way.said(problem)
    finally:
        await http.aclose()
    raise failure


def _address_in(part: Image | Audio, rules: MediaRules) -> str | None:
    """What there is to fetch. Raises `InvalidRequest` and `ConfigError` for values of other kinds."""
    if not isinstance(part, (Image, Audio)):
        raise InvalidRequest(
            f"fetch takes an Image or an Audio, got {type(part).__name__}: write fetch(Image(Url(...))).", param="part"
        )
    if not isinstance(rules, MediaRules):
        raise ConfigError(f"rules takes MediaRules(...), got {type(rules).__name__}.", param="rules")
    is_elsewhere = isinstance(part.source, Url) and not part.source.address.startswith("data:")
    return str(part.source) if is_elsewhere else None


class _Way:
    """From the address that was given, over redirects, to the bytes. No I/O."""

    def __init__(self, part: Image | Audio, address: str, rules: MediaRules) -> None:
        self._kind = "image" if isinstance(part, Image) else "audio"
        self._media_type = part.media_type
        self._rules = rules
        self._hops = 0
        self._began = time.monotonic()
        self._address = self._checked(address, self._refused)

    def ask(self) -> Ask:
        return Ask(
            self._address,
            headers={"accept": f"{self._kind}/*"},
            streams=False,
            limits=Limits(plain_bytes=self._rules.max_bytes),
            unjudged=True,
        )

    def call(self) -> Call:
        seconds = self._rules.timeout
        return Call(Timeouts(min(CONNECT_SECONDS, seconds), seconds, seconds), seconds, self._began)

    def leads_on(self, response: AnyResponse) -> bool:
        """Whether it redirects, which is followed; else it has what was asked for."""
        if response.status in _REDIRECTS:
            self._hops += 1
            if self._hops > self._rules.max_redirects:
                raise self._blocked(f"more than {self._rules.max_redirects} times")
            target = response.headers.get("location", "")
            try:
                address = urljoin(self._address, target)
            except ValueError:
                address = ""
            self._address = self._checked(address, self._blocked)
            return True
        if response.status != 200:
            raise self._without(response.status)
        given = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if given not in _BYTES_OF_ANY_KIND and not self._is_wanted(given):
            raise self._unexpected(given)
        return False

    def end(self, part: Media, response: AnyResponse, body: bytes) -> Media:
        """The part with its bytes. What the first bytes say must not contradict what the server says."""
        given = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        seen = _seen_in(body)
        media_type = seen if given in _BYTES_OF_ANY_KIND else given
        if media_type is None or not self._is_wanted(media_type) or (seen is not None and not self._is_wanted(seen)):
            raise self._unexpected(media_type or "bytes of an unknown kind")
        return dataclasses.replace(part, source=body, media_type=media_type)

    def said(self, problem: AmbidexError) -> AmbidexError:
        """The same in words that fit; a refusal behind a redirect is one of the redirect."""
        if isinstance(problem, DeadlineExceeded):
            return DeadlineExceeded(
                f"{self._what} was not there within {problem.limit:g} s. Give a longer timeout, or other bytes.",
                kind=problem.kind,
                limit=problem.limit,
            )
        if isinstance(problem, InvalidRequest) and problem.code == "address_refused" and self._hops:
            return self._blocked("to a host that is not on the public internet")
        return problem

    @property
    def _what(self) -> str:
        parts = urlsplit(self._address)
        return clean(f"The {'picture' if self._kind == 'image' else 'sound'} at {parts.hostname}{parts.path}")[:300]

    def _checked(self, address: str, refusal: Callable[[str], AmbidexError]) -> str:
        """The address, if it may be asked. Its host is checked where the connection is made."""
        try:
            parts = urlsplit(address)
            port, host = parts.port, parts.hostname
        except ValueError:
            raise refusal("to what is no address") from None
        if (
            len(address) > _MOST_OF_AN_ADDRESS
            or not host
            or not _is_plain(address)
            or not _is_read_alike(address, host)
        ):
            raise refusal("to what is no address")
        if parts.scheme != "https" and not (parts.scheme == "http" and self._rules.http):
            raise refusal("to another scheme than https")
        if parts.username is not None or parts.password is not None:
            raise refusal("to an address with a user name or password")
        if port is not None and port != DEFAULT_PORTS[parts.scheme] and port not in self._rules.ports:
            raise refusal(f"to port {port}")
        return parts._replace(fragment="").geturl()

    def _is_wanted(self, media_type: str) -> bool:
        if self._media_type is not None:
            return media_type == self._media_type
        return media_type.startswith(f"{self._kind}/") and media_type != "image/svg+xml"  # that is a document

    def _refused(self, where: str) -> AmbidexError:
        return InvalidRequest(
            f"The address of a picture or sound leads {where}: nothing is fetched from there. MediaRules allows http "
            "and more ports; or read it yourself, and give its bytes.",
            code="address_refused",
            param="source",
        )

    def _blocked(self, where: str) -> AmbidexError:
        return RedirectBlocked(f"{self._what} redirects {where}, which is not followed. Give the final address.")

    def _unexpected(self, media_type: str) -> AmbidexError:
        wanted = self._media_type or f"{self._kind}/*"
        return UnexpectedContentType(
            f"{self._what} is {clean(media_type)[:80] or 'of no type'}, where {wanted} was expected."
        )

    def _without(self, status: int) -> AmbidexError:
        match status:
            case 401 | 402 | 403:
                kind: type[AmbidexError] = PermissionDenied
            case 404 | 410:
                kind = NotFound
            case 429:
                kind = RateLimited
            case _:
                kind = ServerError if status >= 500 else InvalidRequest
        return kind(f"{self._what} is not given out: the server answers with status {status}.", status=status)


def _is_plain(address: str) -> bool:
    """Printable ASCII without blanks and backslashes, over which readers of addresses disagree."""
    return address.isascii() and address.isprintable() and not any(character in address for character in ' \\"<>^`{|}')


def _is_read_alike(address: str, host: str) -> bool:
    """Whether those who connect take the same host out of it, and one without escapes or a zone."""
    import httpx

    try:
        return httpx.URL(address).host == host and "%" not in host
    except (httpx.InvalidURL, ValueError):
        return False


def _seen_in(data: bytes) -> str | None:
    """What the first bytes tell, also of what no chat takes; None where they are not known."""
    if data[4:8] == b"ftyp":
        return {b"avif": "image/avif", b"heic": "image/heic", b"M4A ": "audio/mp4"}.get(data[8:12])
    return media_type_of(data) or next((kind for magic, kind in _DOCUMENTS if data.startswith(magic)), None)


_DOCUMENTS = ((b"<", "text/html"), (b"{", "application/json"), (b"%PDF", "application/pdf"))
