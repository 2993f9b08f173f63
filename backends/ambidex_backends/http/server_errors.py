"""What a server says when it refuses or fails, as one of our errors: by status, body and headers. No I/O.

The bodies are those that are seen in the field: `{"error": text | [..] | {message, type, code, param}}`,
`{"error", "error_description" | "error_type"}`, `{"errors": [{message}]}`, `{"message"}`, `{"detail": text | [..]}`,
plain text and HTML (which is not repeated).
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from ambidex.errors import (
    AmbidexError,
    APIError,
    AuthenticationError,
    Conflict,
    ContentFiltered,
    ContextLengthExceeded,
    DeadlineExceeded,
    InvalidRequest,
    ModelLoading,
    NotFound,
    Overloaded,
    PermissionDenied,
    ProxyError,
    QuotaExceeded,
    RateLimited,
    RequestTooLarge,
    ServerError,
)
from ambidex.strict_json import StrictJSONError, loads

from .json_values import as_list, as_number, as_object, as_whole, is_list, is_object

MAX_WORDS = 1000
"""Characters of the server's own words that a message repeats."""

MAX_ERROR_VALUES = 10_000
"""JSON values in the body of an error; one of more is read as plain text."""

MAX_RETRY_AFTER = 365 * 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Said:
    """What a body says: the server's words and its machine-readable fields."""

    words: str = ""
    code: str | None = None
    kind: str | None = None
    param: str | None = None
    status: int | None = None
    estimated_time: float | None = None


def for_response(
    status: int, headers: Mapping[str, str], body: bytes, *, target: str, model: str | None, provider: str | None = None
) -> AmbidexError:
    """The error for an answer from `target` (host and path, without query).

    `status` is that of the answer; below 400, the body says what went wrong.
    """
    said = read_body(body, headers.get("content-type", ""))
    if not said.words and (words := headers.get("x-error-message")):
        said = Said(clean(words), said.code or headers.get("x-error-code"))
    error = _by_status(status if status >= 400 else _stated(said), said, target, model, retry_after(headers))
    return _filled(error, status, said, headers.get("x-request-id"), provider)


def for_stream(
    data: Any, *, model: str | None, request_id: str | None, provider: str | None, fallback: str = ""
) -> AmbidexError:
    """The error for an event inside a stream with status 200; `in_stream` is set."""
    said = read_value(data)
    if not said.words:
        said = Said(clean(fallback) or "no further words", said.code, said.kind, said.param, said.status)
    error = _by_status(_stated(said), said, "the stream", model, said.estimated_time)
    error = _filled(error, said.status, said, request_id, provider)
    if isinstance(error, APIError):
        error.in_stream = True
    return error


def _stated(said: Said) -> int:
    """The status that a body states, or that fits the kind which it names."""
    kinds = [
        _STATUS_OF_KIND[name]
        for name in ((said.kind or "").lower(), (said.code or "").lower())
        if name in _STATUS_OF_KIND
    ]
    return said.status or next(iter(kinds), 500)


def says_error(data: Mapping[str, Any]) -> bool:
    """Whether an event of a stream is an error, in any of the shapes that servers send."""
    if data.get("error") or data.get("errors") or data.get("object") == "error" or data.get("type") == "error":
        return True
    return not data.get("choices") and not data.get("token") and bool(data.get("message") or data.get("detail"))


def read_body(body: bytes, content_type: str) -> Said:
    text = body.decode(errors="replace").strip()
    if "html" in content_type.lower() or text[:1] == "<":
        return Said("(a web page, not an answer of the API)" if text else "")
    try:
        return read_value(loads(text, max_values=MAX_ERROR_VALUES))
    except StrictJSONError:
        return Said(clean(text))


def read_value(value: Any) -> Said:
    """The words and fields in a JSON value of any of the known shapes."""
    if not is_object(value):
        return Said(_words(value))
    inner = value.get("error")
    fields = {**value, **as_object(inner)}
    candidates = (
        fields.get("message"),
        None if is_object(inner) else inner,
        value.get("error_description"),
        value.get("errors"),
        fields.get("detail"),
    )
    code = fields.get("code")
    numbers = (fields.get("http_status_code"), fields.get("status"), fields.get("status_code"), code)
    statuses = [number for item in numbers if (number := _as_status(item)) is not None]
    estimate = as_number(value.get("estimated_time"))
    return Said(
        words=next((words for item in candidates if (words := _words(item))), ""),
        code=_name(code),
        kind=_name(fields.get("error_type")) or _name(fields.get("type")),
        param=_name(fields.get("param")),
        status=statuses[0] if statuses else None,
        estimated_time=estimate if estimate is not None and estimate >= 0 else None,
    )


def _words(item: Any) -> str:
    if isinstance(item, str):
        return clean(item)
    if is_list(item):
        return clean("; ".join(filter(None, (_words(part) for part in item[:5]))))
    if is_object(item):
        words = _words(item.get("message") or item.get("msg") or "")
        where = ".".join(str(step) for step in as_list(item.get("loc")))
        return f"{clean(where)}: {words}" if where and words else words
    return ""


def _as_status(item: Any) -> int | None:
    if isinstance(item, str) and re.fullmatch(r"[45]\d\d", item):
        item = int(item)
    number = as_whole(item)
    return number if number is not None and 400 <= number < 600 else None


def _name(item: Any) -> str | None:
    return clean(str(item))[:100] or None if isinstance(item, (str, int)) and not isinstance(item, bool) else None


def clean(text: str) -> str:
    """A server's text for a message: bounded, on one line, without control characters."""
    text = text[: 4 * MAX_WORDS]
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= MAX_WORDS else text[: MAX_WORDS - 1] + "…"


_STATUS_OF_KIND = {
    "overloaded": 529,
    "overloaded_error": 529,
    "validation": 422,
    "invalid_request_error": 400,
    "invalid_request": 400,
    "badrequesterror": 400,
    "context_length_exceeded": 400,
    "template_error": 422,
    "missing_template_variable": 422,
    "tool_error": 422,
    "authentication_error": 401,
    "permission_error": 403,
    "insufficient_quota": 402,
    "not_found_error": 404,
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "timeout": 504,
    "content_filter": 400,
}
"""For errors that come with status 200 and name their kind only."""

_QUOTA = re.compile(
    r"insufficient_quota|exceeded your (current quota|monthly included credits)|billing_hard_limit", re.I
)
_OVERLOAD = re.compile(r"overloaded|no capacity|too busy|queue is full", re.I)
_TOO_LONG = re.compile(
    r"context_length_exceeded|maximum context length|context (length|window|size)|prompt is too long"
    r"|too many (input )?tokens|inputs`? tokens|inputs`? must have less than|longer than the model|max_model_len",
    re.I,
)
_FILTERED = re.compile(r"content_filter|content_policy|moderation", re.I)

# Of what vLLM, OpenAI, TGI, SGLang and llama.cpp say. `limit` before `asked` or after it.
_NUMBERS = (
    re.compile(
        r"maximum context length (?:is|of) (?P<limit>\d+) tokens.*?(?:requested|resulted in|has) (?P<asked>\d+)", re.I
    ),
    re.compile(r"must be <= (?P<limit>\d+)\. Given: (?P<asked>\d+)", re.I),
    re.compile(r"less than (?P<limit>\d+) tokens\. Given: (?P<asked>\d+)", re.I),
    re.compile(r"\((?P<asked>\d+) tokens?\).{0,80}?\((?P<limit>\d+) tokens?\)", re.I),
    re.compile(r"(?P<asked>\d+) (?:input )?tokens.{0,80}?(?:maximum|limit|context)\D{0,60}(?P<limit>\d+)", re.I),
    re.compile(r"(?:maximum|limit|context)\D{0,60}(?P<limit>\d+)", re.I),
)


def _by_status(status: int, said: Said, target: str, model: str | None, wait: float | None) -> AmbidexError:
    """The kind of error, and what a person can do about it."""
    names = f"{said.code or ''} {said.kind or ''} {said.words}"
    of_model = f" of {model!r}" if model else ""

    def text(what: str, do: str) -> str:
        words = f" The server says: {said.words}" if said.words else ""
        return f"{what} ({status}).{words}{'' if words[-1:] in ('', '.', '!', '?', '…') else '.'} {do}".rstrip()

    match status:
        case 401:
            return AuthenticationError(text("The key is missing or refused", "Check the key and where it is from."))
        case 402:
            return QuotaExceeded(text("Credits are used up", "Add credits, or bill to another account."))
        case 403:
            return PermissionDenied(
                text(f"The key may not use {target}", f"Ask for access on the page{of_model}, or use another key.")
            )
        case 404:
            if re.search(r"model|repo", names, re.I):
                return NotFound(text(f"There is no model {model!r} here", "Check its name and who serves it."))
            return NotFound(text(f"There is no route {target}", "Check the base URL, and the name of the model."))
        case 407:
            return ProxyError(
                text("The proxy asks for a user name and password", "Give them in proxy=."), phase="proxy"
            )
        case 408:
            return DeadlineExceeded(
                text("The server gave up waiting", "Ask for less, or try again."), kind="server", limit=None
            )
        case 409:
            return Conflict(text("The server's state does not allow it now", "Try again later."))
        case 413:
            return RequestTooLarge(
                text("The request is too large for the server", "Send less: fewer or smaller parts.")
            )
        case 429 if _QUOTA.search(names):
            return QuotaExceeded(text("The quota is used up", "Waiting does not help: add credits or raise the quota."))
        case 429 | 503 | 529 if status == 529 or _OVERLOAD.search(names):
            return Overloaded(text("The server has no room now", "Try again later."), retry_after=wait)
        case 429:
            when = f"in {wait:g} s" if wait is not None else "later"
            return RateLimited(text("Too many requests", f"Try again {when}."), retry_after=wait)
        case 503 if said.estimated_time is not None or "loading" in said.words.lower():
            wait = said.estimated_time if wait is None else wait
            when = f" It says that it takes {wait:g} s." if wait is not None else ""
            return ModelLoading(
                text(f"The model{f' {model!r}' if model else ''} is being loaded", f"Try again.{when}"),
                retry_after=wait,
            )
        case 503:
            return Overloaded(text("The server is not available now", "Try again later."), retry_after=wait)
        case 424:
            return ServerError(text("The model failed while it generated", "Try again once."), retry_after=wait)
        case _ if status >= 500:
            return ServerError(
                text("The server failed", "Try again; if it stays, tell its operator."), retry_after=wait
            )
        case _:
            if _TOO_LONG.search(names):
                asked, limit = _token_numbers(said.words)
                return ContextLengthExceeded(
                    text("The prompt does not fit into the model's context", "Send less, or choose a longer context."),
                    asked=asked,
                    limit=limit,
                )
            if _FILTERED.search(f"{said.code or ''} {said.kind or ''}"):
                return ContentFiltered(text("The provider refused the content", "Say it differently."))
            return InvalidRequest(text("The server refused the request", "Change what it names; it was not answered."))


def _token_numbers(words: str) -> tuple[int | None, int | None]:
    """(asked, limit) as far as the server states them."""
    for pattern in _NUMBERS:
        if found := pattern.search(words):
            numbers = found.groupdict()
            asked, limit = numbers.get("asked"), numbers.get("limit")
            return int(asked[:12]) if asked else None, int(limit[:12]) if limit else None
    return None, None


def _filled(
    error: AmbidexError, status: int | None, said: Said, request_id: str | None, provider: str | None
) -> AmbidexError:
    error.status = status
    error.code = said.code or said.kind
    error.param = said.param
    error.provider = provider
    if request_id:
        error.request_id = clean(request_id)[:200]
        error.message = f"{error.message} [request {error.request_id}]"
        error.args = (error.message,)
    return error


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds to wait, from `retry-after-ms`, `Retry-After` (seconds or a date) or `RateLimit: ...;t=`; else None.

    A date is taken against the server's own `Date`, for clocks differ. What is no sane number is ignored.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return _sane(milliseconds / 1000)
    given = headers.get("retry-after")
    if given is not None:
        seconds = _number(given)
        if seconds is not None:
            return _sane(seconds)
        until = _date(given)
        if until is not None:
            told = _date(headers.get("date"))
            return _sane(max(0.0, until - (told if told is not None else time.time() if now is None else now)))
    reset = re.search(r";\s*t=(\d{1,9})\b", headers.get("ratelimit", ""))
    return _sane(float(reset[1])) if reset else None


def _number(text: str | None) -> float | None:
    return float(text) if text is not None and re.fullmatch(r"\s*\d{1,15}(\.\d{1,9})?\s*", text, re.ASCII) else None


def _date(text: str | None) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp() if text else None
    except (TypeError, ValueError, OverflowError, OSError, IndexError):
        return None


def _sane(seconds: float) -> float | None:
    return seconds if 0 <= seconds <= MAX_RETRY_AFTER else None
