"""The command as a whole: quick help, the version, both ways to start it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

import ambidex as package

if TYPE_CHECKING:
    from .conftest import Done

HEAVY = ("torch", "transformers", "huggingface_hub", "httpx", "pydantic", "jinja2", "rich", "ambidex.agent")


def test_help_names_every_command(ambidex: Callable[..., Done]) -> None:
    done = ambidex("--help")
    assert done.code == 0
    assert {"run", "chat", "models", "env"} <= set(done.out.split())


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom ambidex.cli import main\n"
        "try:\n    main(['run', '--help'])\nexcept SystemExit as end:\n    assert end.code == 0\n"
        f"assert not (found := set({HEAVY!r}) & set(sys.modules)), found"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, stdout=subprocess.DEVNULL)


def test_the_version_is_the_package_s(ambidex: Callable[..., Done]) -> None:
    assert ambidex("--version").out == f"ambidex {package.__version__}\n"


def test_without_a_command_it_shows_the_help(ambidex: Callable[..., Done]) -> None:
    done = ambidex()
    assert done.code == 2
    assert "Usage: ambidex" in done.err


def test_a_reader_that_leaves_ends_it_quietly(environment: dict[str, str]) -> None:
    # `true` reads nothing: what is written after it has gone finds no reader.
    line = f"'{sys.executable}' -m ambidex run hello -m scripted:echo -q | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() in ("0", "1")
    assert done.stderr == ""


@pytest.mark.parametrize(
    "arguments", [("run", "hello", "-m", "scripted:echo"), ("models",), ("env", "--json"), ("--help",)]
)
def test_a_full_disk_is_one_line(environment: dict[str, str], arguments: tuple[str, ...]) -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "ambidex", *arguments]
        done = subprocess.run(command, env=environment, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr == "error: The output cannot be written: No space left on device.\n"


@pytest.mark.parametrize(
    ("closed", "code", "out", "err"),
    [
        ("hello -q >&-", 0, "", ""),
        ("hello 2>&-", 0, "hello", ""),
        ("hello -q <&-", 0, "hello", ""),
        ("<&-", 2, "", "The task is empty"),
        ("hello <&- >&- 2>&-", 0, "", ""),
    ],
)
def test_streams_that_are_closed_lead_nowhere(
    environment: dict[str, str], closed: str, code: int, out: str, err: str
) -> None:
    line = f"'{sys.executable}' -m ambidex run -m scripted:echo {closed}"
    done = subprocess.run(["bash", "-c", line], env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (code, out)
    assert err in done.stderr
    assert bool(err) == bool(done.stderr)


def test_what_an_encoding_lacks_is_escaped(ambidex: Callable[..., Done]) -> None:
    command = ("run", "Grüße", "-m", "scripted:echo")
    assert ambidex(*command, PYTHONIOENCODING="ascii").out == "Gr\\xfc\\xdfe\n"
    assert json.loads(ambidex(*command, "--json", PYTHONIOENCODING="ascii").out)["answer"] == "Grüße"
    assert "Grüße" in ambidex(*command, "--json", PYTHONIOENCODING="utf-8").out
