"""Writes the tables of docs/templates.md, from the code and the templates at hand.

AMBIDEX_SHARED=... PYTHONPATH=. .venv/bin/python tests/sdk/templates/template_tables.py
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from tests.sdk.templates.reference import SPECIAL, byte_level, control_tokens_in

from ambidex.template_reasoning import EFFORTS, HISTORY_SWITCHES, SWITCHES
from ambidex.template_support import CANARIES, TemplateSupport
from ambidex.templates import ChatTemplate, HFTokenizer

PAGE = Path(__file__).resolve().parents[3] / "docs" / "templates.md"


def with_tables(page: str, shared: Path) -> str:
    """The page with its tables made anew."""
    for name, rows in (("switches", switches()), ("templates", templates(shared))):
        start, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        before, _, rest = page.partition(start)
        page = before + start + "\n".join(rows) + "\n" + end + rest.partition(end)[2]
    return page


def switches() -> Iterator[str]:
    yield "| variable | on | off | read by templates of |"
    yield "| --- | --- | --- | --- |"
    for switch in SWITCHES:
        yield f"| `{switch.variable}` | `{switch.on!r}` | `{switch.off!r}` | {switch.used_by} |"
    for variable, used_by in EFFORTS.items():
        yield f"| `{variable}` | the effort asked for | `'none'`, where the template names it | {used_by} |"
    kept = ", ".join(f"`{name}`" for name in HISTORY_SWITCHES)
    yield f"| {kept} | through `variables=` | | whether old reasoning stays; the template's default otherwise |"


def templates(shared: Path) -> Iterator[str]:
    """Those that do not write everything themselves; whether a format then helps is not in the table."""
    names = [field.name for field in fields(TemplateSupport)]
    yield "| template | " + " | ".join(name.replace("_", " ") for name in names) + " |"
    yield "| --- |" + " --- |" * len(names)
    rows = [
        row_of(file.stem, loaded(file).support) for file in sorted((shared / "data" / "chat_templates").glob("*.jinja"))
    ]
    yield from (row for row in rows if row)
    yield f"| *the {rows.count('')} others* |" + " yes |" * len(names)


def loaded(file: Path) -> ChatTemplate:
    """A template with a tokenizer of single bytes and what looks like a control token in it."""
    source = file.read_text(encoding="utf-8")
    tokenizer = HFTokenizer(byte_level(control_tokens_in(source)))
    return ChatTemplate(source, tokenizer=tokenizer, special_tokens=SPECIAL)


def row_of(name: str, support: TemplateSupport) -> str:
    """A template's row; none if it writes everything."""
    ways = [getattr(support, name) for name in CANARIES]
    cells = [{"template": "yes", "in turn": "in turn"}.get(way, "**no**") for way in ways]
    return "" if set(cells) == {"yes"} else f"| {name} | " + " | ".join(cells) + " |"


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8"), Path(os.environ["AMBIDEX_SHARED"])), encoding="utf-8")
