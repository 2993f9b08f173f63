"""Which family a template's source speaks for; a family whose format is not known is never taken for another."""

from __future__ import annotations

import json
from pathlib import Path

from ambidex import formats
from ambidex.formats.detection import family

SAME_FORM = {
    **dict.fromkeys(("reka_edge", "smollm3", "granite4", "ernie45", "cogito", "rnj", "rnj1", "mimo"), "hermes"),
    **dict.fromkeys(("nemotron3", "step3p5"), "qwen3_coder"),
    **dict.fromkeys(("llama4_json", "llama4_pythonic"), "pythonic"),
}
"""Families whose calls are those of another."""


def test_templates_of_other_families_are_not_claimed(shared: Path) -> None:
    folder = shared / "data" / "chat_templates"
    labels: dict[str, str] = json.loads((folder / "FAMILIES.json").read_text(encoding="utf-8"))
    found = {
        name: formats.detect((folder / name).read_text(encoding="utf-8"))
        for name in labels
        if (folder / name).is_file()
    }
    assert len(found) > 100
    form = {name: SAME_FORM.get(label, label) for name, label in labels.items()}
    wrong = {
        name: (form[name], detected)
        for name, detected in found.items()
        if detected is not None and SAME_FORM.get(detected, detected) != form[name]
    }
    missed = [name for name, detected in found.items() if labels[name] == "hermes" and not detected]
    assert (wrong, missed) == ({}, [])


def test_the_order_is_specific_before_general() -> None:
    assert formats.detect("<tool_call> {{ tool_call.arguments | tojson }}") == "hermes"
    assert family("<tool_call><function=f><parameter=x> tojson") == "qwen3_coder"
    assert family("<tool_call>{{ name }}<arg_key>k</arg_key> tojson") == "glm47"
    assert family("<|tool_call>call:f{} <tool_call> tojson") == "gemma4"


def test_the_vocabulary_decides_where_the_template_is_silent() -> None:
    silent = "{% for m in messages %}{{ m.content }}{% endfor %}"
    assert formats.detect(silent) is None
    assert formats.detect(silent, ["<tool_call>", "</tool_call>"]) == "hermes"
    assert formats.detect(silent, ["<tool_call>", "[ARGS]"]) is None


def test_a_template_without_any_marks_is_served_by_hermes() -> None:
    assert formats.for_template("{{ messages[0].content }}") is formats.get("hermes")
    assert formats.for_template("[TOOL_CALLS]") is None
