"""What servers say when they refuse or fail, as errors that a program can act on and a person can read."""

from __future__ import annotations

import json
import pickle
from email.utils import formatdate
from typing import Any

import pytest

from ambidex import errors
from ambidex_backends.http.server_errors import for_response, read_value, retry_after


def error(status: int, body: Any, headers: dict[str, str] | None = None) -> errors.AmbidexError:
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return for_response(status, headers or {}, raw, target="host.test/v1/chat/completions", model="org/m")


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, {"error": {"message": "bad", "param": "top_k", "code": "unsupported"}}, errors.InvalidRequest),
        (401, {"error": "Invalid username or password."}, errors.AuthenticationError),
        (402, {"error": "You have exceeded your monthly included credits"}, errors.QuotaExceeded),
        (403, {"error": "gated"}, errors.PermissionDenied),
        (404, {"error": "Model org/m does not exist"}, errors.NotFound),
        (408, "", errors.DeadlineExceeded),
        (409, {"error": "busy"}, errors.Conflict),
        (413, {"error": "too big"}, errors.RequestTooLarge),
        (422, {"error": "UNSUPPORTED_OPENAI_PARAMS", "error_type": "validation"}, errors.InvalidRequest),
        (424, {"error": "Request failed during generation", "error_type": "generation"}, errors.ServerError),
        (429, {"error": "slow down"}, errors.RateLimited),
        (429, {"error": {"message": "x", "code": "insufficient_quota"}}, errors.QuotaExceeded),
        (429, {"error": "Model is overloaded", "error_type": "overloaded"}, errors.Overloaded),
        (500, {"error": "incomplete_generation"}, errors.ServerError),
        (502, "<html>bad gateway</html>", errors.ServerError),
        (503, {"error": "Model org/m is currently loading", "estimated_time": 20.0}, errors.ModelLoading),
        (503, {"error": "unhealthy"}, errors.Overloaded),
        (504, "", errors.ServerError),
        (529, {"error": {"type": "overloaded_error", "message": "later"}}, errors.Overloaded),
        (400, {"error": {"message": "x", "code": "content_filter"}}, errors.ContentFiltered),
        (418, {"error": "teapot"}, errors.InvalidRequest),
        (599, "", errors.ServerError),
    ],
)
def test_status_and_body_give_the_kind(status: int, body: Any, kind: type[errors.AmbidexError]) -> None:
    problem = error(status, body, {"x-request-id": "req-7"})
    assert type(problem) is kind
    assert problem.status == status
    assert problem.request_id == "req-7"
    assert str(status) in str(problem)
    assert "req-7" in str(problem)
    assert pickle.loads(pickle.dumps(problem)).__dict__ == problem.__dict__


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": "plain words"}, "plain words"),
        ({"error": {"message": "inner words", "type": "t", "code": "c", "param": "p"}}, "inner words"),
        ({"error": ["one", "two"]}, "one; two"),
        ({"error": "invalid", "error_description": "more"}, "invalid"),
        ({"error_description": "only this"}, "only this"),
        ({"errors": [{"message": "first"}, {"message": "second"}]}, "first; second"),
        ({"message": "top"}, "top"),
        ({"detail": "detail"}, "detail"),
        (
            {"detail": [{"loc": ["body", "messages"], "msg": "field required", "type": "missing"}]},
            "body.messages: field required",
        ),
        ("just text", "just text"),
    ],
)
def test_the_servers_own_words_are_in_the_message(body: Any, words: str) -> None:
    assert words in str(error(400, body))


def test_words_are_bounded_and_clean() -> None:
    message = str(error(400, "a\x1b[31m\r\n\x00b" + "x" * 100_000))
    assert len(message) < 2000
    assert message.isprintable()


def test_a_web_page_is_not_repeated() -> None:
    message = str(error(502, "<!doctype html><title>SECRET-PAGE</title>", {"content-type": "text/html"}))
    assert "SECRET-PAGE" not in message
    assert "web page" in message


def test_fields_are_kept() -> None:
    problem = error(400, {"error": {"message": "m", "type": "t", "code": "unsupported_parameter", "param": "top_k"}})
    assert (problem.code, problem.param) == ("unsupported_parameter", "top_k")


def test_words_from_a_header_when_the_body_has_none() -> None:
    problem = error(403, "", {"x-error-message": "Access to model org/m is restricted", "x-error-code": "GatedRepo"})
    assert "restricted" in str(problem)
    assert problem.code == "GatedRepo"


def test_not_found_says_what() -> None:
    assert "org/m" in str(error(404, {"error": "Model not found"}))
    assert "base URL" in str(error(404, "404 page not found"))


@pytest.mark.parametrize(
    ("words", "asked", "limit"),
    [
        (
            "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens "
            "(4000 in the messages, 1000 in the completion).",
            5000,
            4096,
        ),
        (
            "This model's maximum context length is 4096 tokens. However, your messages resulted in 6000 tokens.",
            6000,
            4096,
        ),
        (
            "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 2048. Given: 3000 `inputs` tokens",
            3000,
            2048,
        ),
        ("Input validation error: `inputs` must have less than 1024 tokens. Given: 2000", 2000, 1024),
        ("The input (9000 tokens) is longer than the model's context length (8192 tokens).", 9000, 8192),
        ("the request exceeds the available context size. try increasing the context size", None, None),
        ("prompt is too long", None, None),
    ],
)
def test_context_overflow_in_the_words_of_many_servers(words: str, asked: int | None, limit: int | None) -> None:
    for status in (400, 422):
        problem = error(status, {"error": {"message": words}})
        assert isinstance(problem, errors.ContextLengthExceeded)
        assert (problem.asked, problem.limit) == (asked, limit)


NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "1"}, 1.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "50", "retry-after": "9"}, 0.05),
        ({"retry-after": formatdate(NOW + 2, usegmt=True)}, 2.0),
        ({"retry-after": formatdate(NOW + 100, usegmt=True), "date": formatdate(NOW + 98, usegmt=True)}, 2.0),
        ({"retry-after": formatdate(NOW - 10, usegmt=True)}, 0.0),
        ({"ratelimit": '"api";r=0;t=55'}, 55.0),
        ({"retry-after": "3600"}, 3600.0),
        ({}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "1" + "0" * 35}, None),
        ({"retry-after": "Fri, 31 Dec 100000 23:59:59 GMT"}, None),
        ({"retry-after": "٣"}, None),
        ({"retry-after": ""}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, NOW) == seconds


def test_retry_after_is_on_the_error() -> None:
    assert error(429, {"error": "x"}, {"retry-after": "3600"}).retry_after == 3600
    assert error(503, {"error": "loading", "estimated_time": 20.5}).retry_after == 20.5


@pytest.mark.parametrize(
    "value", [None, 1, True, [], {}, {"error": None}, {"error": {"message": 5}}, [[[]]], {"detail": {"a": 1}}]
)
def test_odd_bodies_never_fail(value: Any) -> None:
    assert isinstance(read_value(value).words, str)
    assert isinstance(error(400, value), errors.InvalidRequest)
