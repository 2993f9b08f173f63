"""Jinja as chat templates expect it, for templates that nobody has looked at.

The globals, filters and tags are those that Hugging Face's transformers gives: templates are written against them.
What a template may use up is bounded (see `template_limits.py`); it sees plain data only.
"""

from __future__ import annotations

import datetime
import json
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

from . import template_limits as limits
from .errors import TemplateError, TemplateLimitExceeded

MAX_SOURCE = 1_000_000
"""Characters of a template."""

_UNBOUNDED_METHODS = frozenset({"translate", "maketrans", "expandtabs", "format_map"})


class CompiledTemplate:
    """A template's source, ready to `render`. Raises `TemplateError` for what is no template."""

    def __init__(self, source: str) -> None:
        self.source = source
        if len(source) > MAX_SOURCE:
            raise TemplateLimitExceeded(f"The chat template has more than {MAX_SOURCE} characters.")
        try:
            environment = _environment()
            self.variables: frozenset[str] = frozenset(jinja2.meta.find_undeclared_variables(environment.parse(source)))
            self._template = environment.from_string(source)
        except jinja2.TemplateSyntaxError as problem:
            raise TemplateError(f"The chat template cannot be read, line {problem.lineno}: {problem.message}") from None
        except Exception as problem:  # Python's own limits on what it compiles are not jinja2's errors
            raise TemplateError(f"The chat template cannot be read: {problem}") from None

    def render(self, variables: Mapping[str, Any], now: datetime.datetime | None = None) -> str:
        """Raises `TemplateError` with the template's own words, `TemplateLimitExceeded`."""

        def strftime_now(form: object) -> str:
            return (now or datetime.datetime.now()).strftime(str(form)[:200])

        pieces: list[str] = []
        length = 0
        try:
            with limits.budget():
                for piece in self._template.generate({**variables, "strftime_now": strftime_now}):
                    pieces.append(piece)
                    length += len(piece)
                    limits.check_size(length)
        except TemplateLimitExceeded:
            raise
        except (RecursionError, MemoryError):
            raise TemplateLimitExceeded("The chat template used more memory or depth than it may.") from None
        except Exception as problem:  # whatever the template does wrong with its data
            words = str(problem) or type(problem).__name__
            raise TemplateError(f"The chat template failed: {words}") from None
        return "".join(pieces)


class _Sandbox(jinja2.sandbox.ImmutableSandboxedEnvironment):
    """Counts loops and calls, and looks at sizes before something large is made."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})
    concat = staticmethod(limits.joined)

    def _parse(self, source: str, name: str | None, filename: str | None) -> jinja2.nodes.Template:
        tree = super()._parse(source, name, filename)
        for loop in tree.find_all(jinja2.nodes.For):
            loop.iter = _filtered(loop.iter, "for")
        for concat in list(tree.find_all(jinja2.nodes.Concat)):
            concat.nodes = [_filtered(jinja2.nodes.List(concat.nodes, lineno=concat.lineno), "~")]
        for operand in tree.find_all(jinja2.nodes.Operand):
            if operand.op in ("in", "notin"):
                operand.expr = _filtered(operand.expr, "in")
        return tree

    def call_binop(self, context: jinja2.runtime.Context, operator: str, left: Any, right: Any) -> Any:
        limits.check_operator(operator, left, right)
        return limits.made(super().call_binop(context, operator, left, right))

    def call(__self, __context: jinja2.runtime.Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        limits.check_call(__obj, args, kwargs)
        return limits.made(super().call(__context, __obj, *args, **kwargs))

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        wrapped = super().wrap_str_format(value)
        if wrapped is None:
            return None

        def limited(*args: Any, **kwargs: Any) -> str:
            limits.check_form(value.__self__, "{", [*args, *kwargs.values()])
            return str(wrapped(*args, **kwargs))

        return limited

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        return attr not in _UNBOUNDED_METHODS and super().is_safe_attribute(obj, attr, value)


def _filtered(node: Any, name: str) -> jinja2.nodes.Filter:
    return jinja2.nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


class _GenerationTag(jinja2.ext.Extension):
    """`{% generation %}...{% endgeneration %}` marks an answer for training; here it only stands for its body."""

    tags = {"generation"}  # noqa: RUF012  # jinja2's own way

    def parse(self, parser: jinja2.parser.Parser) -> jinja2.nodes.Node:
        line = next(parser.stream).lineno
        return jinja2.nodes.Scope(parser.parse_statements(("name:endgeneration",), drop_needle=True), lineno=line)


class _Namespace(jinja2.utils.Namespace):
    """No names with an underscore first: such a name is how templates have reached Python's insides."""

    def __init__(*args: Any, **kwargs: Any) -> None:
        self, *given = args
        values = dict(*given, **kwargs)
        for name in values:
            _check_name(name)
        jinja2.utils.Namespace.__init__(self, values)

    def __setitem__(self, name: str, value: Any) -> None:
        _check_name(name)
        super().__setitem__(name, value)


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    environment = _Sandbox(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[_GenerationTag, jinja2.ext.loopcontrols],
        finalize=limits.checked_output,
        optimized=False,
    )
    environment.filters["tojson"] = _tojson
    limited = {name: limits.limited_filter(name, filter) for name, filter in environment.filters.items()}
    filters: dict[str, Any] = {**limited, "for": limits.counted, "~": limits.concatenated, "in": limits.searched}
    variables: dict[str, Any] = {"raise_exception": _raise_exception, "dict": _dict, "namespace": _Namespace}
    environment.filters.update(filters)
    environment.globals.update(variables)
    del environment.globals["lipsum"]
    return environment


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Unlike jinja2's own, without HTML escapes."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _dict(*args: Any, **kwargs: Any) -> dict[Any, Any]:
    return dict(*args, **kwargs)


def _raise_exception(message: object) -> NoReturn:
    raise jinja2.TemplateError(str(message))


def _check_name(name: object) -> None:
    if str(name).startswith("_"):
        raise jinja2.exceptions.SecurityError(
            f"a namespace has no names that begin with an underscore, as {name!r} does"
        )
