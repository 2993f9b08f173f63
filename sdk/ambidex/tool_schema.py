"""A tool's arguments: their JSON schema from a function's annotations, and the way from JSON back to Python values."""

from __future__ import annotations

import functools
import inspect
import json
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, NoReturn, cast

import typing_extensions

from .docstring import described
from .errors import InvalidRequest
from .schema_check import schema_problems
from .type_reading import UnreadableType, adapter_of, raised, schema_of

MAX_PROBLEMS = 20
"""Problems told to a model at once; a union can give one for each of its members."""


class DeclaredArguments:
    """Arguments whose JSON schema was given by hand. Raises `InvalidRequest` for what is no schema of an object."""

    description = ""
    receiver = None

    def __init__(self, tool_name: str, schema: Mapping[str, Any]) -> None:
        if not isinstance(schema, Mapping):
            raise InvalidRequest(
                f"parameters of {tool_name} takes a JSON schema as a mapping, got {type(schema).__name__}.",
                param="parameters",
            )
        try:
            self.schema: dict[str, Any] = json.loads(json.dumps(dict(schema), allow_nan=False))
        except (TypeError, ValueError, RecursionError) as problem:
            raise InvalidRequest(f"parameters of {tool_name} is not JSON: {problem}.", param="parameters") from None
        properties = self.schema.setdefault("properties", {})
        if self.schema.setdefault("type", "object") not in ("object", "dict") or not isinstance(properties, dict):
            raise InvalidRequest(
                f"parameters of {tool_name} must be the schema of an object: "
                '{"type": "object", "properties": {argument: schema}, "required": [...]}.',
                param="parameters",
            )

    def bind(self, arguments: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """The arguments as they are, and what is wrong with them."""
        bound = dict(arguments)
        return bound, schema_problems(self.schema, bound)


class FunctionArguments:
    """The arguments of a function, described by its signature, annotations and docstring; read when first needed.

    `names` are what annotations may refer to beside the function's globals. A **parameter is not shown to the model,
    nor is the first one of a method that is not bound yet, to an object or, `of_class`, to its class: the `receiver`.
    """

    def __init__(self, function: Callable[..., Any], names: Mapping[str, Any], *, of_class: bool = False) -> None:
        self._function = function
        self.names = names
        try:
            parameters = dict(inspect.signature(function).parameters)
        except (TypeError, ValueError):
            self._refuse("its signature cannot be read")
        first = next(iter(parameters), None)
        self.receiver = "class" if of_class else "object" if first == "self" else None
        if first is not None and self.receiver is not None:
            del parameters[first]
        for parameter in parameters.values():
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL):
                self._refuse(
                    f"{str(parameter).partition(':')[0]} has no name to be given by, and a model names its arguments"
                )
        self._parameters = {
            name: parameter for name, parameter in parameters.items() if parameter.kind is not parameter.VAR_KEYWORD
        }

    @property
    def description(self) -> str:
        return self._documentation[0]

    @functools.cached_property
    def schema(self) -> dict[str, Any]:
        """JSON schema of the arguments, without titles; nested objects under `$defs`, enumerations in their place."""
        from pydantic.fields import FieldInfo

        try:
            schema = _simple_types_in_place(_without_titles(schema_of(self._adapter)))
        except UnreadableType as problem:
            self._refuse(f"an annotation has no JSON schema: {problem}")
        properties: dict[str, Any] = schema.setdefault("properties", {})
        for name, parameter in self._parameters.items():
            is_given = parameter.default is not parameter.empty and not isinstance(parameter.default, FieldInfo)
            if is_given and name in properties:  # it is not where the model knows it by an alias
                try:
                    properties[name]["default"] = _plain(parameter.default)
                except (ValueError, TypeError, RecursionError):
                    continue  # a default that JSON cannot say: that the argument is optional is all the model sees
        first = {name: schema[name] for name in ("type", "properties", "required") if name in schema}
        return first | schema

    def bind(self, arguments: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """The arguments rebuilt to the annotated types, and what is wrong with them."""
        import pydantic

        try:
            text = json.dumps(dict(arguments))
        except (TypeError, ValueError, RecursionError) as problem:
            return {}, [f"not JSON: {problem}"]
        adapter = self._adapter
        try:
            return adapter.validate_json(text), []
        except pydantic.ValidationError as error:
            found = error.errors(include_url=False, include_context=False)
            return {}, [
                self._problem(item["loc"], item["type"], item["msg"], item["input"]) for item in found[:MAX_PROBLEMS]
            ]
        except Exception as problem:  # of a validator, or of a class's own constructor
            return {}, [raised(problem)]

    @functools.cached_property
    def _adapter(self) -> Any:
        """Validates the arguments as one typed dict, so that any parameter name goes; fills in defaults of `Field`s."""
        import pydantic
        from pydantic.fields import FieldInfo

        described = self._documentation[1]
        fields: dict[str, Any] = {}
        for name, parameter in self._parameters.items():
            annotation, default = self._annotations.get(name, Any), parameter.default
            if isinstance(default, FieldInfo):  # which the function itself would take for the value
                annotation, required = Annotated[annotation, default], default.is_required()
            else:
                required = default is parameter.empty
            annotation = _with_description(annotation, described.get(name))
            fields[name] = (typing_extensions.Required if required else typing_extensions.NotRequired)[annotation]
        arguments = cast(Any, typing_extensions.TypedDict)("Arguments", fields)
        arguments.__pydantic_config__ = pydantic.ConfigDict(extra="forbid")
        try:
            return adapter_of(arguments)
        except UnreadableType as problem:
            self._refuse(f"an annotation is no type that JSON can carry: {problem}")

    @property
    def _within_partials(self) -> Any:
        function: Any = self._function
        while isinstance(function, functools.partial):
            function = function.func
        return function

    @functools.cached_property
    def _annotations(self) -> dict[str, Any]:
        function = self._within_partials
        if not inspect.isroutine(function):
            function = type(function).__call__
        try:
            return typing_extensions.get_type_hints(function, localns=dict(self.names), include_extras=True)
        except Exception as problem:  # whatever the text of an annotation raises
            self._refuse(f"an annotation cannot be read: {problem}")

    @functools.cached_property
    def _documentation(self) -> tuple[str, dict[str, str]]:
        """What the docstring, of an object that of its `__call__`, says of the function and of each parameter."""
        function = self._within_partials
        called = "" if inspect.isroutine(function) else inspect.cleandoc(type(function).__call__.__doc__ or "")
        return described(called or inspect.getdoc(function) or "")

    def _problem(self, location: tuple[int | str, ...], kind: str, message: str, given: object) -> str:
        path = ".".join(map(str, location)) or "arguments"
        if kind == "extra_forbidden" and len(location) == 1:
            return f"{path} is unknown; the arguments are: {', '.join(self.schema['properties']) or 'none'}"
        expected = self._expected(location[0]) if location else "an object"
        if kind == "missing" and len(location) == 1:
            return f"{path} is missing; expected {expected}"
        got = _shortened(json.dumps(given, ensure_ascii=False, default=repr))
        return f"{path}: {message}, got {got}; expected {expected}"

    def _expected(self, name: int | str) -> str:
        schema = self.schema["properties"].get(name, {})
        if "$ref" in schema:
            schema = self.schema["$defs"][schema["$ref"].removeprefix("#/$defs/")]
        return _shortened(json.dumps({key: schema[key] for key in schema if key != "default"}, ensure_ascii=False), 300)

    def _refuse(self, why: str) -> NoReturn:
        name = getattr(self._function, "__qualname__", repr(self._function))
        raise InvalidRequest(f"{name} cannot be a tool: {why}.", param="tools") from None


def _plain(value: object) -> Any:
    """A value as JSON has it. Raises ValueError, TypeError or RecursionError where it cannot."""
    import pydantic_core

    return json.loads(json.dumps(pydantic_core.to_jsonable_python(value), allow_nan=False))


def _with_description(annotation: Any, described: str | None) -> Any:
    """The annotation with a description: its own if it has one, as text or as Field, else the docstring's."""
    import pydantic
    from pydantic.fields import FieldInfo

    metadata: tuple[Any, ...] = ()
    if typing.get_origin(annotation) is Annotated:
        metadata = annotation.__metadata__
    if any(isinstance(item, FieldInfo) and item.description for item in metadata):
        return annotation
    text = next((item for item in metadata if isinstance(item, str)), described)
    return Annotated[annotation, pydantic.Field(description=text)] if text else annotation


def _changed(schema: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    """The schema with `change` made in each schema of it, from the outside in; names and data stay."""
    if isinstance(schema, list):
        return [_changed(item, change) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made: dict[str, Any] = {}
    for key, value in change(schema).items():
        if key in ("properties", "patternProperties", "$defs"):
            made[key] = {name: _changed(item, change) for name, item in value.items()}
        else:
            made[key] = value if key in ("default", "const", "enum", "examples") else _changed(value, change)
    return made


def _without_titles(schema: dict[str, Any]) -> dict[str, Any]:
    """pydantic makes a title of every name, which tells a model nothing."""
    return cast("dict[str, Any]", _changed(schema, lambda item: {key: item[key] for key in item if key != "title"}))


def _simple_types_in_place(schema: dict[str, Any]) -> dict[str, Any]:
    """An enumeration stands where it is used: chat templates read a property's `type` and follow no $ref."""
    definitions: dict[str, dict[str, Any]] = schema.get("$defs", {})
    simple = {
        f"#/$defs/{name}": item
        for name, item in definitions.items()
        if item.get("type") in ("string", "integer", "number", "boolean") or "enum" in item or "const" in item
    }

    def placed(item: dict[str, Any]) -> dict[str, Any]:
        if item.get("$ref") not in simple:
            return item
        return {**simple[item["$ref"]], **{key: value for key, value in item.items() if key != "$ref"}}

    if not simple:
        return schema
    kept = {name: item for name, item in definitions.items() if f"#/$defs/{name}" not in simple}
    found = {key: item for key, item in schema.items() if key != "$defs"} | ({"$defs": kept} if kept else {})
    return cast("dict[str, Any]", _changed(found, placed))


def _shortened(text: str, length: int = 120) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
