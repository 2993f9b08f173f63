"""How much a chat template may use: steps, seconds, and the size of what it makes, looked at before it is made."""

from __future__ import annotations

import contextlib
import functools
import re
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sized
from contextvars import ContextVar
from typing import Any, cast

from .errors import TemplateLimitExceeded

MAX_SIZE = 4_000_000
"""Characters of the prompt, and of any text or list on the way to it."""

MAX_MADE = 40_000_000
"""Characters of all texts made on the way, in one rendering."""

MAX_STEPS = 300_000
"""Turns of loops, calls and filters in one rendering."""

MAX_SECONDS = 10.0
"""For one rendering; steps end sooner, this is for what one step can do."""

_STEPS_OF_CALL = 8
MAX_NUMBER_BITS = 4096
_MAX_INDENT = 100
_MAX_SLOW_TEXT = 100_000

_WIDTH = re.compile(r"\d{5,}")
_CHEAP = frozenset({"length", "count", "first", "last", "default", "d", "items"})
_SLOW = frozenset({"urlize", "wordwrap", "striptags", "title", "wordcount", "pprint", "xmlattr"})
_OF_PARTS = frozenset(
    {"list", "map", "select", "reject", "selectattr", "rejectattr", "sort", "unique", "reverse", "sum"}
)


class _Budget:
    def __init__(self) -> None:
        self.steps = MAX_STEPS
        self.characters = MAX_MADE
        self.deadline = time.monotonic() + MAX_SECONDS


_budget: ContextVar[_Budget | None] = ContextVar("template_budget", default=None)


@contextlib.contextmanager
def budget() -> Generator[None]:
    """One rendering's."""
    token = _budget.set(_Budget())
    try:
        yield
    finally:
        _budget.reset(token)


def step(count: int = 1) -> None:
    left = _budget.get()
    if left is None:
        return
    left.steps -= count
    if left.steps < 0:
        raise TemplateLimitExceeded(f"The chat template took more than {MAX_STEPS} steps.")
    if time.monotonic() > left.deadline:
        raise TemplateLimitExceeded(f"The chat template took more than {MAX_SECONDS:g} seconds.")


def made(value: Any) -> Any:
    """Counts a text that was made."""
    left = _budget.get()
    if left is not None and isinstance(value, str):
        left.characters -= len(value)
        if left.characters < 0:
            raise TemplateLimitExceeded(f"The chat template made texts of more than {MAX_MADE} characters.")
    return value


def searched(items: Any) -> Any:
    """What `in` looks through."""
    if isinstance(items, Sized):
        step(1 + len(items) // (4096 if isinstance(items, str) else 16))
    return items


def check_size(size: int) -> None:
    if size > MAX_SIZE:
        raise TemplateLimitExceeded(f"The chat template made a text or list of more than {MAX_SIZE} characters.")


def weight(value: Any) -> int:
    """Characters of a value written out, about; lists in lists count as often as they would be written."""
    total = 0
    waiting = [value]
    while waiting:
        item = waiting.pop()
        total += len(item) if isinstance(item, str) else 16
        if isinstance(item, Mapping):
            pairs = cast("Mapping[Any, Any]", item)
            waiting += [*pairs.keys(), *pairs.values()]
        elif isinstance(item, (list, tuple, set, frozenset)):
            waiting += cast("list[Any]", item)
        check_size(max(total, len(waiting)))
    return total


def joined(pieces: Iterable[str]) -> str:
    """`"".join`, within the limit."""
    taken: list[str] = []
    size = 0
    for piece in pieces:
        taken.append(piece)
        size += len(piece)
        check_size(size)
    return cast(str, made("".join(taken)))


def concatenated(items: Iterable[Any]) -> str:
    """What `~` gives."""
    step()
    return joined(item if isinstance(item, str) else str(checked_output(item)) for item in items)


def counted(items: Any) -> Any:
    """What a `for` goes through, each turn a step."""
    return _Counted(cast("Iterable[Any]", items)) if isinstance(items, Iterable) else items


class _Counted:
    def __init__(self, items: Iterable[Any]) -> None:
        self._items = items

    def __iter__(self) -> Iterator[Any]:
        for item in self._items:
            step()
            yield item

    def __len__(self) -> int:
        return len(cast(Sized, self._items))


def checked_output(value: Any) -> Any:
    """What `{{ }}` writes."""
    step()
    if not isinstance(value, str):
        weight(value)
    return value


def check_operator(operator: str, left: Any, right: Any) -> None:
    step()
    numbers = [item for item in (left, right) if isinstance(item, int)]
    parts = [item for item in (left, right) if isinstance(item, (str, list, tuple))]
    if operator == "+" and len(parts) == 2:
        check_size(sum(map(len, parts)))
    elif operator == "*" and parts and numbers:
        check_size(len(cast("list[Any]", parts[0])) * max(numbers[0], 0))
    elif operator in "**" and len(numbers) == 2:
        left_bits, right_bits = (int(number).bit_length() for number in numbers)
        if (left_bits + right_bits if operator == "*" else left_bits * int(numbers[1])) > MAX_NUMBER_BITS:
            raise TemplateLimitExceeded("The chat template made a number that is too large.")
    elif operator == "%" and isinstance(left, str):
        check_form(left, "%", right)


def check_call(function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    step(_STEPS_OF_CALL)
    name = getattr(function, "__name__", "")
    owner = getattr(function, "__self__", None)
    if isinstance(owner, str):
        _check_text(name, owner, args, kwargs)
    for item in args:  # a recursive loop is called with what it goes through next
        if isinstance(item, (list, tuple, range)):
            step(len(cast("list[Any]", item)) // 16)


def limited_filter(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter that looks at sizes first. jinja2's marks on the function are kept: they say what it is passed."""
    skipped = 1 if hasattr(function, "jinja_pass_arg") else 0

    @functools.wraps(function)
    def limited(*args: Any, **kwargs: Any) -> Any:
        value, *rest = args[skipped:] or (None,)
        step()
        if name in _OF_PARTS and isinstance(value, Sized):
            step(len(value) // 16)
        elif isinstance(value, str):
            _check_text(name, value, tuple(rest), kwargs)
        elif name not in _CHEAP and name not in _OF_PARTS:
            weight(value)
        if name == "join":
            values: list[Any] = []
            size, between = 0, weight([*rest, *kwargs.values()])
            for item in cast("Iterable[Any]", value):
                values.append(item)
                size += weight(item) + between
                check_size(size)
            args = (*args[:skipped], values, *rest)
        if name in ("tojson", "indent", "batch", "slice"):
            _check_indent(rest, kwargs)
        return made(function(*args, **kwargs))

    return limited


def _check_text(name: str, text: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Before a method or filter `name` makes a longer text of `text`."""
    given = [*args, *kwargs.values()]
    numbers = [item for item in given if isinstance(item, int)]
    match name:
        case "replace" if len(args) > 1:
            check_size(len(text) + text.count(str(args[0])) * len(str(args[1])))
        case "format":
            check_form(text, "%", given)
        case "join":
            items = list(cast("Iterable[Any]", args[0])) if args and isinstance(args[0], (list, tuple)) else []
            check_size(weight(items) + len(items) * len(text))
        case "center" | "ljust" | "rjust" | "zfill":
            check_size(max(numbers, default=0))
        case "indent":
            _check_indent(given, {})
            check_size((text.count("\n") + 1) * _MAX_INDENT + len(text))
        case _ if name in _SLOW and len(text) > _MAX_SLOW_TEXT:
            raise TemplateLimitExceeded(f"The chat template's filter {name} takes at most {_MAX_SLOW_TEXT} characters.")
        case _:
            pass


def check_form(form: str, sign: str, given: Any) -> None:
    if _WIDTH.search(form) or "*" in form:
        numbers = [int(digits) for digits in _WIDTH.findall(form[:_MAX_SLOW_TEXT])]
        if max(numbers, default=0) > MAX_SIZE or ("*" in form and sign in form):
            raise TemplateLimitExceeded("The chat template formats a text with too large a width.")
    check_size(len(form) + form.count(sign) * weight(given))


def _check_indent(args: Iterable[Any], kwargs: Mapping[str, Any]) -> None:
    for item in (*args, *kwargs.values()):
        if (isinstance(item, int) and item > _MAX_INDENT) or (isinstance(item, str) and len(item) > _MAX_INDENT):
            raise TemplateLimitExceeded(f"The chat template asks for a width of more than {_MAX_INDENT}.")
