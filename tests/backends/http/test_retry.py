"""Which errors are tried again, after how long, and that total failure is hardly amplified. Without a network."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ambidex import errors
from ambidex_backends.http.retry import (
    MAX_SERVER_DELAY,
    THROTTLED,
    TRANSIENT,
    Backoff,
    Budget,
    again,
    budget_of,
    seconds_to_wait,
)


def with_status(kind: type[errors.AmbidexError], status: int) -> errors.AmbidexError:
    return kind("x", status=status)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errors.RateLimited("x"), "yes"),
        (errors.Overloaded("x"), "yes"),
        (errors.ModelLoading("x"), "yes"),
        (with_status(errors.ServerError, 500), "yes"),
        (with_status(errors.ServerError, 424), "once"),
        (with_status(errors.ServerError, 501), "no"),
        (errors.Conflict("x"), "once"),
        (errors.ConnectError("x", phase="connect", sent=False), "yes"),
        (errors.ConnectError("x", phase="dns", code="lookup_failed"), "yes"),
        (errors.ConnectError("x", phase="dns", code="unknown_name"), "no"),
        (errors.TLSError("x"), "no"),
        (errors.ProxyError("x"), "no"),
        (errors.TransportError("x", phase="write"), "once"),
        (errors.StreamInterrupted("x"), "yes"),
        (errors.IncompleteResponse("x"), "yes"),
        (errors.IncompleteResponse("x", code="no_finish_reason"), "no"),
        (errors.MalformedResponse("x"), "once"),
        (errors.DeadlineExceeded("x", kind="connect"), "yes"),
        (errors.DeadlineExceeded("x", kind="server"), "yes"),
        (errors.DeadlineExceeded("x", kind="first_byte"), "once"),
        (errors.DeadlineExceeded("x", kind="idle"), "no"),
        (errors.DeadlineExceeded("x", kind="total"), "no"),
        (errors.DeadlineExceeded("x", kind="pool"), "no"),
        (errors.InvalidRequest("x"), "no"),
        (errors.AuthenticationError("x"), "no"),
        (errors.QuotaExceeded("x"), "no"),
        (errors.NotFound("x"), "no"),
        (errors.UnexpectedContentType("x"), "no"),
        (errors.RedirectBlocked("x"), "no"),
        (errors.LimitExceeded("x", name="line_bytes", limit=1), "no"),
        (errors.ConfigError("x"), "no"),
    ],
)
def test_what_is_tried_again(error: errors.AmbidexError, expected: str) -> None:
    assert again(error) == expected


@given(attempt=st.integers(1, 50), chance=st.floats(0, 1, exclude_max=True))
@pytest.mark.parametrize("backoff", [TRANSIENT, THROTTLED])
def test_a_backoff_stays_within_its_bounds(backoff: Backoff, attempt: int, chance: float) -> None:
    seconds = backoff.seconds(attempt, chance)
    ceiling = min(backoff.cap, backoff.base * 2 ** (attempt - 1))
    assert ceiling * backoff.fixed <= seconds <= ceiling


def test_throttling_always_waits_transient_trouble_may_not() -> None:
    assert seconds_to_wait(errors.RateLimited("x"), 1, 0.0) == 0.5
    assert seconds_to_wait(with_status(errors.ServerError, 500), 1, 0.0) == 0.0


@given(asked=st.floats(0.001, 1e6), attempt=st.integers(1, 9), chance=st.floats(0, 1, exclude_max=True))
def test_what_a_server_asks_is_never_undercut_and_never_much_exceeded(
    asked: float, attempt: int, chance: float
) -> None:
    wait = seconds_to_wait(errors.RateLimited("x", retry_after=asked), attempt, chance)
    if asked > MAX_SERVER_DELAY:
        assert wait is None
    else:
        assert wait is not None
        assert asked <= wait <= asked + 0.4


def test_to_be_asked_for_no_wait_is_to_be_asked_nothing() -> None:
    assert seconds_to_wait(errors.RateLimited("x", retry_after=0.0), 1, 0.0) == 0.5


def test_total_failure_is_amplified_by_a_tenth_at_most_once_the_budget_is_spent() -> None:
    budget, tries = Budget(), 0
    for _ in range(1000):
        tries += 1
        while budget.spend():
            tries += 1
    assert tries <= 1000 + Budget.SIZE


@given(st.lists(st.booleans(), max_size=500))
def test_retries_are_bounded_by_the_successes(outcomes: list[bool]) -> None:
    budget, retries = Budget(), 0
    for succeeded in outcomes:
        if succeeded:
            budget.succeeded()
        elif budget.spend():
            retries += 1
    assert retries <= Budget.SIZE + Budget.PER_SUCCESS * outcomes.count(True) + 1e-6


def test_a_budget_belongs_to_an_endpoint_and_a_model() -> None:
    assert budget_of("http://a/v1", "m") is budget_of("http://a/v1", "m")
    assert budget_of("http://a/v1", "m") is not budget_of("http://a/v1", "n")
    assert budget_of("http://a/v1", "m") is not budget_of("http://b/v1", "m")
