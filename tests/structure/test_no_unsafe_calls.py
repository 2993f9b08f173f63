"""Nothing that a model, a server or a downloaded file says is ever run as code: no pickle, no eval, no remote code."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
CALLS = {"eval", "exec", "builtins.eval", "builtins.exec", "torch.load", "torch.serialization.load"}


def full_names(tree: ast.AST) -> dict[str, str]:
    """What imported names stand for: `import torch as t` gives t: torch, `from torch import load` load: torch.load."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def unsafe(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, what) for each unsafe thing in the tree."""
    names = full_names(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] in MODULES:
                    yield node.lineno, f"import {alias.name}"
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in MODULES and not node.level:
            yield node.lineno, f"from {node.module} import"
        elif isinstance(node, ast.Name | ast.Attribute):  # named is enough: `run = eval` is no better than the call
            first, dot, rest = ast.unparse(node).partition(".")
            if (name := names.get(first, first) + dot + rest) in CALLS:
                yield node.lineno, name
        elif isinstance(node, ast.keyword) and node.arg == "trust_remote_code" and not is_false(node.value):
            yield node.value.lineno, "trust_remote_code"
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == "trust_remote_code" and not is_false(value):
                    yield value.lineno, "trust_remote_code"


def is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


def test_nothing_unsafe_is_called() -> None:
    files = [file for folder in ("sdk", "backends") for file in sorted((REPOSITORY / folder).rglob("*.py"))]
    assert files
    wrong = [
        f"{file.relative_to(REPOSITORY)}:{line}: {what}"
        for file in files
        for line, what in unsafe(ast.parse(file.read_text(encoding="utf-8")))
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import torch\ntorch.load('x')",
        "import torch as t\nt.load('x')",
        "from torch import load as read\nread('x')",
        "eval('1')",
        "run = exec",
        "f(trust_remote_code=True)",
        "f(trust_remote_code=anything)",
        "f(**{'trust_remote_code': True})",
    ],
)
def test_the_reader_finds(source: str) -> None:
    assert list(unsafe(ast.parse(source)))


@pytest.mark.parametrize("source", ["model.eval()", "f(trust_remote_code=False)", "json.load(f)", "literal_eval('1')"])
def test_the_reader_leaves_alone(source: str) -> None:
    assert not list(unsafe(ast.parse(source)))
