"""`ambidex warm`: a model of this process is prepared, others are refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .conftest import Done


def test_a_model_is_prepared(ambidex: Callable[..., Done]) -> None:
    done = ambidex("warm")
    assert done.code == 0, done.err
    assert done.out.startswith("local:pocket is ready: loaded in ")


def test_only_models_of_this_process_are_warmed(ambidex: Callable[..., Done]) -> None:
    done = ambidex("warm", "hf:org/name")
    assert done.code == 2
    assert "Only models of this process" in done.err


def test_a_model_that_is_not_there_is_one_line(ambidex: Callable[..., Done]) -> None:
    done = ambidex("warm", "local:./nowhere")
    assert done.code == 1
    assert done.err.startswith("error: There is no folder")
