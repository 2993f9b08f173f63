"""The form of prompt files: a header and sections, split before any value is put in. See `PromptTemplate`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

from .errors import InvalidRequest
from .strict_json import StrictJSONError, loads

Role: TypeAlias = Literal["system", "user", "assistant", "examples"]


@dataclass(frozen=True, slots=True)
class Section:
    """One message's text with its placeholders; of `examples`: the name of the variable that holds them."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class Variable:
    """A declared variable. `default` is in a tuple of one, or the tuple is empty."""

    type: Any
    default: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class PromptFile:
    """A prompt's text, taken apart. `variables` is None where the text declares none."""

    name: str | None
    version: str | None
    variables: Mapping[str, Variable] | None
    sections: tuple[Section, ...]


class Examples:
    """The type of a variable of examples: pairs (user, assistant), or mappings with these two names."""


TYPES: Mapping[str, Any] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": bool,
    "list": list[Any],
    "list[str]": list[str],
    "list[int]": list[int],
    "list[float]": list[float],
    "dict": dict[str, Any],
    "any": Any,
    "examples": Examples,
}
"""The types that a header can name."""

_SECTION = re.compile(r"^---[ \t]+(\w+)(?:[ \t]+(\w+))?[ \t]*$", re.MULTILINE)
_HEADER = re.compile(r"\A---[ \t]*\n(.*?)(?=^---)(?:^---[ \t]*(?:\n|\Z))?", re.MULTILINE | re.DOTALL)
_DECLARATION = re.compile(r"(\w+)[ \t]*:[ \t]*([\w\[\]]+)[ \t]*(?:=[ \t]*(.*))?")


def parse(source: str) -> PromptFile:
    """Takes a prompt's text apart. Raises `InvalidRequest` that names the line at fault."""
    header = _HEADER.match(source)
    if header is None and source.partition("\n")[0].rstrip() == "---":
        raise InvalidRequest("The prompt's header has no end: put '---' or a section such as '--- user' below it.")
    name, version, variables = _header(header[1]) if header else (None, None, None)
    return PromptFile(name, version, variables, _sections(source[header.end() :] if header else source))


def _header(text: str) -> tuple[str | None, str | None, Mapping[str, Variable] | None]:
    fields: dict[str, str] = {}
    variables: dict[str, Variable] | None = None
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if line[0] in " \t" and variables is not None:
            name, variable = _declaration(line.strip())
            if name in variables:
                raise InvalidRequest(f"The prompt's header declares {name!r} twice.")
            variables[name] = variable
            continue
        field, colon, value = line.partition(":")
        if field not in ("name", "version", "variables") or not colon or field in fields:
            raise InvalidRequest(
                f"The prompt's header has the line {line[:80]!r}; it takes 'name: ...', 'version: ...' and "
                "'variables:' with indented lines 'name: type = default', each once."
            )
        fields[field] = value.strip()
        if field == "variables":
            variables = {}
            if value.strip():
                raise InvalidRequest("The prompt's variables stand below 'variables:', indented, one on each line.")
    return fields.get("name"), fields.get("version"), variables


def _declaration(line: str) -> tuple[str, Variable]:
    found = _DECLARATION.fullmatch(line)
    if found is None or found[2] not in TYPES:
        raise InvalidRequest(
            f"The prompt's header has the variable {line[:80]!r}; one is written 'name: type' or "
            f"'name: type = default'. The types are: {', '.join(TYPES)}."
        )
    name, kind, default = found.groups()
    if default is None:
        return name, Variable(TYPES[kind])
    try:
        value = loads(default)
    except StrictJSONError:
        if kind != "str":
            raise InvalidRequest(f"The default of {name!r} is JSON, got {default[:80]!r}.") from None
        value = default
    return name, Variable(TYPES[kind], (default if kind == "str" and not isinstance(value, str) else value,))


def _sections(text: str) -> tuple[Section, ...]:
    marks = list(_SECTION.finditer(text))
    before = text[: marks[0].start()] if marks else text
    if not marks:
        return (Section("user", text.strip()),)
    if before.strip():
        raise InvalidRequest(
            f"The prompt has text before its first section: {before.strip()[:40]!r}. "
            "Put '--- user' or another role above it."
        )
    sections: list[Section] = []
    ends = [*(mark.start() for mark in marks[1:]), len(text)]
    for mark, end in zip(marks, ends, strict=True):
        role, variable = mark.groups()
        body = text[mark.end() : end].strip()
        if role == "examples" and variable and not body:
            sections.append(Section("examples", variable))
        elif role in ("system", "user", "assistant") and not variable:
            sections.append(Section(cast(Role, role), body))
        else:
            raise InvalidRequest(
                f"The prompt has the section {mark[0].strip()!r}; sections are '--- system', '--- user', "
                "'--- assistant' and, with nothing below it, '--- examples VARIABLE'."
            )
    return tuple(sections)
