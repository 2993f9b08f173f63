"""How much a chat template may use: steps, processor time, and the size of what it makes, looked at before it is made.

What is allowed grows with what the template is given, for an ordinary template reads each message a few times: long
conversations render, and a template that works without end is stopped within a quarter of a second and 32 MiB.
Every way to make a text or list longer passes here: operators, calls, filters, literals and what `{{ }}` writes.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import re
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sized
from contextvars import ContextVar
from typing import Any, cast

import jinja2

from .errors import TemplateLimitExceeded

MAX_SIZE = 1_500_000
"""Bytes of the prompt, and of any text or list on the way to it, beside what the input makes necessary."""

MAX_MADE = 10_000_000
"""Bytes of all texts and lists made on the way, in one rendering, beside what the input makes necessary."""

MAX_STEPS = 50_000
"""Turns of loops, calls and filters in one rendering, beside `_STEPS_OF_VALUE` for each value of the input."""

MAX_SECONDS = 0.1
"""Of the processor's time for one rendering, beside `_SECONDS_OF_VALUE` for each value and character of the input."""

_STEPS_OF_VALUE = 200
_SECONDS_OF_VALUE = 0.5e-3
_SECONDS_OF_CHARACTER = 3e-6
_COPIES = 16
"""How often a rendering may write the whole input at once."""

_STEPS_OF_CALL = 6
_STEPS_BETWEEN_LOOKS = 64
_TEXT_OF_A_STEP = 2048
_ITEMS_OF_A_STEP = 8
_BYTES_OF_ITEM = 72
_MAX_NUMBER_BITS = 4096
_MAX_INDENT = 100
_MAX_SLOW_TEXT = 20_000

_NUMBER = re.compile(r"\d+")
_NESTED = re.compile(r"\{[^{}]*\{")
_CHEAP = frozenset({"length", "count", "first", "last", "default", "d", "items", "string", "trim"})
_SLOW = frozenset({"urlize", "wordwrap", "striptags", "title", "wordcount", "pprint", "xmlattr", "truncate"})
_OF_PARTS = frozenset(
    {"list", "map", "select", "reject", "selectattr", "rejectattr", "sort", "unique", "reverse", "groupby", "batch"}
    | {"slice", "dictsort", "min", "max", "random"}
)
_SPLIT = frozenset({"split", "rsplit", "splitlines", "partition", "rpartition"})
_SEQUENCES = (str, bytes, list, tuple)
_MADE = (*_SEQUENCES, dict, bytearray)
_CONTAINERS = (list, tuple, dict, set, frozenset)


class _Budget:
    __slots__ = ("at_once", "bytes", "collecting_since", "deadline", "look", "steps")

    def __init__(self, values: int, characters: int) -> None:
        self.steps = MAX_STEPS + _STEPS_OF_VALUE * values + characters
        self.at_once = MAX_SIZE + _COPIES * characters
        self.bytes = MAX_MADE + (_COPIES + values) * characters
        self.look = self.steps - _STEPS_BETWEEN_LOOKS
        seconds = MAX_SECONDS + _SECONDS_OF_VALUE * values + _SECONDS_OF_CHARACTER * characters
        self.deadline = time.thread_time() + seconds
        self.collecting_since: float | None = None


_budget: ContextVar[_Budget | None] = ContextVar("template_budget", default=None)


@contextlib.contextmanager
def budget(given: Any) -> Generator[None]:
    """One rendering's, for what the template is given."""
    token = _budget.set(_Budget(*_amount(given)))
    try:
        yield
    finally:
        _budget.reset(token)


def _forgive(phase: str, collection: Mapping[str, int]) -> None:
    """Adds to the time what a full garbage collection takes: it goes through all that the program holds."""
    if collection["generation"] < 2 or (limits := _budget.get()) is None:
        return
    if phase == "start":
        limits.collecting_since = time.thread_time()
    elif limits.collecting_since is not None:
        limits.deadline += time.thread_time() - limits.collecting_since
        limits.collecting_since = None


gc.callbacks.append(_forgive)  # for good: while one thread goes through this list, no other may change it


def step(count: int = 1) -> None:
    left = _budget.get()
    if left is None:
        return
    left.steps -= count
    if left.steps < left.look:
        if left.steps < 0:
            raise TemplateLimitExceeded("The chat template took more steps than it may for this input.")
        if time.thread_time() > left.deadline:
            raise TemplateLimitExceeded("The chat template took more time than it may for this input.")
        left.look = left.steps - _STEPS_BETWEEN_LOOKS


def made(value: Any) -> Any:
    """Counts a text or list that was made."""
    if isinstance(value, _MADE):
        left = _budget.get()
        if left is not None:
            left.bytes -= sys.getsizeof(value)
            if left.bytes < 0:
                raise TemplateLimitExceeded("The chat template made more texts and lists than it may for this input.")
    return value


def check_size(size: int) -> None:
    """Before something of `size` bytes is made."""
    left = _budget.get()
    if left is not None and (size > left.at_once or size > left.bytes):
        raise TemplateLimitExceeded("The chat template makes a longer text or list than it may for this input.")


def weight(value: Any) -> int:
    """Bytes of a value written out, about; lists in lists count as often as they would be written."""
    if isinstance(value, str):
        return len(value)
    total = visited = 0
    waiting = [value]
    while waiting:
        item = waiting.pop()
        visited += 1
        if isinstance(item, str):
            total += len(item) + 2
            continue
        total += 16
        if isinstance(item, Mapping):
            pairs = cast("Mapping[Any, Any]", item)
            waiting += [*pairs.keys(), *pairs.values()]
        elif isinstance(item, _CONTAINERS):
            waiting += cast("list[Any]", item)
        if visited % 256 == 0:
            step(32)
            check_size(max(total, _BYTES_OF_ITEM * len(waiting)))
    step(visited // _ITEMS_OF_A_STEP)
    check_size(total)
    return total


def compared(value: Any) -> Any:
    """What is compared with another value, searched, or put into a list: lists in lists are written out for it."""
    if isinstance(value, str):
        if len(value) > _TEXT_OF_A_STEP:
            step(len(value) // _TEXT_OF_A_STEP)
    elif isinstance(value, _CONTAINERS):
        weight(value)
    return value


def literal(value: Any) -> Any:
    """A list, tuple or dict that the template writes: none may hold others more often than could be written out."""
    for item in cast("Iterable[Any]", value.values() if isinstance(value, dict) else value):
        if isinstance(item, _CONTAINERS):
            weight(value)
            break
    return made(value)


def joined(pieces: Iterable[str]) -> str:
    """`"".join`, within the limit."""
    taken: list[str] = []
    size = 0
    for piece in pieces:
        taken.append(piece)
        size += sys.getsizeof(piece)
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


def numbers(*bounds: int) -> range:
    """`range`, of as many numbers as steps can go through."""
    given = range(*bounds)
    if len(given) > MAX_STEPS:
        raise TemplateLimitExceeded(f"The chat template asks for a range of more than {MAX_STEPS} numbers.")
    return given


def checked_output(value: Any) -> Any:
    """What `{{ }}` writes. A function is refused: what Python writes for it is an address in memory."""
    step()
    if not isinstance(value, str):
        if callable(value) and not isinstance(value, jinja2.Undefined):
            raise jinja2.TemplateRuntimeError(f"it writes {type(value).__name__}, which is no text")
        weight(value)
    return value


def check_operator(operator: str, left: Any, right: Any) -> None:
    step()
    given = (left, right)
    parts = [item for item in given if isinstance(item, _SEQUENCES)]
    whole = [item for item in given if isinstance(item, int)]
    if operator == "+" and len(parts) == 2:
        check_size(sum(map(sys.getsizeof, parts)))
    elif operator == "*" and parts and whole:
        check_size(sys.getsizeof(parts[0]) * max(whole[0], 0))
    elif operator in "**" and len(whole) == 2:
        left_bits, right_bits = (int(number).bit_length() for number in whole)
        if (left_bits + right_bits if operator == "*" else left_bits * int(whole[1])) > _MAX_NUMBER_BITS:
            raise TemplateLimitExceeded("The chat template made a number that is too large.")
    elif operator == "%" and isinstance(left, (str, bytes)):
        check_form(str(left), "%", right)


def checked_arguments(function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, ...]:
    """The arguments of a call, once it is known that what it makes is small enough."""
    step(_STEPS_OF_CALL)
    name = getattr(function, "__name__", "")
    owner = getattr(function, "__self__", None)
    if isinstance(owner, str):
        if name == "join" and args and not isinstance(args[0], str):
            args = (_within_limits(args[0], len(owner)), *args[1:])
        _check_text(name, owner, args, kwargs)
    for item in args:  # a recursive loop is called with what it goes through next
        if isinstance(item, (list, tuple, range)):
            step(len(cast("list[Any]", item)) // _ITEMS_OF_A_STEP)
    return args


def limited_filter(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter that looks at sizes first. jinja2's marks on the function are kept: they say what it is passed."""
    skipped = 1 if hasattr(function, "jinja_pass_arg") else 0

    @functools.wraps(function)
    def limited(*args: Any, **kwargs: Any) -> Any:
        value, *rest = args[skipped:] or (None,)
        step()
        if name == "join":
            value = _within_limits(value, weight([*rest, *kwargs.values()]))
            args = (*args[:skipped], value, *rest)
        elif isinstance(value, str):
            _check_text(name, value, tuple(rest), kwargs)
        elif name in _OF_PARTS:
            if isinstance(value, Sized):
                step(len(value) // _ITEMS_OF_A_STEP)
                check_size(_BYTES_OF_ITEM * len(value))
        elif name not in _CHEAP:
            total = weight(value)
            if name == "sum" and (len(rest) > 1 or "start" in kwargs) and isinstance(value, Sized):
                check_size(total * max(len(value), 1))
        if name in ("tojson", "indent", "batch", "slice"):
            _check_indent([*rest, *kwargs.values()])
            if name in ("batch", "slice"):
                compared(rest[1] if len(rest) > 1 else kwargs.get("fill_with"))
        return made(function(*args, **kwargs))

    return limited


def limited_test(function: Callable[..., Any]) -> Callable[..., Any]:
    """A test such as `in` that counts what it goes through."""

    @functools.wraps(function)
    def limited(*args: Any, **kwargs: Any) -> Any:
        step()
        for item in args:
            compared(item)
        return function(*args, **kwargs)

    return limited


def _amount(given: Any) -> tuple[int, int]:
    """How many values there are in it, and how many characters."""
    values = characters = 0
    waiting = [given]
    while waiting:
        item = waiting.pop()
        values += 1
        if isinstance(item, str):
            characters += len(item)
        elif isinstance(item, Mapping):
            waiting += cast("Mapping[Any, Any]", item).values()
        elif isinstance(item, (list, tuple)):
            waiting += cast("list[Any]", item)
    return values, characters


def _within_limits(items: Any, between: int) -> list[Any]:
    """What is to be joined, as a list."""
    values: list[Any] = []
    size = 0
    for item in cast("Iterable[Any]", items):
        values.append(item)
        size += between + (len(item) if isinstance(item, str) else weight(item))
        check_size(size + _BYTES_OF_ITEM * len(values))
    step(len(values) // _ITEMS_OF_A_STEP)
    return values


def _check_text(name: str, text: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Before a method or filter `name` makes something longer of `text`."""
    if len(text) > _TEXT_OF_A_STEP:
        step(len(text) // _TEXT_OF_A_STEP)
    given = [*args, *kwargs.values()]
    match name:
        case "replace" if len(args) > 1:
            grown = text.count(str(args[0])) * len(str(args[1]))
            check_size(len(text) + grown)
        case "format":
            check_form(text, "%", given)
        case "center" | "ljust" | "rjust" | "zfill":
            check_size(max((item for item in given if isinstance(item, int)), default=0))
        case "indent":
            _check_indent(given)
            check_size((text.count("\n") + 1) * _MAX_INDENT + len(text))
        case _ if name in _SPLIT:
            mark = args[0] if args and isinstance(args[0], str) and args[0] else None
            check_size(len(text) + _BYTES_OF_ITEM * (text.count(mark) if mark else len(text) // 2))
        case _ if name in _OF_PARTS:
            check_size(_BYTES_OF_ITEM * len(text))
            step(len(text) // _ITEMS_OF_A_STEP)
        case _ if name in _SLOW:
            step(len(text) // 4)
            if len(text) > _MAX_SLOW_TEXT:
                raise TemplateLimitExceeded(f"The filter {name} takes at most {_MAX_SLOW_TEXT} characters.")
        case _:
            pass


def check_form(form: str, sign: str, given: Any) -> None:
    """Before `form` is filled in: by its widths, those among the values too, and by the values' own sizes."""
    check_size(len(form))
    widths = sum(int(digits[:12]) for digits in _NUMBER.findall(form))
    if "*" in form if sign == "%" else _NESTED.search(form):
        widths += form.count(sign) * _largest_number(given)
    check_size(len(form) + widths + form.count(sign) * weight(given))


def _largest_number(given: Any) -> int:
    items = given if isinstance(given, (list, tuple)) else [given]
    return max((abs(item) for item in cast("list[Any]", items) if isinstance(item, int)), default=0)


def _check_indent(given: Iterable[Any]) -> None:
    for item in given:
        if isinstance(item, (list, tuple)):
            _check_indent(cast("list[Any]", item))
        elif (isinstance(item, int) and item > _MAX_INDENT) or (isinstance(item, str) and len(item) > _MAX_INDENT):
            raise TemplateLimitExceeded(f"The chat template asks for a width of more than {_MAX_INDENT}.")
