"""Prompts as texts with typed variables: `PromptTemplate`, and `@prompted` for a typed function as one."""

from __future__ import annotations

import difflib
import functools
import hashlib
import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, cast

from typing_extensions import ParamSpec, TypeVar

from .async_chat import AsyncChat
from .backend import Backend
from .chat import Chat
from .errors import InvalidRequest, TemplateError
from .messages import Assistant, Message, System, User
from .prompt_file import TYPES, Examples, Section, Variable, parse
from .type_reading import raised, why_unreadable

if TYPE_CHECKING:
    from jinja2 import Environment, Template

_ROLES: Mapping[str, Callable[[str], Message]] = {"system": System, "user": User, "assistant": Assistant}

P = ParamSpec("P")
R = TypeVar("R")


class PromptTemplate:
    """A prompt with variables, in a string or a file.

        ---
        name: support
        version: 2
        variables:
          product: str
          tone: str = friendly
          shots: examples = []
          question: str
        --- system
        You answer questions about {{ product }}. Be {{ tone }}.
        --- examples shots
        --- user
        {{ question }}

    The header is optional; a text without sections is one user message. Each section is a Jinja template by itself
    and becomes one message: a value never becomes a role, a message or a template. `--- examples` puts in a user and
    an assistant message for each pair of its variable. Types in a header are those of `prompt_file.TYPES`; a default
    is JSON, or plain text for a str. Where nothing is declared, the variables of the text are taken as they come.

    source     the text
    name       overrides the header's
    version    overrides the header's
    variables  name -> type, instead of the header's: any type that pydantic can check

    Raises `InvalidRequest` for a text that uses a variable which is not declared, `TemplateError` for wrong Jinja.
    """

    def __init__(
        self,
        source: str,
        *,
        name: str | None = None,
        version: str | None = None,
        variables: Mapping[str, Any] | None = None,
    ) -> None:
        if not isinstance(source, str):
            raise InvalidRequest(
                f"PromptTemplate takes a str, got {type(source).__name__}; for files: from_file(path)."
            )
        self.source = source.replace("\r\n", "\n")
        file = parse(self.source)
        self.name = name or file.name
        self.version = version or file.version
        self._sections = [(section, _compiled(section)) for section in file.sections]
        self.variables: Mapping[str, Variable] = _declared(file.variables, variables, file.sections)

    @classmethod
    def from_file(cls, path: str | Path) -> PromptTemplate:
        """Reads a UTF-8 file; its stem is the name where the header has none. Raises `InvalidRequest` if it cannot."""
        path = Path(path)
        try:
            source = path.read_text(encoding="utf-8-sig")  # editors on Windows put a mark before the text
        except (OSError, UnicodeDecodeError) as problem:
            reason = problem.strerror if isinstance(problem, OSError) else "it is not UTF-8"
            raise InvalidRequest(f"The prompt {path.name!r} cannot be read: {reason}.") from None
        template = cls(source)
        template.name = template.name or path.stem
        return template

    @functools.cached_property
    def hash(self) -> str:
        """SHA-256 of the text in hex: another text, another hash."""
        return hashlib.sha256(self.source.encode()).hexdigest()

    def render(self, **values: Any) -> tuple[Message, ...]:
        """The messages with the values put in.

        Raises `InvalidRequest` for a missing, unknown or wrongly typed value, `TemplateError` where Jinja fails.
        """
        values = self._checked(values)
        messages: list[Message] = []
        for section, template in self._sections:
            if template is None:
                messages += _example_messages(section.text, values[section.text])
                continue
            text = _rendered(template, values)
            messages.append(_ROLES[section.role](text))
        return tuple(messages)

    def __repr__(self) -> str:
        version = f", version {self.version}" if self.version else ""
        return f"PromptTemplate({self.name!r}{version}, variables: {', '.join(self.variables) or 'none'})"

    def _checked(self, values: Mapping[str, Any]) -> dict[str, Any]:
        owner = f"The prompt {self.name!r}" if self.name else "The prompt"
        for name in values:
            if name not in self.variables:
                near = difflib.get_close_matches(name, self.variables, n=1)
                suggestion = f" Did you mean {near[0]!r}?" if near else ""
                known = ", ".join(self.variables) or "none"
                raise InvalidRequest(f"{owner} has no variable {name!r}.{suggestion} It has: {known}.", param=name)
        defaults = {name: variable.default[0] for name, variable in self.variables.items() if variable.default}
        checked = {**defaults, **values}
        missing = [name for name in self.variables if name not in checked]
        if missing:
            raise InvalidRequest(f"{owner} lacks a value for: {', '.join(missing)}.", param=missing[0])
        for name, value in checked.items():
            _check_type(owner, name, value, self.variables[name].type)
        return checked


class Prompted(Generic[P, R]):
    """A typed function as a prompt; made by `prompted`."""

    def __init__(self, function: Callable[P, R], hints: Mapping[str, Any]) -> None:
        self._signature = inspect.signature(function)
        name = function.__name__
        for parameter in self._signature.parameters.values():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                raise InvalidRequest(f"The variables of a prompt are named: {name} cannot take {parameter}.")
        if not function.__doc__:
            raise InvalidRequest(f"{name} has no docstring: that is the prompt.")
        variables = {variable: hints.get(variable, Any) for variable in self._signature.parameters}
        self.template = PromptTemplate(inspect.cleandoc(function.__doc__), name=name, variables=variables)
        returned = hints.get("return", str)
        self.output: Any = None if returned in (str, type(None), Any) else returned
        self.__name__, self.__doc__, self.__module__ = name, function.__doc__, function.__module__

    def render(self, *args: P.args, **kwargs: P.kwargs) -> tuple[Message, ...]:
        """The messages; see `PromptTemplate.render`."""
        return self.template.render(**self._values(*args, **kwargs))

    def ask(self, model: str | Backend | Chat, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """The model's answer, of the function's return type (a str: its text).

        A Chat lends its model, its options and its history so far, and stays as it is. Raises as `render` and
        `Chat.ask` do.
        """
        messages = self.render(*args, **kwargs)
        if isinstance(model, Chat):
            return self._ask(model, messages)
        with Chat(model) as chat:
            return self._ask(chat, messages)

    async def ask_async(self, model: str | Backend | AsyncChat, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """The async twin of `ask`."""
        messages = self.render(*args, **kwargs)
        if isinstance(model, AsyncChat):
            return await self._ask_async(model, messages)
        async with AsyncChat(model) as chat:
            return await self._ask_async(chat, messages)

    def _ask(self, chat: Chat, messages: Sequence[Message]) -> R:
        with chat.fork() as copy:
            for message in messages:
                copy.append(message)
            reply = copy.ask(output=self.output)
        return cast(R, reply.text if self.output is None else reply.value)

    async def _ask_async(self, chat: AsyncChat, messages: Sequence[Message]) -> R:
        async with chat.fork() as copy:
            for message in messages:
                copy.append(message)
            reply = await copy.ask(output=self.output)
        return cast(R, reply.text if self.output is None else reply.value)

    def _values(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError as problem:
            raise InvalidRequest(f"The prompt {self.template.name!r}: {problem}.") from None
        bound.apply_defaults()
        return bound.arguments


def prompted(function: Callable[P, R]) -> Prompted[P, R]:
    """A typed function as a prompt: docstring = template, parameters = variables, return type = `output`.

        @prompted
        def sentiment(review: str) -> Literal["good", "bad"]:
            '''Is this review good or bad? {{ review }}'''

        sentiment.ask("local:pocket", "I love it.")
        sentiment.render("I love it.")

    The function's body never runs. Raises as `PromptTemplate` does.
    """
    frame = inspect.currentframe()
    caller = frame.f_back if frame is not None else None  # types defined inside a function are seen from there only
    try:
        names = dict(caller.f_locals) if caller is not None else None
        hints = typing.get_type_hints(function, localns=names, include_extras=True)
    except Exception as problem:  # whatever the text of an annotation raises
        name = getattr(function, "__name__", repr(function))
        raise InvalidRequest(f"The annotations of {name} cannot be read: {problem}.") from None
    return Prompted(function, hints)


@functools.cache
def _environment() -> Environment:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    return ImmutableSandboxedEnvironment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def _compiled(section: Section) -> Template | None:
    """The section's template; None for examples, which have no text."""
    from jinja2 import TemplateSyntaxError

    if section.role == "examples":
        return None
    try:
        return _environment().from_string(section.text)
    except TemplateSyntaxError as problem:
        raise TemplateError(
            f"The prompt's {section.role} section is wrong Jinja, line {problem.lineno}: {problem.message}."
        ) from None


def _names_in(text: str) -> set[str]:
    from jinja2 import meta

    environment = _environment()
    return meta.find_undeclared_variables(environment.parse(text)) - environment.globals.keys()


def _declared(
    header: Mapping[str, Variable] | None, argument: Mapping[str, Any] | None, sections: Sequence[Section]
) -> Mapping[str, Variable]:
    """The variables. Raises `InvalidRequest` for one that is used and not declared."""
    used: dict[str, Variable] = {}
    for section in sections:
        if section.role == "examples":
            used[section.text] = Variable(Examples)
        else:
            used |= {name: Variable(Any) for name in sorted(_names_in(section.text)) if name not in used}
    if argument is not None and not isinstance(argument, Mapping):
        raise InvalidRequest(f"variables takes a mapping, name -> type, got {type(argument).__name__}.")
    if argument is not None:
        declared = {name: Variable(_type_named(name, kind)) for name, kind in argument.items()}
    elif header is not None:
        declared = dict(header)
    else:
        return used
    if undeclared := [name for name in used if name not in declared]:
        known = ", ".join(declared) or "none"
        raise InvalidRequest(
            f"The prompt uses {', '.join(map(repr, undeclared))} and does not declare it; declared are: {known}.",
            param=undeclared[0],
        )
    return declared


def _type_named(name: str, kind: Any) -> Any:
    """A type as it is, or the one that a header would call so."""
    if not isinstance(kind, str):
        return kind
    if kind not in TYPES:
        raise InvalidRequest(f"{name} has the type {kind!r}; by name the types are: {', '.join(TYPES)}.", param=name)
    return TYPES[kind]


def _check_type(owner: str, name: str, value: Any, expected: Any) -> None:
    import pydantic

    if expected is Examples:
        _example_messages(name, value)
        return
    try:
        try:
            adapter = pydantic.TypeAdapter[Any](expected, config=pydantic.ConfigDict(arbitrary_types_allowed=True))
        except pydantic.PydanticUserError:  # a model, which brings its own configuration
            adapter = pydantic.TypeAdapter[Any](expected)
    except Exception as problem:
        raise InvalidRequest(
            f"{owner}: {name} has a type that is none: {why_unreadable(problem)}", param=name
        ) from None
    try:
        adapter.validate_python(value, strict=True)
    except pydantic.ValidationError as problem:
        first = problem.errors(include_url=False)[0]
        place = "".join(f"[{step!r}]" for step in first["loc"])
        raise InvalidRequest(
            f"{owner}: {name}{place} takes {inspect.formatannotation(expected)}: {first['msg']}.", param=name
        ) from None
    except Exception as problem:  # of a validator, or of a class's own constructor
        raise InvalidRequest(f"{owner}: {name} cannot be checked: {raised(problem)}.", param=name) from problem


def _example_messages(name: str, examples: Any) -> list[Message]:
    """A user and an assistant message for each pair."""
    if not isinstance(examples, (list, tuple)):
        raise InvalidRequest(f"{name} takes a list of (user, assistant), got {type(examples).__name__}.", param=name)
    messages: list[Message] = []
    for at, example in enumerate(cast("Sequence[object]", examples)):
        match example:
            case (str(question), str(answer)):
                pass
            case {"user": str(question), "assistant": str(answer)}:
                pass
            case _:
                raise InvalidRequest(
                    f"{name}[{at}] takes two texts, (user, assistant), or a mapping with these names, "
                    f"got {example!r:.80}.",
                    param=name,
                )
        messages += [User(question), Assistant(answer)]
    return messages


def _rendered(template: Template, values: Mapping[str, Any]) -> str:
    try:
        return template.render(values)
    except Exception as problem:  # Jinja's own errors, and whatever a value's methods raise
        raise TemplateError(f"The prompt cannot be rendered: {type(problem).__name__}: {problem}.") from None
