"""Types as pydantic reads them: what checks their values, their JSON schema, and why one has none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_DATA = frozenset({"default", "expected", "metadata", "config"})
"""Keys of pydantic's core schemas below which no schema stands."""


class UnreadableType(Exception):
    """A type that no JSON can be checked against, or that has no JSON schema; the text says why."""


def adapter_of(annotation: Any) -> TypeAdapter[Any]:
    """What checks values of a type, all of them at once. Raises `UnreadableType`."""
    from pydantic import TypeAdapter
    from pydantic_core import SchemaValidator

    try:
        adapter = TypeAdapter[Any](annotation)
        lazy = list(_lazy_parts(adapter.core_schema))
        if lazy:
            for part in lazy:
                part["type"] = "list"
            adapter.validator = SchemaValidator(adapter.core_schema)
    except UnreadableType:
        raise
    except Exception as problem:
        raise UnreadableType(why_unreadable(problem)) from None
    return adapter


def schema_of(adapter: TypeAdapter[Any]) -> dict[str, Any]:
    """The JSON schema. Raises `UnreadableType`."""
    try:
        schema = adapter.json_schema()
        json.dumps(schema, allow_nan=False)
    except Exception as problem:
        raise UnreadableType(why_unreadable(problem)) from None
    return schema


def why_unreadable(problem: Exception) -> str:
    """What pydantic says of a type, or what the type's own code raised while it was read."""
    message = getattr(problem, "message", None)  # pydantic's own errors: without the address of a page
    if isinstance(message, str):
        return message
    return str(problem) if isinstance(problem, ImportError) else raised(problem)


def raised(problem: Exception) -> str:
    """An error of code that is not ours, in words."""
    return f"{type(problem).__name__}: {problem}"


def _lazy_parts(schema: object) -> Iterator[dict[str, Any]]:
    """Of pydantic's core schema each `Iterable[T]`: it would check the items one by one, and only when they are read.

    Raises `UnreadableType` for one in a pydantic class, which brings a validator of its own.
    """
    if isinstance(schema, (list, tuple)):
        for item in cast("list[object]", schema):
            yield from _lazy_parts(item)
    if not isinstance(schema, dict):
        return
    schema = cast("dict[str, Any]", schema)
    if schema.get("type") == "generator":
        yield schema
    for key, item in schema.items():
        if key not in _DATA or not isinstance(schema.get("type"), str):  # else it is a table of fields by their names
            for part in _lazy_parts(item):
                if hasattr(schema.get("cls"), "__pydantic_validator__"):
                    raise UnreadableType(
                        f"{schema['cls'].__name__} has an Iterable, whose items pydantic checks only when they are "
                        "read: write list[...]"
                    )
                yield part
