"""The command `ambidex`: one answer (`run`), a conversation (`chat`), what is there (`models`, `env`).

The answer goes to stdout, everything else to stderr. Exit codes: 0 it worked, 1 one of our errors (one line, no
traceback), 2 the command was used wrongly, 130 stopped with Ctrl-C.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from typing import NoReturn

__all__ = ["main"]

FAILED = 1
STOPPED = 130
"""128 and the number of SIGINT, as shells report it."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command with `arguments` (None: those of this process) and exits."""
    from . import standard_streams

    standard_streams.make_usable()
    try:
        sys.exit(_exit_code(arguments))
    except KeyboardInterrupt:  # while something was being loaded
        sys.exit(STOPPED)
    except BrokenPipeError:  # whoever read our output has seen enough: `ambidex ... | head -1`
        standard_streams.discard_output()
        sys.exit(FAILED)
    except OSError as problem:  # of the output; no other comes this far
        standard_streams.discard_output()
        with contextlib.suppress(OSError):
            sys.stderr.write(f"error: The output cannot be written: {problem.strerror or problem}.\n")
        sys.exit(FAILED)


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
    return code if isinstance(code, int) else 0
