"""The command `ambidex`: one answer (`run`), a conversation (`chat`), what is there (`models`, `env`).

The answer goes to stdout, everything else to stderr. Exit codes: 0 it worked, 1 one of our errors (one line, no
traceback), 2 the command was used wrongly, 130 stopped with Ctrl-C.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

__all__ = ["main"]

FAILED = 1
STOPPED = 130
"""128 and the number of SIGINT, as shells report it."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command with `arguments` (None: those of this process) and exits."""
    try:
        sys.exit(_exit_code(arguments))
    except KeyboardInterrupt:  # while something was being loaded
        sys.exit(STOPPED)


def _exit_code(arguments: Sequence[str] | None) -> int:
    import click

    from ambidex.errors import AmbidexError

    from .commands import ambidex
    from .screen import Screen

    try:
        code = ambidex.main(arguments, prog_name="ambidex", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as problem:
        problem.show()
        return problem.exit_code
    except click.Abort:  # click's word for Ctrl-C
        return STOPPED
    except AmbidexError as error:
        Screen().error(error)
        return FAILED
    except BrokenPipeError:  # whoever read our output has seen enough: `ambidex ... | head -1`
        # What is still buffered must go nowhere when the interpreter flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return code if isinstance(code, int) else 0
