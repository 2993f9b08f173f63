"""Every example runs, offline, and shows what it says it shows."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from tests.servers import Chunk, calls, chat_server, text

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

Example = Callable[..., str]


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Example:
    """Runs an example as a program, in this process; what it printed."""

    def run(name: str, *arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out

    return run


def test_the_quickstart_runs_as_make_run_runs_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / "quickstart.py")],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=tmp_path,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert 'Call:   weather {"city": "Paris"}\nResult: 18 degrees and rain\n' in done.stdout
    answer = done.stdout.rstrip().rpartition("Pocket: ")[2]
    assert "18 degrees and rain" in answer
    assert list(tmp_path.iterdir()) == []


def test_tools(example: Example) -> None:
    out = example("tools.py")
    assert "'start': Point(x=0.0, y=0.0)" in out
    assert "'unit': <Unit.MILES: 'miles'>" in out
    assert "RuntimeError: the database is locked" in out
    assert "gets: 21:40" in out
    assert "The lights are now: {'kitchen': True}" in out


def test_journal() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / "journal.py")],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "The first program ended with exit code 9." in done.stdout
    assert "In doubt: set_light" in done.stdout
    assert "Switches: ['kitchen on']" in done.stdout


def test_prompts(example: Example) -> None:
    out = example("prompts.py")
    assert "User: What is {{ this }}?" in out
    assert "Did you mean 'question'?" in out
    assert "Ana" in out
    assert "4 degrees and snow" in out
    assert "21 degrees and clouds" in out


def test_base_model_steps_give_what_one_request_gives(example: Example) -> None:
    out = example("base_model.py")
    assert "step 1\n" in out
    assert "*" in out
    pieces = [line[3:].rpartition("'")[0][1:] for line in out.splitlines() if line.startswith(" * '")]
    answer = out.rstrip().rpartition("assistant\n")[2]
    assert answer
    # The steps show byte pieces in quotes; joined they are the answer, but for the end token.
    assert "".join(pieces).removesuffix("<|im_end|>") == answer


def test_base_model_goes_on_from_a_text_with_another_model(example: Example, shared: Path) -> None:
    folder = shared / "weights" / "stories260K"
    if not folder.is_dir():
        pytest.skip("no weights of stories260K")
    out = example("base_model.py", str(folder), "Once upon a time")
    assert out.startswith("Once upon a time\n")
    assert "Once upon a time, there was a little girl" in out


def weather_server(body: dict[str, Any]) -> Iterable[Chunk]:
    """Calls the tool, then answers from its result."""
    last = body["messages"][-1]
    if last["role"] == "tool":
        return text("It is ", last["content"], ".")
    return calls(("weather", {"city": "Paris"}))


def test_swap_hands_gives_the_same_on_every_hand(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with chat_server(weather_server) as url:
        monkeypatch.setenv("AMBIDEX_HF_BASE_URL", url)
        monkeypatch.setattr(sys, "argv", ["swap_hands.py", "local:pocket", "hf:org/name", f"{url}#test-model"])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(EXAMPLES / "swap_hands.py"), run_name="__main__")
    assert ended.value.code == 0
    parts = capsys.readouterr().out.split("== ")[1:]
    assert [part.splitlines()[0] for part in parts] == ["local:pocket", "hf:org/name", f"{url}#test-model"]
    for part in parts:
        assert 'called   weather({"city": "Paris"})' in part
        assert "18 degrees and rain" in part.partition("answered")[2]


def test_swap_hands_says_what_is_wrong_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["swap_hands.py", "pocket", "http://127.0.0.1:1/v1#name"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(EXAMPLES / "swap_hands.py"), run_name="__main__")
    assert ended.value.code == 1
    err = capsys.readouterr().err
    assert "ConfigError: 'pocket' names no backend. Did you mean 'local:pocket'?" in err
    assert "ConnectError: " in err
