"""The table of docs/formats.md, made from the code.

    AMBIDEX_SHARED=... .venv/bin/python -m tests.sdk.formats.format_table

writes it anew.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from ambidex import ToolCall, formats, tool
from ambidex.events import ToolCallDelta, ToolCalled
from ambidex.formats.detection import detectable

PAGE = Path(__file__).parents[3] / "docs" / "formats.md"
_TABLE = re.compile(r"(<!-- formats -->\n).*?(<!-- /formats -->)", re.DOTALL)
_TEXT = "words " * 40


@tool
def look(where: str) -> None:
    """Looks."""


def with_table(page: str, shared: Path) -> str:
    """The page with its table as the code and the templates at hand make it."""
    table = "\n".join(rows(shared))
    return _TABLE.sub(lambda found: f"{found[1]}{table}\n{found[2]}", page)


def rows(shared: Path) -> Iterator[str]:
    templates = Counter(
        formats.detect(file.read_text(encoding="utf-8"))
        for file in (shared / "data" / "chat_templates").glob("*.jinja")
    )
    columns = ("found by its template", "arguments stream", "several calls", "ids", "reasoning", "held once begun")
    yield f"| family | {' | '.join(columns)} | templates at hand |"
    yield "| --- |" + " --- |" * 7
    for name in formats.names():
        form = formats.get(name)
        calls = form.call_form([look])
        cells = (
            name,
            found_as(name),
            _yes(streams(name)),
            _yes(calls.between is not None),
            ids(name),
            f"{_code(form.REASONING[0])} ... {_code(form.REASONING[1])}",
            _yes(calls.opening != ""),
            str(templates[name] or ""),
        )
        yield f"| {' | '.join(cells)} |"


def found_as(name: str) -> str:
    """By which name `detect` finds it; several families may share one way of writing."""
    if name in detectable():
        return "yes"
    return next((f"as {other}" for other in formats.get(name).NAMES if other in detectable()), "no")


def streams(name: str) -> bool:
    """Whether the first half of a long text is told before the second has come."""
    text = formats.get(name).render_call(ToolCall("123456789", "look", {"where": _TEXT}))
    events = formats.get(name).parser([look]).feed(text[: len(text) // 2])
    return len("".join(event.json for event in events if isinstance(event, ToolCallDelta))) > len(_TEXT) // 4


def ids(name: str) -> str:
    """What an id looks like that stands in the text, if one does."""
    for id in ("abcdefgh1", "functions.look:0"):
        parser = formats.get(name).parser([look])
        text = formats.get(name).render_call(ToolCall(id, "look", {"where": "x"}))
        events = [*parser.feed(text), *parser.close()]
        if any(isinstance(event, ToolCalled) and event.call.id == id for event in events):
            return "`functions.NAME:0`" if ":" in id else "in the text"
    return ""


def _yes(holds: bool) -> str:
    return "yes" if holds else "no"


def _code(tag: str) -> str:
    return f"`{tag.strip()}`".replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), Path(os.environ["AMBIDEX_SHARED"])), encoding="utf-8")
