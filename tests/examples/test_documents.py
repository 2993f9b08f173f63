"""What the documents show runs, what they name exists, and what exists is named."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import ambidex
from ambidex import errors

REPOSITORY = Path(__file__).resolve().parents[2]
DOCUMENTS = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    *(f"docs/{f.name}" for f in (REPOSITORY / "docs").glob("*.md")),
]

_BLOCK = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    kind: str
    code: str
    line: int


def text_of(document: str) -> str:
    return (REPOSITORY / document).read_text(encoding="utf-8")


def blocks(document: str) -> Iterator[Block]:
    """The fenced blocks, each with what stands behind its fence and its first line."""
    text = text_of(document)
    for found in _BLOCK.finditer(text):
        yield Block(found[1].strip(), found[2], text.count("\n", 0, found.start()) + 2)


def compiled(document: str, block: Block) -> Any:
    return compile("\n" * (block.line - 1) + block.code, document, "exec")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_python_blocks_run_in_their_order(
    document: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks marked `python` share one namespace; those marked `python no-run` need a network and are only compiled."""
    monkeypatch.chdir(tmp_path)  # where the files go that they make
    namespace: dict[str, Any] = {"__name__": "readme"}
    for block in blocks(document):
        if block.kind == "python":
            exec(compiled(document, block), namespace)
        elif block.kind == "python no-run":
            compiled(document, block)
        else:
            assert not block.kind.startswith("py"), f"{document}:{block.line}: mark it `python` or `python no-run`"


def test_the_readme_has_blocks_that_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert len([block for block in blocks("README.md") if block.kind == "python"]) >= 5


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)", text_of(document))
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (REPOSITORY / document).parent.joinpath(target).exists()] == []


def error_names() -> set[str]:
    return {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}


def test_every_error_has_its_row() -> None:
    named = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\|([^|]*)\|", text_of("docs/errors.md"), re.MULTILINE))))
    assert named | {"AmbidexError"} == error_names()


def test_every_module_is_in_the_architecture() -> None:
    """Each module by its name, or its package where that is described as a whole."""
    text = text_of("docs/architecture.md")
    tables = " ".join(re.findall(r"^\|[^\n]*\|$", text, re.MULTILINE))
    words = set(re.findall(r"[\w/]+", " ".join(re.findall(r"`([^`]*)`", tables))))
    names = {part for word in words for part in (word, word.rstrip("/"), word.rpartition("/")[2])}
    wholes = {"formats", "testing", "cli", "hub", "endpoint"}
    missing: list[str] = []
    for root in (REPOSITORY / "sdk" / "ambidex", REPOSITORY / "backends" / "ambidex_backends"):
        for file in sorted(root.rglob("*.py")):
            inside = file.relative_to(root)
            if file.stem.startswith("__") or inside.parts[0] in wholes:
                continue
            if file.stem not in names:
                missing.append(str(inside))
    assert wholes <= names
    assert missing == []


def test_every_file_that_the_tables_name_exists() -> None:
    text = text_of("docs/architecture.md")
    folder = {"sdk/ambidex": REPOSITORY / "sdk" / "ambidex", "backends": REPOSITORY / "backends" / "ambidex_backends"}
    for heading, root in (("### `sdk/ambidex`", folder["sdk/ambidex"]), ("### `backends/", folder["backends"])):
        section = text.partition(heading)[2].partition("\n#")[0]
        for cells in re.findall(r"^\| (`[^|]*) \|", section, re.MULTILINE):
            inside = ""
            for name in re.findall(r"`([^`]+)`", cells):
                inside = name.rpartition("/")[0] if "/" in name.rstrip("/") else inside
                path = root / (name if "/" in name else f"{inside}/{name}" if inside else name)
                assert path.is_dir() or path.with_suffix(".py").is_file(), f"{name} is not in {root.name}"


def test_the_readme_names_every_public_way_in() -> None:
    text = text_of("README.md")
    for name in (
        "Chat",
        "Agent",
        "AsyncChat",
        "AsyncAgent",
        "tool",
        "PromptTemplate",
        "prompted",
        "connect",
        "collect",
    ):
        assert name in ambidex.__all__
        assert re.search(rf"\b{name}\b", text), name
