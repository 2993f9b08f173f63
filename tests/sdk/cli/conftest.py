"""A backend that is registered as third parties register theirs, and the command as a person starts it."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

SCRIPT = '''
"""scripted:NAME answers as SCRIPTS[NAME] says."""

import time

from ambidex import Assistant, Reasoning, TextDelta, ToolCall, ToolResult
from ambidex.errors import RateLimited
from ambidex.testing import ScriptedBackend


def weather(request):
    last = request.messages[-1]
    if isinstance(last, ToolResult):
        return f"It is {last.text}."
    return Assistant("I look. ", ToolCall("1", "weather", {"city": "Paris"}))


def echo(request):
    said = [message.text for message in request.messages]
    return " | ".join(said)


def slow(request):
    yield TextDelta("begun")
    time.sleep(60)


def fails_second(request):
    if len(request.messages) > 1:
        return RateLimited("Too many\\nrequests.")
    return "fine"


SCRIPTS = {
    "weather": weather,
    "echo": echo,
    "slow": slow,
    "fails-second": fails_second,
    "escapes": lambda request: "red \\x1b[31mtext\\x07 \\x9b1m \\u202e end",
    "thinks": lambda request: Assistant(Reasoning("let me see"), "42"),
    "long": lambda request: "one two three four five six",
    "error": lambda request: RateLimited("Too many\\nrequests.", retry_after=3.0),
}


class Scripted(ScriptedBackend):
    """Answers from a script."""

    def __init__(self, name):
        super().__init__(SCRIPTS[name])

    @staticmethod
    def environment():
        return {"scripts": str(len(SCRIPTS))}
'''

TOOLS = '''
from ambidex import tool

print("the tool file is loaded")

@tool
def weather(city: str) -> str:
    """The weather in a city today."""
    print("the tool prints")
    return f"sunny \\x1b[31m in {city}"
'''


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def registered(tmp_path: Path) -> Path:
    """A folder that, on the path, registers the backend `scripted:`."""
    folder = tmp_path / "site"
    information = folder / "scripted-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: scripted\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[ambidex.backends]\nscripted = scripted_backend:Scripted\n")
    (folder / "scripted_backend.py").write_text(SCRIPT)
    return folder


@pytest.fixture
def tool_file(tmp_path: Path) -> Path:
    file = tmp_path / "my_tools.py"
    file.write_text(TOOLS)
    return file


@pytest.fixture
def environment(registered: Path, tmp_path: Path) -> dict[str, str]:
    """Of a person with the backend `scripted:` and a home of their own."""
    path = os.pathsep.join([str(registered), *filter(None, [os.environ.get("PYTHONPATH")])])
    home = {"HOME": str(tmp_path), "HF_HOME": str(tmp_path / "hf")}
    return {**os.environ, **home, "PYTHONPATH": path, "TERM": "xterm", "COLUMNS": "80"}


@pytest.fixture
def ambidex(environment: dict[str, str], tmp_path: Path) -> Callable[..., Done]:
    """Runs the command with its output in pipes."""

    def run(*arguments: str, stdin: str | bytes = "", **variables: str) -> Done:
        given = stdin if isinstance(stdin, bytes) else stdin.encode()
        done = subprocess.run(
            [sys.executable, "-m", "ambidex", *arguments],
            input=given,
            capture_output=True,
            env={**environment, **variables},
            cwd=tmp_path,
            timeout=120,
        )
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


def _heed_interrupts() -> None:
    """Ctrl-C counts, also where the tests run behind a shell that ignores it for what it runs in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Terminal:
    """The command on a terminal; `.shown` is what it wrote there so far."""

    def __init__(self, arguments: tuple[str, ...], environment: dict[str, str], folder: Path) -> None:
        self._main, end = pty.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ambidex", *arguments],
            stdin=end,
            stdout=end,
            stderr=end,
            env=environment,
            cwd=folder,
            start_new_session=True,
            preexec_fn=_heed_interrupts,
        )
        os.close(end)
        self.shown = ""

    def until(self, text: str) -> str:
        """What is shown once `text` is among it; what came before is forgotten for the next call."""
        limit = time.monotonic() + 60
        while text not in self.shown:
            assert time.monotonic() < limit, f"{text!r} did not come: {self.shown!r}"
            if not self._read(1.0) and self._process.poll() is not None and not self._read(0.1):
                raise AssertionError(f"ended without {text!r}: {self.shown!r}")
        shown, self.shown = self.shown, ""
        return shown

    def type(self, text: str) -> None:
        os.write(self._main, text.encode())

    def interrupt(self) -> None:
        """Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    def end(self) -> Done:
        """Waits for the end; what was shown since `until`."""
        limit = time.monotonic() + 60
        while self._process.poll() is None and time.monotonic() < limit:
            self._read(0.1)
        while self._read(0.1):
            pass
        return Done(self._process.wait(30), self.shown, "")

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._main)

    def _read(self, seconds: float) -> bool:
        """Whether something came within the time."""
        if not select.select([self._main], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self._main, 65536)
        except OSError:  # Linux: the other end is closed
            return False
        self.shown += data.decode(errors="replace").replace("\r\n", "\n")
        return bool(data)


@pytest.fixture
def on_terminal(environment: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., Terminal]:
    """Starts the command on a terminal."""

    def start(*arguments: str, **variables: str) -> Terminal:
        terminal = Terminal(arguments, {**environment, **variables}, tmp_path)
        request.addfinalizer(terminal.close)
        return terminal

    return start
