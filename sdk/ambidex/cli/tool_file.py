"""`--tools file.py`: the tools that a file of the user's defines. Its code is run, as the user's own."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from pathlib import Path
from typing import Any, cast

from ambidex.errors import ConfigError
from ambidex.tools import Tool

_HINT = "--tools takes a Python file in which functions are decorated with @tool (from ambidex import tool)."


def load_tools(file: Path) -> tuple[Tool[..., Any], ...]:
    """The `Tool`s among the names of the file, in the order in which they stand there; those with _ in front are not.

    The file may import its neighbours, as a program may. Raises `ConfigError` for a file that cannot be read or run or
    that has no tools.
    """
    path = file.resolve()
    if not path.is_file():
        raise ConfigError(f"There is no file {str(file)!r}. {_HINT}")
    name = f"ambidex_tools_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{str(file)!r} is not a Python file. {_HINT}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and annotations look themselves up there
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as problem:
        where = f" (line {line})" if (line := _line(problem, path)) else ""
        raise ConfigError(f"{str(file)!r} cannot be run{where}: {type(problem).__name__}: {problem}") from problem
    found: list[Tool[..., Any]] = []
    for name, value in vars(module).items():
        if isinstance(value, Tool) and not name.startswith("_"):
            tool = cast("Tool[..., Any]", value)
            if not any(tool is other for other in found):
                found.append(tool)
    if not found:
        raise ConfigError(f"{str(file)!r} has no tools. {_HINT}")
    return tuple(found)


def _line(problem: BaseException, path: Path) -> int | None:
    """The line of the file that the problem came from."""
    if isinstance(problem, SyntaxError):
        return None if problem.filename != str(path) else problem.lineno
    lines = [frame.lineno for frame in traceback.extract_tb(problem.__traceback__) if frame.filename == str(path)]
    return lines[-1] if lines else None
