"""Jinja as chat templates expect it, for templates that nobody has looked at.

The globals, filters and tags are those that Hugging Face's transformers gives: templates are written against them.
What a template may use up is bounded (see `template_limits.py`); it sees plain data only.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, NoReturn, cast

import jinja2
import jinja2.ext
import jinja2.lexer
import jinja2.meta
import jinja2.nodes
import jinja2.parser
import jinja2.runtime
import jinja2.sandbox
import jinja2.utils
import jinja2.visitor

from . import template_limits as limits
from .errors import TemplateError, TemplateLimitExceeded

MAX_SOURCE = 200_000
"""Characters of a template; the longest known has 20,000."""

MAX_TOKENS = 15_000
"""Words and signs in the template's code, each of which takes time to compile; the most known are 5,000."""

_REFUSED_METHODS = frozenset({"translate", "maketrans", "expandtabs", "format_map", "encode", "to_bytes"})
"""Methods that make something of any size, and that no template needs."""

_METHODS_OF_DICTS = frozenset(dir(dict))
_HARMLESS_METHODS = frozenset(
    "split rsplit splitlines strip lstrip rstrip replace startswith endswith upper lower title join find count "
    "removeprefix removesuffix capitalize isdigit isalnum isspace".split()
)


class CompiledTemplate:
    """A template's source, ready to `render`. Raises `TemplateError` for what is no template."""

    def __init__(self, source: str) -> None:
        self.source = source
        if len(source) > MAX_SOURCE:
            raise TemplateLimitExceeded(f"The chat template has more than {MAX_SOURCE} characters.")
        try:
            environment = _environment()
            with limits.budget(None):  # what is constant is worked out now
                tree = environment.parse(source)
                self.variables: frozenset[str] = frozenset(jinja2.meta.find_undeclared_variables(tree))
                self._template = environment.from_string(tree)
        except TemplateLimitExceeded:
            raise
        except jinja2.TemplateSyntaxError as problem:
            raise TemplateError(f"The chat template cannot be read, line {problem.lineno}: {problem.message}") from None
        except (RecursionError, MemoryError):
            raise TemplateLimitExceeded("The chat template is nested too deeply.") from None
        except Exception as problem:  # Python's own limits on what it compiles are not jinja2's errors
            raise TemplateError(f"The chat template cannot be read: {problem}") from None

    def render(self, variables: Mapping[str, Any], now: datetime.datetime | None = None) -> str:
        """Raises `TemplateError` with the template's own words, `TemplateLimitExceeded`."""

        def strftime_now(form: object) -> str:
            return (now or datetime.datetime.now()).strftime(str(form)[:200])

        pieces: list[str] = []
        size = 0
        try:
            with limits.budget(variables):
                for piece in self._template.generate({**variables, "strftime_now": strftime_now}):
                    pieces.append(piece)
                    size += sys.getsizeof(piece)
                    limits.check_size(size)
        except TemplateLimitExceeded:
            raise
        except (RecursionError, MemoryError, OverflowError):
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
        _Counting().visit(tree)
        return tree

    def getattr(self, obj: Any, attribute: str) -> Any:
        """What nearly all look-ups are, by a short way; the rest goes through the sandbox's checks."""
        kind = type(obj)
        if kind is dict:
            if attribute not in _METHODS_OF_DICTS and attribute in obj:
                return obj[attribute]
        elif kind is str:
            if attribute in _HARMLESS_METHODS:
                return getattr(obj, attribute)
        elif kind is _Namespace and not attribute.startswith("_"):
            with contextlib.suppress(AttributeError):
                return getattr(obj, attribute)
        return super().getattr(obj, attribute)

    def call_binop(self, context: jinja2.runtime.Context, operator: str, left: Any, right: Any) -> Any:
        limits.check_operator(operator, left, right)
        return limits.made(super().call_binop(context, operator, left, right))

    def call(__self, __context: jinja2.runtime.Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        args = limits.checked_arguments(__obj, args, kwargs)
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
        return attr not in _REFUSED_METHODS and super().is_safe_attribute(obj, attr, value)


class _Counting(jinja2.visitor.NodeTransformer):
    """Passes what a template loops over, compares, joins and lists through filters that count it."""

    def visit_For(self, node: jinja2.nodes.For) -> jinja2.nodes.Node:  # noqa: N802  # jinja2's own way
        self.generic_visit(node)
        node.iter = _filtered(node.iter, "for")
        return node

    def visit_Concat(self, node: jinja2.nodes.Concat) -> jinja2.nodes.Node:  # noqa: N802
        node.nodes = [self.visit(item) for item in node.nodes]
        node.nodes = [_filtered(jinja2.nodes.List(node.nodes, lineno=node.lineno), "~")]
        return node

    def visit_Compare(self, node: jinja2.nodes.Compare) -> jinja2.nodes.Node:  # noqa: N802
        self.generic_visit(node)
        sides = [node.expr, *(operand.expr for operand in node.ops)]
        if not any(isinstance(side, jinja2.nodes.Const) and side.value is not None for side in sides):
            node.expr = _filtered(node.expr, "compared")
        for operand in node.ops:
            if not isinstance(operand.expr, jinja2.nodes.Const):
                operand.expr = _filtered(operand.expr, "compared")
        return node

    def visit_List(self, node: jinja2.nodes.List) -> jinja2.nodes.Node:  # noqa: N802
        return self._literal(node, node.items)

    def visit_Tuple(self, node: jinja2.nodes.Tuple) -> jinja2.nodes.Node:  # noqa: N802
        return node if node.ctx != "load" else self._literal(node, node.items)

    def visit_Dict(self, node: jinja2.nodes.Dict) -> jinja2.nodes.Node:  # noqa: N802
        return self._literal(node, [pair.value for pair in node.items])

    def _literal(self, node: Any, items: list[Any]) -> jinja2.nodes.Node:
        self.generic_visit(node)
        is_plain = all(isinstance(item, jinja2.nodes.Const) for item in items)
        return cast(jinja2.nodes.Node, node if is_plain else _filtered(node, "literal"))


def _filtered(node: Any, name: str) -> jinja2.nodes.Filter:
    return jinja2.nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


class _GenerationTag(jinja2.ext.Extension):
    """`{% generation %}...{% endgeneration %}` marks an answer for training; here it only stands for its body."""

    tags = {"generation"}  # noqa: RUF012  # jinja2's own way

    def parse(self, parser: jinja2.parser.Parser) -> jinja2.nodes.Node:
        line = next(parser.stream).lineno
        return jinja2.nodes.Scope(parser.parse_statements(("name:endgeneration",), drop_needle=True), lineno=line)


class _TokenLimit(jinja2.ext.Extension):
    """Ends the reading of a template whose code is too long to be compiled in time."""

    def filter_stream(self, stream: jinja2.lexer.TokenStream) -> Iterable[jinja2.lexer.Token]:
        for count, token in enumerate(stream):
            if count > MAX_TOKENS:
                raise TemplateLimitExceeded(f"The chat template's code has more than {MAX_TOKENS} words and signs.")
            yield token


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

    def __repr__(self) -> str:
        return "<Namespace>"  # one can hold another, and that this one


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    environment = _Sandbox(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[_GenerationTag, _TokenLimit, jinja2.ext.loopcontrols],
        finalize=limits.checked_output,
        optimized=False,
    )
    environment.filters["tojson"] = _tojson
    limited = {name: limits.limited_filter(name, filter) for name, filter in environment.filters.items()}
    counting: dict[str, Any] = {
        "for": limits.counted,
        "~": limits.concatenated,
        "compared": limits.compared,
        "literal": limits.literal,
    }
    variables: dict[str, Any] = {
        "raise_exception": _raise_exception,
        "dict": _dict,
        "namespace": _Namespace,
        "range": limits.numbers,
    }
    environment.filters.update({**limited, **counting})
    tests: dict[str, Any] = dict(environment.tests)
    environment.tests.update({name: limits.limited_test(test) for name, test in tests.items()})
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
    return cast("dict[Any, Any]", limits.literal(dict(*args, **kwargs)))


def _raise_exception(message: object) -> NoReturn:
    raise jinja2.TemplateError(str(message))


def _check_name(name: object) -> None:
    if str(name).startswith("_"):
        raise jinja2.exceptions.SecurityError(
            f"a namespace has no names that begin with an underscore, as {name!r} does"
        )
