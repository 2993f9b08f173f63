"""What a chat template writes of an answer with calls, the family's parser reads back as these calls."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.sdk.templates.reference import SPECIAL, byte_level
from tests.sdk.templates.template_tables import loaded

from ambidex import Assistant, Tool, ToolCall, ToolResult, User, formats
from ambidex.formats import Format
from ambidex.templates import ChatTemplate, HFTokenizer

from .bfcl import calls_of_bfcl, has_tags_for, without_untyped
from .scoring import same

BROKEN = {
    "mistral-common.v2": "quotes are written as &#34;",
    "mistral-common.v3": "quotes are written as &#34;",
    "mistral-common.v3_spm": "quotes are written as &#34;",
    "mistral-common.v7": "quotes are written as &#34;",
    "mistral-common.v7_spm": "quotes are written as &#34;",
    "sglang.tool_chat_template_llama4_pythonic": "numbers are written as texts",
    "vllm.tool_chat_template_llama4_pythonic": "numbers are written as texts",
    "vllm.tool_chat_template_gemma3_pythonic": "no commas between arguments",
    "vllm.tool_chat_template_toolace": "texts are written without quotes",
    "muse-glimmer": "with a dot in its name, a call is written out in a message to the user",
    "vllm.tool_chat_template_muse_glimmer": "with a dot in its name, a call is written out in a message to the user",
    "hfjs.NousResearch--Hermes-2-Pro-Llama-3-8B--JSON-Schema-": "the second call has no opening tag",
}
"""Templates whose own writing of calls cannot be read back by anyone, and why."""

UNKNOWN = {"MiniMax-M1", "hfjs.fireworks-ai--firefunction-v1", "hfjs.openbmb--MiniCPM3-4B", "ik.MiroThinker"} | {
    "upstage-Solar-Open-100B"
}
"""Templates of families that no format is there for."""

PLAIN = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
FIRST_RESULT = "the first result"


FOLDER = Path(os.environ.get("AMBIDEX_SHARED") or Path(__file__).parents[4] / "shared") / "data" / "chat_templates"
NAMES = sorted(file.stem for file in FOLDER.glob("*.jinja"))


def one_of_each_family() -> list[str]:
    """The first template of each label, among those that can be read back."""
    file = FOLDER / "FAMILIES.json"
    labels: dict[str, str] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    first: dict[str, str] = {}
    for name in NAMES:
        if name not in BROKEN:
            first.setdefault(labels.get(f"{name}.jinja", ""), name)
    return sorted(first.values())


def answer_in(template: ChatTemplate, form: Format, calls: Sequence[ToolCall], tools: Sequence[Tool[..., Any]]) -> str:
    """What the template makes of an answer with these calls, and nothing else of the prompt."""
    question = User("What is it?")
    results = [ToolResult(call.id, call.name, FIRST_RESULT) for call in calls]
    prompt = template.render([question], tools).text
    history = template.render([question, Assistant(*calls), *results], tools, add_generation_prompt=False).text
    pairs = enumerate(zip(prompt, history, strict=False))
    start = next((at for at, (one, other) in pairs if one != other), len(prompt))
    tag = max(history.rfind("<", 0, start), history.rfind("[", 0, start))
    if tag >= 0 and not set(history[tag:start]) & {">", "]"}:
        start = tag  # the prompt goes on with another tag that begins in the same way
    written = history[start : history.index(FIRST_RESULT)]
    ends = (token for token in form.STOP_TOKENS if token not in form.MARKERS)
    found = [at for token in ends if (at := written.find(token)) >= 0]
    return written[: min(found, default=len(written))]


def check(template: ChatTemplate, form: Format, tools: list[dict[str, Any]], calls: list[ToolCall]) -> None:
    if template.support.parallel_calls != "template":
        calls = calls[:1]
    calls = [call for call in calls if has_tags_for(call, form.NAMES[0])]
    if not calls:
        return
    text = answer_in(template, form, calls, [Tool.from_openai(item) for item in tools])
    answer = formats.parse(form.NAMES[0], text, tools)
    assert len(answer.tool_calls) == len(calls), (text, answer)
    for again, call in zip(answer.tool_calls, calls, strict=True):
        assert again.name == call.name
        family = form.NAMES[0]
        assert same(without_untyped(again, tools, family), without_untyped(call, tools, family)), (text, again)


def check_template(shared: Path, name: str, count: int | None) -> None:
    template = loaded(shared / "data" / "chat_templates" / f"{name}.jinja")
    found = calls_of_bfcl(shared / "data" / "bfcl")
    chosen = found if count is None else random.Random(name).sample(found, count)
    assert (template.format is None) == (name in UNKNOWN)
    if template.format is None:
        return
    failed = 0
    for tools, calls in chosen:
        try:
            check(template, template.format, tools, calls)
        except AssertionError:
            failed += 1
            if name not in BROKEN:
                raise
    assert (failed > 0) == (name in BROKEN), f"{name} is read back now"


@pytest.mark.parametrize("name", one_of_each_family())
def test_calls_come_back_through_a_template(shared: Path, name: str) -> None:
    check_template(shared, name, 2)


@pytest.mark.nightly
@pytest.mark.parametrize("name", NAMES)
def test_all_calls_come_back_through_a_template(shared: Path, name: str) -> None:
    check_template(shared, name, None)


def check_written_out(shared: Path, family: str, count: int | None) -> None:
    """By a template that knows no tools, so that they are written out in the family's form."""
    template = ChatTemplate(
        PLAIN, tokenizer=HFTokenizer(byte_level(["<|im_start|>", "<|im_end|>"])), special_tokens=SPECIAL
    )
    template.format = formats.get(family)
    found = calls_of_bfcl(shared / "data" / "bfcl")
    for tools, calls in found if count is None else random.Random(family).sample(found, count):
        if not has_tags_for(calls[0], family):
            continue
        text = answer_in(template, template.format, calls[:1], [Tool.from_openai(item) for item in tools])
        answer = formats.parse(family, text.partition("<|im_end|>")[0], tools)
        assert [call.name for call in answer.tool_calls] == [calls[0].name], (text, answer)
        again, wanted = (without_untyped(call, tools, family) for call in (answer.tool_calls[0], calls[0]))
        assert same(again, wanted), (text, answer)


@pytest.mark.parametrize("family", formats.names())
def test_calls_come_back_where_a_template_knows_no_tools(shared: Path, family: str) -> None:
    check_written_out(shared, family, 2)


@pytest.mark.nightly
@pytest.mark.parametrize("family", formats.names())
def test_all_calls_come_back_where_a_template_knows_no_tools(shared: Path, family: str) -> None:
    check_written_out(shared, family, None)
