"""Refuses unknown option names with a sentence that suggests the nearest known one."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from .errors import ConfigError, InvalidRequest

T = TypeVar("T")


def unknown_name_message(owner: str, name: str, known: Iterable[str]) -> str:
    """`owner` has no option `name`: says so, suggests the nearest, lists all."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1)
    suggestion = f" Did you mean {near[0]!r}?" if near else ""
    return f"{owner} has no option {name!r}.{suggestion} It takes: {', '.join(known)}."


def refuses_unknown_options(error: type[InvalidRequest | ConfigError] = InvalidRequest) -> Callable[[type[T]], type[T]]:
    """Class decorator: a wrong or missing argument of the constructor raises our `error`, not a TypeError."""

    def decorate(cls: type[T]) -> type[T]:
        original: Callable[..., None] = getattr(cls, "__init__")  # noqa: B009  # type checkers call the attribute unsound
        signature = inspect.signature(original)
        known = [name for name in signature.parameters if name != "self"]

        @functools.wraps(original)
        def checked(self: Any, *args: Any, **kwargs: Any) -> None:
            for name in kwargs:
                if name not in known:
                    raise error(unknown_name_message(cls.__name__, name, known), param=name)
            try:
                original(self, *args, **kwargs)
            except TypeError as problem:
                if problem.__traceback__ is not None and problem.__traceback__.tb_next is not None:
                    raise  # from within; arguments that do not fit never got there
                try:
                    signature.bind(self, *args, **kwargs)
                except TypeError as misfit:
                    problem = misfit
                raise error(f"{cls.__name__}: {problem}. It takes: {', '.join(known)}.") from None

        setattr(cls, "__init__", checked)  # noqa: B010  # as above
        return cls

    return decorate
