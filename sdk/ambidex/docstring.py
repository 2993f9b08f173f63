"""What a docstring tells a model: about a function, and about each of its parameters."""

from __future__ import annotations

import re

_TITLES = (
    *("Args", "Arguments", "Parameters", "Params", "Other Parameters", "Attributes"),
    *("Returns", "Yields", "Raises", "Exceptions", "Except"),
)
"""Sections about parameters and results. All other text is for the model, wherever it stands."""

_FIELDS = (
    *("param", "parameter", "arg", "argument", "attribute", "key", "keyword", "type"),
    *("return", "returns", "rtype", "yield", "yields", "raises", "raise", "except", "exception"),
)

_GOOGLE = rf"^(?:{'|'.join(_TITLES)}):[ \t]*\n(?:[ \t]*\n)*[ \t]+\S.*\n(?:[ \t]+\S.*\n|[ \t]*\n)*"
"""A title, and what is indented below it."""

_UNDERLINED = "|".join(rf"{title}[ \t]*\n{'-' * len(title)}" for title in _TITLES)
_NUMPY = rf"^(?:{_UNDERLINED})[ \t]*\n(?:(?!\S.*\n-{{3,}}[ \t]*\n).*\n)*"
"""An underlined title, and what stands before the next one."""

_FIELD = rf"[:@](?:{'|'.join(_FIELDS)})\b[^:\n]*:.*\n(?:(?![:@]\w)\S.*\n|(?:[ \t]*\n)*[ \t]+\S.*\n)*"
_SPHINX = rf"^{_FIELD}(?:(?:[ \t]*\n)*{_FIELD})*"
"""Fields, Epydoc's too: each to the end of its paragraph, with what is indented below it."""

_SECTION = re.compile(f"{_GOOGLE}|{_NUMPY}|{_SPHINX}", re.MULTILINE)


def described(text: str) -> tuple[str, dict[str, str]]:
    """The description without the sections of parameters and results, and each parameter's own."""
    import docstring_parser

    parameters: dict[str, str] = {}

    def without(section: re.Match[str]) -> str:
        """Nothing of a section that was read; one that cannot be stays, for the model to read."""
        try:
            parsed = docstring_parser.parse("\n" + section[0])
        except docstring_parser.ParseError:
            return section[0]
        for item in parsed.params:
            if item.description:
                parameters.update({name.strip().lstrip("*"): item.description for name in item.arg_name.split(",")})
        return "\n" if parsed.meta else section[0]

    first, _, others = _SECTION.sub(without, text + "\n").strip().partition("\n")
    return "\n\n".join(filter(None, (first, re.sub(r"\n{3,}", "\n\n", others).strip()))), parameters
