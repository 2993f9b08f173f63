"""A template is rendered as transformers renders it, token for token, where that neither fails nor loses a part."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.sdk.templates.histories import HISTORIES, NOW, History, as_dicts, words
from tests.sdk.templates.reference import rendered
from tests.sdk.templates.template_tables import PAGE, loaded, row_of

from ambidex.errors import AmbidexError, MissingChatTemplate, TemplateError, Unsupported
from ambidex.templates import ChatTemplate, RenderedPrompt

NAMED_BY_ID = "hfjs.moonshotai--Kimi-K2-Thinking.jinja"
"""Writes a call's id and never its name, so that an id which does not hold the name loses it."""

_BRIEF = ("text", "turns", "continued", "result", "parallel calls", "reasoning and call", "reasoning off, tools")
_SOME = tuple(history for history in HISTORIES if history.name in _BRIEF)


def names() -> list[str]:
    """The templates at hand, when tests are collected."""
    folder = Path(os.environ.get("AMBIDEX_SHARED") or Path(__file__).parents[4] / "shared") / "data" / "chat_templates"
    return sorted(file.name for file in folder.glob("*.jinja")) or ["none at hand"]


def ours(template: ChatTemplate, history: History) -> RenderedPrompt | AmbidexError:
    try:
        return template.render(
            history.messages,
            history.tools,
            add_generation_prompt=history.add_generation_prompt,
            continue_final=history.continue_final,
            reasoning=history.reasoning,
            now=NOW,
        )
    except AmbidexError as error:
        return error


def theirs(template: ChatTemplate, history: History, switched: bool = True) -> str | Exception:
    switches = template.reasoning_variables(history.reasoning) if switched else {}
    try:
        return rendered(template.source, history, switches)
    except Exception as problem:
        return problem


def check(template: ChatTemplate, history: History, *, named_by_id: bool = False) -> None:
    got = ours(template, history)
    if isinstance(got, Unsupported):  # then what transformers would be given changes nothing
        assert history.reasoning is not None, got
        switches: dict[str, Any] = {"enable_thinking": history.reasoning, "thinking": history.reasoning}
        if isinstance(history.reasoning, str):
            switches = {"reasoning_effort": history.reasoning}
        try:
            assert rendered(template.source, history, switches) == theirs(template, history, switched=False)
        except AssertionError:
            raise
        except Exception:
            return
        return
    expected = theirs(template, history)
    lacks = isinstance(expected, Exception) or any(word not in expected for word in words(history))
    lacks = lacks or (named_by_id and any(getattr(message, "tool_calls", ()) for message in history.messages))
    if isinstance(got, AmbidexError):
        assert isinstance(got, TemplateError)
        assert lacks, f"{history.name}: {got}"
    elif not lacks:
        assert got.text == expected, history.name
        assert got.ids == template.tokenizer.encode(str(expected)).ids, history.name
    else:
        assert not [word for word in words(history) if word not in got.text], history.name
    if isinstance(got, RenderedPrompt):
        assert all(0 <= start < end <= len(got.ids) for start, end, _ in got.spans)


def check_all(shared: Path, name: str, histories: Sequence[History]) -> None:
    template = loaded(shared / "data" / "chat_templates" / name)
    for history in histories:
        check(template, history, named_by_id=name == NAMED_BY_ID)
    page = PAGE.read_text(encoding="utf-8")
    row = row_of(name.removesuffix(".jinja"), template.support)
    assert (row in page) if row else (f"| {name.removesuffix('.jinja')} |" not in page), f"{PAGE.name} says otherwise"


@pytest.mark.parametrize("name", names()[::2])
def test_a_prompt_is_what_transformers_makes_of_the_template(shared: Path, name: str) -> None:
    check_all(shared, name, _SOME)


@pytest.mark.nightly
@pytest.mark.parametrize("name", names())
def test_every_prompt_is_what_transformers_makes_of_the_template(shared: Path, name: str) -> None:
    check_all(shared, name, HISTORIES)


def check_tokenizer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.sdk.templates.reference import Clock
    from transformers import AutoTokenizer
    from transformers.utils import chat_template_utils

    monkeypatch.setattr(chat_template_utils, "datetime", Clock)
    try:
        template = ChatTemplate.from_pretrained(folder)
    except MissingChatTemplate:
        pytest.skip(f"{folder.name} has no chat template")
    pretrained: Any = AutoTokenizer.from_pretrained(str(folder))
    same = 0
    for history in HISTORIES:
        got = ours(template, history)
        if isinstance(got, AmbidexError) or history.reasoning is not None:
            continue
        try:
            expected = pretrained.apply_chat_template(
                as_dicts(history.messages),
                tools=[tool.to_openai() for tool in history.tools] or None,
                chat_template=template.tool_source if history.tools else template.source,
                add_generation_prompt=history.add_generation_prompt,
                continue_final_message=history.continue_final,
            )["input_ids"]
        except Exception:
            continue
        if any(word not in pretrained.decode(expected) for word in words(history)):
            continue
        assert got.ids == expected, history.name
        if pretrained.bos_token_id is not None and pretrained.bos_token_id in expected:
            assert got.ids.count(pretrained.bos_token_id) == expected.count(pretrained.bos_token_id)
        same += 1
    assert same >= 8


@pytest.mark.parametrize("name", ["mistral-v0.3-instruct", "smollm2-instruct", "qwen2.5-instruct"])
def test_ids_are_those_of_apply_chat_template(shared: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check_tokenizer(shared / "data" / "tokenizers" / name, monkeypatch)


@pytest.mark.nightly
@pytest.mark.parametrize("name", ["llama-3.1-instruct", "gpt-oss"])
def test_ids_are_those_of_apply_chat_template_for_large_ones(
    shared: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_tokenizer(shared / "data" / "tokenizers" / name, monkeypatch)


@pytest.mark.parametrize("name", ["llama-3.1-instruct", "mistral-v0.3-instruct"])
def test_a_prompt_begins_once(shared: Path, name: str) -> None:
    template = ChatTemplate.from_pretrained(shared / "data" / "tokenizers" / name)
    beginning = template.tokenizer.control[template.special_tokens["bos_token"]]
    for history in HISTORIES:
        got = ours(template, history)
        if isinstance(got, RenderedPrompt):
            assert got.ids[0] == beginning
            assert got.ids.count(beginning) == 1
