"""Structured output: a type in, a validated value of it out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from . import strict_json
from .errors import InvalidRequest, OutputInvalid, Unsupported
from .grammar import Grammar, Json, Lark, Regex

if TYPE_CHECKING:
    from pydantic import TypeAdapter

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
    from pydantic import PydanticUserError

    if isinstance(output, (Regex, Lark)):
        raise Unsupported(
            f"A {type(output).__name__} is held by models in this process only; give a type.", param="output"
        )

    try:
        return _adapter(output).json_schema()
    except PydanticUserError as problem:
        raise InvalidRequest(f"output takes a type with a JSON schema: {problem.message}", param="output") from None


def validate(text: str, output: Any) -> Any:
    """The value of type `output` that an answer's text holds as JSON: alone, or in the one code fence of the text.

    Raises `OutputInvalid`, whose `problems` say for people and models what does not fit.
    """
    from pydantic import ValidationError

    if isinstance(output, (Regex, Lark)):
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
        return _adapter(output).validate_json(inside)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        problems = tuple(f"{_path(item['loc'])}: {item['msg']}" for item in found)
        if output is str and not isinstance(value, str):
            return text
        raise OutputInvalid(
            f"The answer does not fit the type that was asked for: {'; '.join(problems)}", problems=problems
        ) from None


def _adapter(output: Any) -> TypeAdapter[Any]:
    from pydantic import PydanticUserError, TypeAdapter

    try:
        return TypeAdapter(output)
    except PydanticUserError as problem:
        raise InvalidRequest(f"output takes a type with a JSON schema: {problem.message}", param="output") from None


def _without_fence(text: str) -> str:
    """What stands inside one Markdown code fence, if the text is one."""
    text = text.strip()
    first, newline, rest = text.partition("\n")
    if newline and first.startswith("```") and rest.endswith("```"):
        return rest[:-3].strip()
    return text


def _path(location: tuple[int | str, ...]) -> str:
    return ".".join(map(str, location)) or "the value"
