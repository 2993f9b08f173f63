"""What `ambidex` exports, name by name: a change here is a change of the public contract."""

from __future__ import annotations

import tomllib
from pathlib import Path
from types import ModuleType

import pytest

import ambidex

MODULES = ("messages", "formats", "templates", "errors", "testing")
NAMES = (
    *("Chat", "AsyncChat", "Agent", "AsyncAgent", "AgentResult"),
    *("connect", "Backend", "Capabilities", "Fallback"),
    *("Request", "Greedy", "Sampling", "Beams", "NamedTool", "Special"),
    *("Message", "Part", "System", "User", "Assistant", "ToolResult"),
    *("Text", "Image", "Audio", "Url", "Reasoning", "ToolCall", "InvalidToolCall"),
    *("Event", "EventStream", "TextDelta", "ReasoningDelta", "ToolCallStarted", "ToolCallDelta", "ToolCalled"),
    *("TokenScored", "ValueDelta", "Restarted", "Finished"),
    *("Reply", "Choice", "Usage", "Timings", "TokenLogprob", "collect", "acollect"),
    *("tool", "Tool", "PromptTemplate", "prompted", "AmbidexError", "__version__"),
    *MODULES,
)


def test_the_list_of_public_names_is_the_contract() -> None:
    assert sorted(ambidex.__all__) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(ambidex, name) is not None
    assert name in dir(ambidex)


@pytest.mark.parametrize("name", MODULES)
def test_public_modules_are_modules(name: str) -> None:
    assert isinstance(getattr(ambidex, name), ModuleType)


def test_the_version_is_the_project_s() -> None:
    project = tomllib.loads((Path(__file__).resolve().parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    assert ambidex.__version__ == project["project"]["version"]
