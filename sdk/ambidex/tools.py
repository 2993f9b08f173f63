"""`@tool`: a typed function as something a model may call.

The JSON schema comes from the annotations, the descriptions from the docstring (see `tool_schema.py`); both are
made when first needed, so that decorating stays light.
"""

from __future__ import annotations

import copy
import functools
import inspect
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from types import MethodType
from typing import Any, Generic, cast, overload

from typing_extensions import ParamSpec, TypeVar

from .errors import InvalidRequest, ToolArgumentsInvalid, ToolFailed
from .messages import Audio, Image, Part, Text
from .tool_schema import DeclaredArguments, FunctionArguments

P = ParamSpec("P", default=...)
R = TypeVar("R", default=Any)

MAX_NAME = 128
"""Characters in a tool's name."""


class Tool(Generic[P, R]):
    """What a model may call: a name, a description, a JSON schema of the arguments and, if any, what runs it.

    name         non-empty, printable, at most 128 characters
    description  tells the model what it does and when to use it
    parameters   JSON schema of an object whose properties are the arguments
    run          called with the arguments by name; sync or async. None: the program answers the calls by itself
    idempotent   running a call again changes nothing more (HTTP's word, and MCP's `idempotentHint`): an agent may
                 repeat it after a crash without asking
    """

    idempotent: bool = False

    def __init__(
        self,
        name: str,
        description: str,
        parameters: Mapping[str, Any],
        run: Callable[P, R] | None = None,
        *,
        idempotent: bool = False,
    ) -> None:
        if not isinstance(description, str):
            raise InvalidRequest(f"The description of a tool is a str, got {type(description).__name__}.")
        if run is not None and not callable(run):
            raise InvalidRequest(f"run takes a function, got {type(run).__name__}.", param="run")
        self.name = checked_name(name)
        self.run = run
        self.idempotent = _checked_idempotent(idempotent)
        self._description: str | None = description
        self._arguments: DeclaredArguments | FunctionArguments = DeclaredArguments(name, parameters)

    @property
    def description(self) -> str:
        return self._arguments.description if self._description is None else self._description

    @property
    def parameters(self) -> dict[str, Any]:
        """JSON schema of the arguments: an object. Not to be changed; `to_openai` gives a copy."""
        return self._arguments.schema

    @property
    def is_async(self) -> bool:
        """Whether calling it gives an awaitable."""
        return inspect.iscoroutinefunction(self.run) or inspect.iscoroutinefunction(type(self.run).__call__)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        if self.run is None:
            raise InvalidRequest(f"The tool {self.name!r} was declared without a function: answer its calls yourself.")
        return self.run(*args, **kwargs)

    def bind(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """A model's arguments, validated and rebuilt to the annotated types, for `tool(**bound)`.

        Arguments that were left out stay out, so that the function's own defaults apply. With a schema given by hand
        the values stay as they are and are checked against it, as far as `tool_schema.schema_problems` goes.
        Raises `ToolArgumentsInvalid`, whose message tells the model what is wrong with which argument.
        """
        bound, problems = self._arguments.bind(arguments)
        if problems:
            listed = "\n".join(f"- {problem}" for problem in problems)
            raise ToolArgumentsInvalid(f"The arguments of {self.name} are invalid:\n{listed}")
        return bound

    def to_openai(self) -> dict[str, Any]:
        """`{"type": "function", "function": {"name", "description", "parameters"}}`, a fresh copy."""
        function = {"name": self.name, "description": self.description, "parameters": copy.deepcopy(self.parameters)}
        return {"type": "function", "function": function}

    @classmethod
    def from_openai(cls, item: Mapping[str, Any]) -> Tool[..., Any]:
        """The tool that `to_openai` describes, without what runs it."""
        function = item.get("function", item)
        if not isinstance(function, Mapping) or "name" not in function:
            raise InvalidRequest(
                f"Expected {{'type': 'function', 'function': {{'name': ...}}}}, got {str(item)[:100]}."
            )
        function = cast("Mapping[str, Any]", function)
        return Tool(function["name"], function.get("description") or "", function.get("parameters") or {})

    def __repr__(self) -> str:
        return f"Tool({self.name!r})"

    def __get__(self, instance: object | None, owner: type | None = None, /) -> Tool[..., R]:
        """In a class, a tool made of a method is bound as the method would be."""
        receiver = self._arguments.receiver
        if receiver == "class":
            return self._bound(type(instance) if owner is None else owner)
        if instance is not None and (receiver == "object" or instance is owner):  # the last below @classmethod
            return self._bound(instance)
        return cast("Tool[..., R]", self)

    def _bound(self, receiver: object) -> Tool[..., R]:
        if not isinstance(self._arguments, FunctionArguments):
            return cast("Tool[..., R]", self)
        method = cast(Any, self.run).__get__(receiver)
        return _of_function(method, self.name, self._description, self._arguments.names, self.idempotent)


@overload
def tool(function: Callable[P, R], /) -> Tool[P, R]: ...
@overload
def tool(
    *, name: str | None = None, description: str | None = None, idempotent: bool = False
) -> Callable[[Callable[P, R]], Tool[P, R]]: ...
def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    idempotent: bool = False,
) -> Tool[..., Any] | Callable[[Callable[..., Any]], Tool[..., Any]]:
    """A typed function, sync or async, as a `Tool`; it stays callable as before.

        @tool
        def weather(city: str, days: int = 1) -> str:
            '''Forecast for a city.

            Args:
                city: name in English
            '''

    The description and those of the arguments come from the docstring (Google, NumPy or Sphinx style),
    `Annotated[T, "text"]` or pydantic's `Field`, which may stand in the annotation or as the default.
    `idempotent`: running a call again changes nothing more, see `Tool`. Raises `InvalidRequest` for what no model can
    call: positional-only parameters, *args, annotations without a JSON schema (the last on first use).
    """
    caller = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]  # types defined inside a function are seen from there only
    names = caller.f_locals if caller.f_locals is not caller.f_globals else {}

    def decorate(function: Callable[..., Any]) -> Tool[..., Any]:
        of_class = isinstance(function, classmethod)
        if isinstance(function, (staticmethod, classmethod)):
            function = cast("Callable[..., Any]", function.__func__)
        return _of_function(function, name, description, dict(names), idempotent, of_class=of_class)

    return decorate if function is None else decorate(function)


def as_tools(tools: Iterable[Tool[..., Any] | Callable[..., Any]]) -> tuple[Tool[..., Any], ...]:
    """Tools as they are, functions made into tools. Raises `InvalidRequest` for anything else and for a name twice."""
    if isinstance(tools, (str, bytes, Mapping, Tool)) or not isinstance(tools, Iterable):
        raise InvalidRequest(
            f"tools takes a sequence of Tools and typed functions, got {type(tools).__name__}.", param="tools"
        )
    if tools == ():
        return ()
    made = tuple(map(_as_tool, tools))
    seen: set[str] = set()
    for item in made:
        if item.name in seen:
            raise InvalidRequest(f"Two tools are named {item.name!r}: names must differ.", param="tools")
        seen.add(item.name)
    return made


def _as_tool(item: Tool[..., Any] | Callable[..., Any]) -> Tool[..., Any]:
    if isinstance(item, MethodType) and isinstance(item.__func__, Tool):  # @classmethod over @tool, from Python 3.13 on
        return item.__func__._bound(item.__self__)  # pyright: ignore[reportPrivateUsage]
    made = item if isinstance(item, Tool) else _of_function(item, None, None, {})
    if (receiver := made._arguments.receiver) is not None:  # pyright: ignore[reportPrivateUsage]
        name = getattr(made, "__qualname__", made.name)
        raise InvalidRequest(f"{name} is a method without its {receiver}: give instance.{made.name}.", param="tools")
    return made


def checked_name(name: object) -> str:
    """A legal tool name, or `InvalidRequest`."""
    if not isinstance(name, str) or not name or not name.isprintable() or len(name) > MAX_NAME:
        raise InvalidRequest(
            f"A tool's name is a non-empty printable text of at most {MAX_NAME} characters, got {str(name)[:140]!r}.",
            param="name",
        )
    return name


def result_parts(value: object) -> tuple[Part, ...]:
    """What a tool returned, as the content of its `ToolResult`.

    A str stays; Text, Image and Audio pass, alone or in a list beside strs. Everything else is compact JSON text, as
    the model knows it from its arguments: None is "null", models and dataclasses are objects, dates are ISO 8601.
    Raises `ToolFailed` for what has no JSON form.
    """
    if isinstance(value, str):
        return (Text(value),)
    if isinstance(value, (Text, Image, Audio)):
        return (value,)
    if isinstance(value, (list, tuple)) and any(isinstance(item, (Text, Image, Audio)) for item in value):
        return tuple(part for item in value for part in result_parts(item))
    import pydantic_core

    try:
        plain = pydantic_core.to_jsonable_python(value)
        return (Text(json.dumps(plain, ensure_ascii=False, separators=(",", ":"))),)
    except (ValueError, TypeError, RecursionError) as problem:
        raise ToolFailed(
            f"The tool returned a {type(value).__name__}, which has no JSON form ({problem}). "
            "Return a str, a number, a dict, a list, a dataclass or a pydantic model."
        ) from None


def _checked_idempotent(idempotent: object) -> bool:
    if not isinstance(idempotent, bool):
        raise InvalidRequest(f"idempotent takes True or False, got {idempotent!r}.", param="idempotent")
    return idempotent


def _of_function(
    function: Callable[..., Any],
    name: str | None,
    description: str | None,
    names: Mapping[str, Any],
    idempotent: bool = False,
    *,
    of_class: bool = False,
) -> Tool[..., Any]:
    """`names` are what the annotations may refer to beside the function's globals."""
    if not callable(function) or isinstance(function, type):
        hint = " Give an instance or a function." if isinstance(function, type) else ""
        raise InvalidRequest(f"A tool is a Tool or a typed function, got {function!r}.{hint}", param="tools")
    name = name or getattr(function, "__name__", None)
    if name is None or name == "<lambda>":
        raise InvalidRequest(f"{function!r} has no name: give one with tool(name=...).", param="name")
    made: Tool[..., Any] = Tool.__new__(Tool)
    functools.update_wrapper(made, function)
    made.name = checked_name(name)
    made.run = function
    made.idempotent = _checked_idempotent(idempotent)
    made._description = description  # pyright: ignore[reportPrivateUsage]  # the other half of the constructor
    made._arguments = FunctionArguments(function, names, of_class=of_class)  # pyright: ignore[reportPrivateUsage]
    return made
