"""Standard input, output and errors as a caller left them: closed, full, or in an encoding that lacks characters."""

from __future__ import annotations

import io
import os
import sys


def make_usable() -> None:
    """One that is closed (`>&-`) leads nowhere, and what an encoding lacks is escaped."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115  # for as long as the program runs
        elif mode == "w" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def discard_output() -> None:
    """What could not be written, and is still buffered, goes nowhere when the interpreter flushes at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
