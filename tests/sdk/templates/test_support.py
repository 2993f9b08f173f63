"""What a template cannot write is found when it is loaded, and written in its stead."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.sdk.templates.histories import HISTORIES, NOW
from tests.sdk.templates.reference import SPECIAL, byte_level, control_tokens_in
from tests.sdk.templates.template_tables import PAGE, switches, with_tables

from ambidex.errors import MissingChatTemplate, TemplateError, Unsupported
from ambidex.messages import Assistant, Reasoning, System, ToolCall, ToolResult, User
from ambidex.template_support import TemplateSupport
from ambidex.templates import ChatTemplate, HFTokenizer
from ambidex.tools import Tool

LOOK = Tool("look", "Looks.", {"type": "object", "properties": {"q": {"type": "string", "description": "What"}}})
CALL = ToolCall("call-number-one", "look", {"q": "x"})
ASKED = (System("Be brief."), User("Look!"), Assistant(CALL), ToolResult(CALL.id, "look", "a tree"))
ROLES = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}"


def made(source: str, *control: str) -> ChatTemplate:
    control = control or ("<|user|>", "<|assistant|>", "<|system|>", "<tool_call>", "</tool_call>")
    return ChatTemplate(source, tokenizer=HFTokenizer(byte_level(control)), special_tokens=SPECIAL)


def at_hand(shared: Path, name: str) -> ChatTemplate:
    source = (shared / "data" / "chat_templates" / name).read_text(encoding="utf-8")
    return made(source, *control_tokens_in(source))


def test_the_table_of_switches_is_up_to_date() -> None:
    assert "\n".join(switches()) in PAGE.read_text(encoding="utf-8")


@pytest.mark.nightly
def test_the_tables_are_up_to_date(shared: Path) -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == with_tables(page, shared), f"run tests/sdk/templates/template_tables.py to write {PAGE.name} anew"


def test_a_template_without_tools_is_found_and_helped() -> None:
    template = made(ROLES)
    assert template.support == TemplateSupport("template", "template", "written out", "written out", "written out")
    prompt = template.render(ASKED, [LOOK])
    assert '<tool_call>\n{"name": "look", "arguments": {"q": "x"}}\n</tool_call>' in prompt.text
    assert '"name": "look", "description": "Looks."' in prompt.text
    assert prompt.text.count("You may call one or more functions") == 1
    assert "a tree" in prompt.text


def test_a_system_message_that_is_refused_stands_before_the_question() -> None:
    template = made(
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
        "<|{{ m.role }}|>{{ m.content }}{% endfor %}"
    )
    assert template.support.system == "written out"
    assert template.render([System("Be brief."), User("Hello!")]).text == "<|user|>Be brief.\n\nHello!"


def test_what_cannot_be_said_is_an_error_of_the_template() -> None:
    template = made("{% for m in messages[:1] %}{{ m.content }}{% endfor %}")
    assert template.render([User("One.")]).text == "One."
    assert template.support.refused
    with pytest.raises(TemplateError, match="leaves out"):
        template.render([User("One."), Assistant("Two."), User("Three.")])
    with pytest.raises(TemplateError, match="roles must alternate"):
        made("{{ raise_exception('roles must alternate') }}").render([User("One.")])


def test_ids_take_the_form_that_a_template_asks_for(shared: Path) -> None:
    mistral = at_hand(shared, "mistral-common.v3.jinja").render(ASKED, [LOOK])
    ids = [word for word in mistral.text.split('"') if len(word) == 9 and word.isalnum() and word not in ("arguments",)]
    assert len(set(ids)) == 1
    assert "call-number-one" not in mistral.text
    kimi = at_hand(shared, "hfjs.moonshotai--Kimi-K2-Thinking.jinja").render(ASKED, [LOOK])
    assert "<|tool_call_begin|>functions.look:0<|tool_call_argument_begin|>" in kimi.text
    assert "## Return of functions.look:0" in kimi.text


def test_several_calls_go_in_turn_where_a_template_takes_one(shared: Path) -> None:
    template = at_hand(shared, "meta-llama-Llama-3.1-8B-Instruct.jinja")
    assert template.support.parallel_calls == "in turn"
    history = next(history for history in HISTORIES if history.name == "parallel calls")
    text = template.render(history.messages, history.tools, now=NOW).text
    places = [text.index(word) for word in ("Savona", "temperature", "1987", "entries")]
    assert places == sorted(places)


def test_arguments_are_text_where_a_template_wants_text(shared: Path) -> None:
    text = at_hand(shared, "meetkai-functionary-medium-v3.2.jinja").render(ASKED, [LOOK]).text
    assert '{"q": "x"}' in text
    assert '{\\"q\\"' not in text


def test_reasoning_takes_the_templates_own_words(shared: Path) -> None:
    def told(name: str, reasoning: bool | str) -> dict[str, bool | str]:
        return at_hand(shared, name).reasoning_variables(reasoning)

    assert told("Qwen3.5-4B.jinja", True) == {"enable_thinking": True}
    assert told("deepseek-ai-DeepSeek-V3.1.jinja", False)["thinking"] is False
    assert told("MiniMax-M3.jinja", False) == {"thinking_mode": "disabled"}
    assert told("openai-gpt-oss-120b.jinja", "high") == {"reasoning_effort": "high"}
    assert told("openai-gpt-oss-120b.jinja", True) == {}
    assert told("ollama.qwen38_chat_template.jinja", "high")["reasoning_effort"] == "xhigh"
    assert told("mistral-common.v15.jinja", True) == {"reasoning_effort": "high"}
    assert told("mistral-common.v15.jinja", False) == {"reasoning_effort": "none"}
    for name, reasoning in (
        ("Qwen-Qwen2.5-7B-Instruct.jinja", True),
        ("Qwen3.5-4B.jinja", "low"),
        ("openai-gpt-oss-120b.jinja", False),
        ("mistral-common.v15.jinja", "low"),
    ):
        with pytest.raises(Unsupported):
            told(name, reasoning)
    assert told("Qwen-Qwen2.5-7B-Instruct.jinja", False) == {}


def test_a_prompt_says_whether_the_answer_begins_in_reasoning(shared: Path) -> None:
    template = at_hand(shared, "Qwen3.5-4B.jinja")
    assert template.render([User("Hello!")], reasoning=True).starts_in_reasoning
    assert not template.render([User("Hello!")], reasoning=False).starts_in_reasoning
    assert not template.render([User("Say <think>\n")], reasoning=False).starts_in_reasoning
    with pytest.raises(Unsupported, match="cannot be turned off"):
        at_hand(shared, "gguf.qwen3-next-80b.jinja").render([User("Hello!")], reasoning=False)


def test_an_answer_is_continued_where_it_ends() -> None:
    template = made(ROLES + "<|end|>", "<|user|>", "<|assistant|>", "<|end|>")
    for end in ("One, two", "One, ", "One<|end|>"):
        prompt = template.render([User("Count."), Assistant(end)], continue_final=True)
        assert prompt.text == f"<|user|>Count.<|assistant|>{end}"
    reasoned = template.render([User("a"), Assistant(Reasoning("b"), "c")], continue_final=True)
    assert reasoned.text.endswith("c")


def test_loading_needs_no_transformers(shared: Path) -> None:
    folder = shared / "data" / "tokenizers" / "smollm2-instruct"
    program = (
        "import sys\nfrom ambidex.templates import ChatTemplate\nfrom ambidex import User\n"
        f"template = ChatTemplate.from_pretrained({str(folder)!r})\n"
        "assert template.render([User('Hello!')]).ids and template.support\n"
        "print([name for name in ('transformers', 'torch', 'pydantic', 'httpx') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": ":".join(sys.path)},
        check=True,
    )
    assert done.stdout.strip() == "[]"


def test_a_loaded_tokenizer_is_taken_as_it_is(shared: Path, tmp_path: Path) -> None:
    tokenizer = HFTokenizer(byte_level(["<|user|>"]))
    with pytest.raises(MissingChatTemplate):
        ChatTemplate.from_pretrained(tmp_path, tokenizer=tokenizer)
    (tmp_path / "chat_template.jinja").write_text("{{ bos_token }}" + ROLES, encoding="utf-8")
    (tmp_path / "special_tokens_map.json").write_text('{"bos_token": {"content": "<s>"}}', encoding="utf-8")
    template = ChatTemplate.from_pretrained(tmp_path, tokenizer=tokenizer)
    assert template.tokenizer is tokenizer
    assert template.render([User("Hello!")]).text == "<s><|user|>Hello!"
    given = ChatTemplate.from_pretrained(tmp_path, tokenizer=tokenizer, special_tokens={"bos_token": "<b>"})
    assert given.render([User("Hello!")]).text == "<b><|user|>Hello!"
