"""Imports point one way, and each heavy library has one place (docs/architecture.md); read from the syntax trees."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
ROOTS = {"ambidex": REPOSITORY / "sdk", "ambidex_backends": REPOSITORY / "backends"}

# Each module of ambidex may import what stands to its left, never to its right. `__init__` is `import ambidex` itself.
ORDER: Sequence[str] = (
    "errors option_names printable_address strict_json text_pieces messages call_pairing schema_check type_reading "
    "docstring tool_schema tools decoding grammar output partial_json request reply trace events accumulator stream "
    "formats tokenizer template_limits template_sandbox provenance template_fields template_reasoning template_repair "
    "template_support templates backend threaded_stream "
    "structured_answer structured_stream conversation circuit failover fallback chat async_chat prompt_file prompts "
    "context agent_events journal journal_json run_lock sqlite_journal agent_limits agent_step run_record stop_signal "
    "tool_batch tool_runner agent_stream agent_settings agent async_agent testing __init__ cli __main__"
).split()

# Halves of a module that have a file of their own and are loaded when first needed; inside one place imports are free.
HALF_OF = {"openai_messages": "messages", "media_type": "messages", "message_json": "messages"}

HOME = {
    "httpx": "ambidex_backends.http",
    "torch": "ambidex_backends.local",
    "transformers": "ambidex_backends.local",
}


class Import(NamedTuple):
    module: str  # the dotted module that is imported
    name: str | None  # the name taken from it, if any
    line: int
    for_types_only: bool


def sources(package: str) -> list[tuple[str, Path]]:
    """The dotted name and the file of each module of the package."""
    root = ROOTS[package]
    found = []
    for file in sorted((root / package).rglob("*.py")):
        parts = file.relative_to(root).with_suffix("").parts
        found.append((".".join(parts), file))
    return found


def is_type_checking(node: ast.expr) -> bool:
    return ast.unparse(node) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def imports(module: str, tree: ast.AST, for_types_only: bool = False) -> Iterator[Import]:
    """Every import in the tree, at the top or inside a function; relative ones made absolute."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and is_type_checking(node.test):
            yield from imports(module, ast.Module(node.body, []), for_types_only=True)
            yield from imports(module, ast.Module(node.orelse, []), for_types_only)
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, None, node.lineno, for_types_only)
        elif isinstance(node, ast.ImportFrom):
            base = module.split(".")[: -node.level] if node.level else []
            target = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield Import(target, alias.name, node.lineno, for_types_only)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in (
            "import_module",
            "importlib.import_module",
            "__import__",
        ):
            argument = node.args[0] if node.args else None
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                level = len(argument.value) - len(argument.value.lstrip("."))
                base = module.split(".")[:-level] if level else []
                yield Import(".".join([*base, argument.value[level:]]), None, node.lineno, for_types_only)
        yield from imports(module, node, for_types_only)


def imported_by(package: str) -> Iterator[tuple[str, str, Import]]:
    """(importing module, where it stands, import) for each import in the package."""
    for module, file in sources(package):
        for found in imports(module, ast.parse(file.read_text(encoding="utf-8"))):
            yield module, f"{file.relative_to(REPOSITORY)}:{found.line}", found


def place(dotted: str, name: str | None = None) -> str:
    """The entry of ORDER that is meant: `ambidex.formats.hermes` is formats, `from ambidex import chat` is chat."""
    _, *below = dotted.split(".")
    module = below[0] if below else name or ""
    if module in HALF_OF:
        return HALF_OF[module]
    return module if below or module in ORDER else "__init__"


@pytest.mark.parametrize("package", ROOTS)
def test_there_is_code_to_look_at(package: str) -> None:
    assert len(sources(package)) > 1


def test_every_module_of_ambidex_has_its_place_in_the_order() -> None:
    homeless = {place(module) for module, _ in sources("ambidex")} - set(ORDER)
    assert not homeless, f"add them to ORDER, where they belong: {sorted(homeless)}"


def test_modules_of_ambidex_import_only_to_the_left() -> None:
    wrong = []
    for module, where, found in imported_by("ambidex"):
        if found.for_types_only or found.module.split(".")[0] != "ambidex":
            continue
        importer, imported = place(module), place(found.module, found.name)
        # A place that ORDER lacks is the concern of the test above.
        if (
            importer != imported
            and {importer, imported} <= set(ORDER)
            and ORDER.index(imported) > ORDER.index(importer)
        ):
            wrong.append(f"{where}: {importer} imports {imported}, which stands to its right")
    assert not wrong, "\n".join(wrong)


def test_ambidex_never_imports_its_backends() -> None:
    wrong = [where for _, where, found in imported_by("ambidex") if found.module.split(".")[0] == "ambidex_backends"]
    assert not wrong, "backends are found by entry point, never imported:\n" + "\n".join(wrong)


def test_backends_import_only_public_names_of_ambidex() -> None:
    wrong = []
    for _, where, found in imported_by("ambidex_backends"):
        if found.module.split(".")[0] != "ambidex":
            continue
        names = [*found.module.split("."), *([found.name] if found.name else [])]
        private = [name for name in names if name.startswith("_") and name != "__version__"]
        if private or found.name == "*":
            wrong.append(f"{where}: {'.'.join(names)}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("library", HOME)
def test_a_heavy_library_is_imported_in_its_one_place(library: str) -> None:
    wrong = [
        f"{where}: {module} imports {library}, which only {HOME[library]} may"
        for package in ROOTS
        for module, where, found in imported_by(package)
        if found.module.split(".")[0] == library and not f"{module}.".startswith(f"{HOME[library]}.")
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from .chat import Chat", ["ambidex.chat"]),
        ("from . import chat", ["ambidex"]),
        ("def f():\n    import torch.nn", ["torch.nn"]),
        ("try:\n    import httpx\nexcept ImportError:\n    pass", ["httpx"]),
        ("import importlib\nx = importlib.import_module('.agent', __name__)", ["importlib", "ambidex.agent"]),
    ],
)
def test_the_reader_sees_every_way_to_import(source: str, expected: list[str]) -> None:
    found = list(imports("ambidex.errors", ast.parse(source)))
    assert [i.module for i in found] == expected
    assert not any(i.for_types_only for i in found)


def test_the_reader_knows_imports_for_types_only() -> None:
    source = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import a\nelse:\n    import b"
    found = {i.module: i.for_types_only for i in imports("ambidex.errors", ast.parse(source))}
    assert found == {"typing": False, "a": True, "b": False}
