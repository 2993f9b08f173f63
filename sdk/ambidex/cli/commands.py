"""The commands and their options. What a command does is imported when it runs, so that `--help` is quick."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from ambidex import __version__

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_MODEL = "local:pocket"

_MODEL = (
    "local:NAME or local:./folder (in this process), hf:org/name (Hugging Face), "
    "http://host/v1#name (an OpenAI-compatible server)."
)


def _answers(command: F) -> F:
    """The options of `AgentOptions`."""
    options = [
        click.option("-m", "--model", default=DEFAULT_MODEL, show_default=True, metavar="MODEL", help=_MODEL),
        click.option(
            "-t",
            "--tools",
            multiple=True,
            type=click.Path(path_type=Path),
            metavar="FILE.py",
            help="Offer the functions decorated with @tool in this file. It is run as your own code. May be repeated.",
        ),
        click.option("-s", "--system", metavar="TEXT", help="Instructions to the model."),
        click.option("--max-tokens", type=int, metavar="N", help="Limit of new tokens in each answer."),
        click.option("--temperature", type=float, metavar="X", help="0 always takes the likeliest token."),
        click.option("--top-p", type=float, metavar="P", help="Draw from the likeliest tokens of this mass."),
        click.option("--seed", type=int, metavar="N", help="The same seed draws the same answer."),
        click.option(
            "--max-steps",
            type=int,
            default=20,
            show_default=True,
            metavar="N",
            help="With tools: how often the model is asked.",
        ),
        click.option("--timeout", type=float, metavar="S", help="Seconds for the whole answer, tools included."),
        click.option("-q", "--quiet", is_flag=True, help="Only the answer, and errors."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="%(prog)s %(version)s")
def ambidex() -> None:
    """Ask a model in this process or on a server; the answer on stdout, everything else on stderr.

    \b
      ambidex run "What is the capital of France?"
      ambidex run "What is the weather in Paris?" --tools examples/quickstart.py
      ambidex chat --model http://127.0.0.1:8000/v1#name
    """


@ambidex.command(short_help="One answer to a task, with tools where some are given.")
@click.argument("task", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object when the run is over; nothing else on stdout.")
@_answers
def run(task: str | None, as_json: bool, quiet: bool, **options: Any) -> None:
    """One answer to TASK, with tools where some are given. TASK comes from stdin where it is "-" or left out in a pipe.

    Exit codes: 0 answered, 1 an error (one line on stderr), 2 wrong usage, 130 stopped with Ctrl-C.
    """
    from . import standard_input

    if task is None and standard_input.is_typed():
        raise click.UsageError('Say what is to be answered: ambidex run "...", or - to type it here until Ctrl-D.')
    if task is None or task == "-":
        task = standard_input.whole()
    if not task.strip():
        raise click.UsageError("The task is empty.")

    from .agent_options import AgentOptions
    from .run import run

    run(task, AgentOptions(**options), as_json=as_json, quiet=quiet)


@ambidex.command(short_help="A conversation.")
@_answers
def chat(quiet: bool, **options: Any) -> None:
    """A conversation, one line at a time; from a pipe, too.

    /reset forgets what was said, /quit or the end of the input ends it. Ctrl-C stops an answer, and at the prompt the
    program.
    """
    from .agent_options import AgentOptions
    from .chat import chat

    chat(AgentOptions(**options), quiet=quiet)


@ambidex.command(short_help="Which models there are.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def models(as_json: bool) -> None:
    """The kinds of model strings, and the models that are on this machine. Asks no network."""
    from .models import models

    models(as_json=as_json)


@ambidex.command(short_help="Prepare a model of this process, so that its first use is quick.")
@click.argument("model", default=DEFAULT_MODEL)
@click.option("--quantize", type=click.Choice(["int8", "int4"]), help="Weights in 8 or 4 bits.")
def warm(model: str, quantize: str | None) -> None:
    """Download and load MODEL (local:NAME), compile what is compiled once on a machine, and compute one token."""
    if not model.startswith("local:"):
        raise click.UsageError(f"Only models of this process (local:...) are warmed, not {model!r}.")
    from .warm import warm

    warm(model, quantize=quantize)


@ambidex.command(short_help="Versions, devices and settings.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def env(as_json: bool) -> None:
    """Versions, devices and settings, for a report of a problem; of secrets only whether they are set."""
    from .environment import env

    env(as_json=as_json)
