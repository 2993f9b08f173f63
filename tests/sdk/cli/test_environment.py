"""`ambidex env`: what a report of a problem needs, and no secret."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import ambidex as package
from ambidex.cli import main
from ambidex.cli.environment import VARIABLES, variables

if TYPE_CHECKING:
    from .conftest import Done

REPOSITORY = Path(__file__).resolve().parents[3]


def test_versions_backends_and_settings_are_shown(ambidex: Callable[..., Done]) -> None:
    done = ambidex("env", HF_HOME="/somewhere/else")
    assert done.code == 0
    rows = {cells[0]: cells[-1] for line in done.out.splitlines() if len(cells := line.split(maxsplit=1)) == 2}
    assert rows["ambidex"] == package.__version__
    assert rows["scripted:"] == "scripts 8"
    assert rows["local:"].startswith("torch ")
    assert rows["HF_HOME"] == "/somewhere/else"
    assert rows["HF_TOKEN"] == "-"


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What `ambidex env` says in this process, where PyTorch is loaded once for all tests."""
    with pytest.raises(SystemExit) as ended:
        main(["env", *arguments])
    assert ended.value.code == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_no_secret_is_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    for name, value in {
        "HF_TOKEN": "hf_Canary1",
        "AMBIDEX_API_KEY": "sk-Canary2",
        "HTTPS_PROXY": "http://user:Canary3@proxy:3128",
        "AMBIDEX_HF_BASE_URL": "http://user:Canary4@127.0.0.1:1/v1",
        "AMBIDEX_API_KYE": "Canary5",
    }.items():
        monkeypatch.setenv(name, value)
    out = shown(capsys, *arguments)
    assert "Canary" not in out
    assert "proxy:3128" in out
    assert "misspelt" in out


def test_json_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(shown(capsys, "--json"))
    assert found["Ambidex"]["ambidex"] == package.__version__
    assert set(VARIABLES) <= set(found["Variables"])


def test_a_broken_backend_is_named_and_the_rest_goes_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, registered: Path
) -> None:
    (registered / "scripted_backend.py").write_text("raise RuntimeError('broken')")
    monkeypatch.syspath_prepend(str(registered))
    out = shown(capsys)
    assert "RuntimeError: broken" in out
    assert "HF_HOME" in out


@pytest.mark.parametrize("name", VARIABLES)
def test_each_variable_is_in_the_documents(name: str) -> None:
    assert f"`{name}`" in (REPOSITORY / "docs" / "environment.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "proxy",
    ["user:Canary@proxy:80", "http://user:Can/ary@proxy:80", "http://user:Can@ary@proxy:80", "proxy:80?key=Canary"],
)
def test_a_proxy_s_password_is_hidden_however_it_is_written(proxy: str) -> None:
    shown = variables({"HTTPS_PROXY": proxy})["HTTPS_PROXY"]
    assert "Can" not in shown
    assert "ary" not in shown
    assert "proxy:80" in shown


def test_an_at_sign_in_a_path_is_no_password() -> None:
    assert variables({"HF_HOME": "/home/me@work/hub"})["HF_HOME"] == "/home/me@work/hub"


def test_proxies_are_found_in_small_letters_too() -> None:
    assert variables({"https_proxy": "http://proxy:1"})["HTTPS_PROXY"] == "http://proxy:1"
