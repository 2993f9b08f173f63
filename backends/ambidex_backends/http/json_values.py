"""What a JSON value is, for readers of answers that may hold anything in any place."""

from __future__ import annotations

from typing import Any, TypeGuard


def is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def is_list(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def as_object(value: Any) -> dict[str, Any]:
    """An object, or an empty one in place of anything else."""
    return value if is_object(value) else {}


def as_list(value: Any) -> list[Any]:
    """A list, or an empty one in place of anything else."""
    return value if is_list(value) else []


def as_text(value: Any) -> str:
    """A text, or an empty one in place of anything else."""
    return value if isinstance(value, str) else ""


def as_whole(value: Any) -> int | None:
    """A whole number, not a bool; else None."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def as_number(value: Any) -> float | None:
    """A number, not a bool; else None."""
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
