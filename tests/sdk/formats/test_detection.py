"""Which family a template's source speaks for; a family whose format is not known is never taken for another."""

from __future__ import annotations

import json
from pathlib import Path

from ambidex import formats
from ambidex.formats.detection import family

SAME_FORM = {"deepseek_v3": "deepseek_r1", "mistral_v13": "mistral_v11", "rnj1": "hermes", "mimo": "qwen3_coder"}
"""Labels of the collection that are written as another family is."""

SILENT = {"smollm3"}
"""Families some of whose templates bear no marks."""

OTHERWISE = {
    "cogito": ("hermes", "llama3_json"),  # as the first Cogito wrote; the name is the second's
    "llama4_json": ("llama4_pythonic",),  # the prompt, not a mark, makes the dialect
    "llama4_pythonic": ("pythonic",),
}
"""Labels with other families that are right too, or cannot be told apart."""


def test_templates_are_of_the_family_that_they_are_labelled_with(shared: Path) -> None:
    folder = shared / "data" / "chat_templates"
    labels: dict[str, str] = json.loads((folder / "FAMILIES.json").read_text(encoding="utf-8"))
    files = {name: label for name, label in labels.items() if (folder / name).is_file()}
    assert len(files) > 100
    for name, label in files.items():
        found = family((folder / name).read_text(encoding="utf-8"))
        wanted = SAME_FORM.get(label, label)
        if found is None or found == wanted:
            assert found == wanted or wanted in SILENT or wanted not in formats.names(), name
        elif found in formats.names():
            same_form = wanted in formats.names() and formats.get(found) is formats.get(wanted)
            assert same_form or found in OTHERWISE.get(label, ()), (name, found, wanted)


def test_the_order_is_specific_before_general() -> None:
    assert formats.detect("<tool_call> {{ tool_call.arguments | tojson }}") == "hermes"
    assert family("<tool_call><function=f><parameter=x> tojson") == "qwen3_coder"
    assert family("<tool_call>{{ name }}<arg_key>k</arg_key> tojson") == "glm47"
    assert family("<|tool_call>call:f{} <tool_call> tojson") == "gemma4"


def test_the_vocabulary_decides_where_the_template_is_silent() -> None:
    silent = "{% for m in messages %}{{ m.content }}{% endfor %}"
    assert formats.detect(silent) is None
    assert formats.detect(silent, ["<tool_call>", "</tool_call>"]) == "hermes"
    assert formats.detect(silent, ["<tool_call>", "[ARGS]"]) == "mistral_v11"


def test_a_template_without_any_marks_is_served_by_hermes() -> None:
    assert formats.for_template("{{ messages[0].content }}") is formats.get("hermes")
    assert formats.for_template("<use_mcp_tool>") is None
