"""Structured output: a type in, a validated value of it out."""

from __future__ import annotations

import contextlib
import re
from typing import Any

from . import strict_json
from .errors import InvalidRequest, OutputInvalid, Unsupported
from .grammar import Grammar, Json, Lark, Regex
from .type_reading import UnreadableType, adapter_of, raised, schema_of

REFUSED_SCHEMA = "schema_not_held"
"""The `code` of an `Unsupported` that is about one schema: others can be held, so it is not asked for in words."""

_FENCED = re.compile(r"^```[a-zA-Z0-9]*[ \t]*\n(.*?)\n```[ \t]*$", re.MULTILINE | re.DOTALL)


def form(output: Any) -> Grammar:
    """What an answer must look like: a `Regex` or `Lark` as it is, else JSON by the type's schema.

    Raises `InvalidRequest` for a type that has none.
    """
    return output if isinstance(output, (Regex, Lark)) else Json(json_schema(output))


def json_schema(output: Any) -> dict[str, Any]:
    """The JSON schema of a type. Raises `InvalidRequest` for a type that has none, `Unsupported` for a `Regex`."""
    if isinstance(output, (Regex, Lark)):
        raise Unsupported(
            f"A {type(output).__name__} is held by models in this process only; give a type.", param="output"
        )
    try:
        return schema_of(adapter_of(output))
    except UnreadableType as problem:
        raise _unreadable(problem) from None


def validate(text: str, output: Any) -> Any:
    """The value of type `output` that an answer's text holds as JSON: alone, or in the one code fence of the text.

    Raises `OutputInvalid`, whose `problems` say for people and models what does not fit.
    """
    from pydantic import ValidationError

    if isinstance(output, Lark):
        return text  # which only a grammar over tokens reads
    if isinstance(output, Regex):
        if not _matches(output.pattern, text):
            raise _misfit(f"it does not match {output.pattern!r} as a whole")
        return text
    inside = _without_fence(text)
    try:
        value = strict_json.loads(inside)
    except strict_json.StrictJSONError as error:
        if output is str:
            return text
        blocks = _FENCED.findall(text)
        if len(blocks) == 1 and blocks[0].strip() != inside:
            return validate(blocks[0], output)
        raise OutputInvalid(f"The answer is not the JSON that was asked for: {error}", problems=(str(error),)) from None
    try:
        adapter = adapter_of(output)
    except UnreadableType as problem:
        raise _unreadable(problem) from None
    try:
        return adapter.validate_json(inside)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        problems = tuple(f"{_path(item['loc'])}: {item['msg']}" for item in found)
        if output is str and not isinstance(value, str):
            return text
        raise _misfit(*problems) from None
    except Exception as problem:  # of a validator, or of a class's own constructor
        raise _misfit(raised(problem)) from problem


def _unreadable(problem: UnreadableType) -> InvalidRequest:
    return InvalidRequest(f"output takes a type with a JSON schema: {problem}", param="output")


def _misfit(*problems: str) -> OutputInvalid:
    return OutputInvalid(
        f"The answer does not fit the type that was asked for: {'; '.join(problems)}", problems=problems
    )


def _matches(pattern: str, text: str) -> bool:
    """Whether a Rust regular expression matches as a whole: in linear time, by Rust's own library in pydantic.

    True, too, where that cannot read it: what holds models to it may read more.
    """
    from pydantic_core import SchemaError, SchemaValidator, core_schema

    for whole_pattern in (rf"\A(?:{pattern})\z", f"\\A(?:{pattern}\n)\\z"):  # (?x) allows for a comment at its end
        with contextlib.suppress(SchemaError):
            return SchemaValidator(core_schema.str_schema(pattern=whole_pattern)).isinstance_python(text)
    return True


def _without_fence(text: str) -> str:
    """What stands inside one Markdown code fence, if the text is one."""
    text = text.strip()
    first, newline, rest = text.partition("\n")
    if newline and first.startswith("```") and rest.endswith("```"):
        return rest[:-3].strip()
    return text


def _path(location: tuple[int | str, ...]) -> str:
    return ".".join(map(str, location)) or "the value"
