"""The tree of errors: one root, all picklable with their fields, no text beyond what was put in."""

from __future__ import annotations

import inspect
import pickle
from typing import Any

import pytest

from ambidex import AgentResult, Assistant, Choice, Reply, ToolCall, Usage, errors
from ambidex.errors import AmbidexError
from ambidex.journal import CallInDoubt

EVERY_ERROR = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, AmbidexError)]
FIELDS: dict[str, Any] = {
    "partial": Reply((Choice(Assistant("so far")),)),
    "status": 429,
    "code": "slow_down",
    "request_id": "req-1",
    "provider": "acme",
    "retry_after": 1.5,
    "param": "n",
    "attempts": 3,
}
OWN: dict[str, dict[str, Any]] = {
    "ContextLengthExceeded": {"asked": 9, "limit": 8},
    "TransportError": {"phase": "tls", "sent": False},
    "DeadlineExceeded": {"kind": "idle", "limit": 2.0},
    "LimitExceeded": {"name": "body", "limit": 10},
    "OutputInvalid": {"problems": ("a", "b")},
    "LimitReached": {"result": AgentResult("", None, (), (), Usage(), "max_steps")},
    "JournalError": {"run_id": "r"},
    "CallsInDoubt": {"run_id": "r", "calls": (CallInDoubt("r", 1, 0, 1, ToolCall("1", "pay", {"n": 1})),)},
    "NonFiniteLogits": {"step": 7},
}


def own_fields(kind: type[AmbidexError]) -> dict[str, Any]:
    return next((OWN[base.__name__] for base in kind.__mro__ if base.__name__ in OWN), {})


@pytest.mark.parametrize("kind", EVERY_ERROR, ids=lambda kind: kind.__name__)
def test_every_error_is_picklable_with_its_fields(kind: Any) -> None:
    fields = FIELDS | own_fields(kind)
    error = kind("It went wrong.", **fields)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert str(copy) == str(error) == "It went wrong."
    assert {name: getattr(copy, name) for name in fields} == fields
    assert copy.args == error.args


@pytest.mark.parametrize("kind", EVERY_ERROR, ids=lambda kind: kind.__name__)
def test_every_error_stands_in_the_tree_of_the_docstring(kind: Any) -> None:
    assert errors.__doc__ is not None
    assert kind.__name__ in errors.__doc__
    assert kind.__doc__


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        ("DeadlineExceeded", TimeoutError),
        ("InvalidRequest", ValueError),
        ("ConfigError", ValueError),
        ("MissingExtra", ImportError),
        ("ModelNotFound", FileNotFoundError),
        ("OutOfMemory", MemoryError),
    ],
)
def test_who_catches_python_s_errors_catches_ours(kind: str, builtin: type[Exception]) -> None:
    assert issubclass(getattr(errors, kind), builtin)


def test_fields_that_do_not_apply_are_none() -> None:
    error = AmbidexError("x")
    assert error.attempts == 1
    names = ("partial", "status", "code", "request_id", "provider", "retry_after", "param")
    assert [getattr(error, name) for name in names] == [None] * 7
