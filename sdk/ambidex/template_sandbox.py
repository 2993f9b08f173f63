"""Jinja as chat templates expect it, for templates that nobody has looked at.

The globals, filters and tags are those that Hugging Face's transformers gives: templates are written against them.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NoReturn

import jinja2
import jinja2.ext
import jinja2.meta
import jinja2.nodes
import jinja2.parser
import jinja2.runtime
import jinja2.sandbox
import jinja2.utils

from .errors import TemplateError, TemplateLimitExceeded

MAX_OUTPUT = 4_000_000
"""Characters of a rendered prompt."""


class CompiledTemplate:
    """A template's source, ready to `render`. Raises `TemplateError` for what is no template."""

    def __init__(self, source: str) -> None:
        self.source = source
        try:
            tree = _environment().parse(source)
            self.variables: frozenset[str] = frozenset(jinja2.meta.find_undeclared_variables(tree))
            self._template = _environment().from_string(source)
        except jinja2.TemplateSyntaxError as problem:
            raise TemplateError(f"The chat template cannot be read, line {problem.lineno}: {problem.message}") from None
        except (jinja2.TemplateError, RecursionError, ValueError, OverflowError) as problem:
            raise TemplateError(f"The chat template cannot be read: {problem}") from None

    def render(self, variables: Mapping[str, Any], now: datetime.datetime | None = None) -> str:
        """Raises `TemplateError` with the template's own words, `TemplateLimitExceeded`."""
        given = {**variables, "strftime_now": lambda form: (now or datetime.datetime.now()).strftime(str(form))}
        pieces: list[str] = []
        length = 0
        try:
            for piece in self._template.generate(given):
                pieces.append(piece)
                length += len(piece)
                if length > MAX_OUTPUT:
                    raise TemplateLimitExceeded(f"The chat template wrote more than {MAX_OUTPUT} characters.")
        except TemplateLimitExceeded:
            raise
        except Exception as problem:  # whatever the template does wrong with its data
            words = str(problem) or type(problem).__name__
            raise TemplateError(f"The chat template failed: {words}") from None
        return "".join(pieces)


class _GenerationTag(jinja2.ext.Extension):
    """`{% generation %}...{% endgeneration %}` marks an answer for training; here it only stands for its body."""

    tags = {"generation"}  # noqa: RUF012  # jinja2's own way

    def parse(self, parser: jinja2.parser.Parser) -> list[jinja2.nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


@lru_cache(maxsize=1)
def _environment() -> jinja2.sandbox.ImmutableSandboxedEnvironment:
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationTag, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _raise_exception
    return environment


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Unlike jinja2's own, without HTML escapes."""
    text = json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
    return text


def _raise_exception(message: object) -> NoReturn:
    raise jinja2.TemplateError(str(message))
