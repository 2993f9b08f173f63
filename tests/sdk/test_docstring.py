"""What a docstring tells a model: of a function, and of each of its parameters."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest

from ambidex.tools import tool


def beside(first: int, second: int = 0) -> None:
    """Pays.

    In one go.

    Args:
        first, second: amounts

    Note:
        Never twice.

    Raises:
        ValueError: if there is no money

    Returns:
        Nothing.

    Asks nobody.
    """


def underlined(first: int, second: int = 0) -> None:
    """Pays.

    In one go.

    Parameters
    ----------
    first, second : int
        amounts

    Returns
    -------
    None

    Notes
    -----
    Asks nobody.
    """


def fields(first: int, second: int = 0) -> None:
    """Pays.

    In one go.

    :param first: amounts
    :type first: int
    :param second:
        amounts
    :raises ValueError: if there is no money
        on the account

    Note:
        Never twice.

    Asks nobody.
    """


@pytest.mark.parametrize("function", [beside, fields])
def test_all_text_of_a_docstring_is_for_the_model_but_parameters_and_results(function: Callable[..., None]) -> None:
    made = tool(function)
    assert made.description == "Pays.\n\nIn one go.\n\nNote:\n    Never twice.\n\nAsks nobody."
    described = [schema["description"] for schema in made.parameters["properties"].values()]
    assert described == ["amounts", "amounts"]


def test_sections_of_numpy_s_style_stay_with_their_titles() -> None:
    made = tool(underlined)
    assert made.description == "Pays.\n\nIn one go.\n\nNotes\n-----\nAsks nobody."
    assert made.parameters["properties"]["second"]["description"] == "amounts"


def test_a_section_that_cannot_be_read_stays() -> None:
    def f(a: int) -> None:
        """Does.

        Args:
            a is a number
        """

    assert tool(f).description == "Does.\n\nArgs:\n    a is a number"


class Looks:
    """A thing."""

    def __call__(self, key: str) -> str:
        """Looks a key up.

        Args:
            key: which one
        """
        return key


class Silent:
    """A silent thing."""

    def __call__(self, key: str) -> str:
        return key


def test_what_is_called_in_the_end_describes_itself() -> None:
    def lookup(table: str, key: str) -> str:
        """Looks a key up.

        Args:
            table: where
            key: which one
        """
        return table + key

    for made in (tool(name="f")(functools.partial(functools.partial(lookup, "main"))), tool(name="f")(Looks())):
        assert made.description == "Looks a key up."
        assert made.parameters["properties"] == {"key": {"type": "string", "description": "which one"}}
    assert tool(name="f")(Silent()).description == "A silent thing."
