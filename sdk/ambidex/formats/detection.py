"""Which family a chat template belongs to, from the marks in its source.

The table is in order, specific before general; the first rule that holds decides, whether or not its format is known
here, so that a template of another family is never taken for one that shares a tag with it. Measured on 180 templates
of 2024 to 2026. Families that share one way of writing have one name.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple


class Rule(NamedTuple):
    """All texts of `has` occur in the source, and none of `lacks`."""

    family: str
    has: tuple[str, ...]
    lacks: tuple[str, ...] = ()


_RULES = (
    Rule("deepseek_v4", ("｜DSML｜", "tool_calls>"), ("function_calls>",)),
    Rule("deepseek_v32", ("｜DSML｜",)),
    Rule("deepseek_r1", ("tool▁calls▁begin", "```json")),
    Rule("deepseek_v31", ("tool▁calls▁begin",)),
    Rule("kimi_k2", ("<|tool_calls_section_begin|>",)),
    Rule("kimi_k3", ("<|open|>", "<|sep|>")),
    Rule("minimax_m3", ("]<]minimax[>[",)),
    Rule("minimax_m2", ("minimax:tool_call",)),
    Rule("gpt_oss", ("<|channel|>", "commentary")),
    Rule("muse_glimmer", ("<|start|>assistant to=",)),
    Rule("solar_open", ("<|tool_call:begin|>",)),
    Rule("gigachat3", ("<|message_sep|>", "function call")),
    Rule("gigachat3", ("<|function_call|>",)),
    Rule("gemma4", ("<|tool_call>",)),
    Rule("functiongemma", ("<start_function_call>",)),
    Rule("mistral_v11", ("[TOOL_CALLS]", "[CALL_ID]")),
    Rule("mistral_v11", ("[TOOL_CALLS]", "[ARGS]")),
    Rule("mistral_v3", ("[TOOL_CALLS]",)),
    Rule("hunyuan_v3", ("<arg_key", "<tool_sep")),
    Rule("longcat", ("<arg_key", "longcat_")),
    Rule("longcat", ("<longcat_",)),
    Rule("poolside_v1", ("<arg_key", "</assistant>")),
    Rule("glm45", ("\\n<arg_key>",)),
    Rule("glm45", ("\n<arg_key>",)),
    Rule("glm47", ("<arg_key",)),
    Rule("mirothinker", ("<use_mcp_tool>",)),
    Rule("seed_oss", ("<seed:tool_call>",)),
    Rule("qwen3_coder", ("<function=", "<parameter=")),
    Rule("functionary_v31", ("<function=",)),
    Rule("functionary_v2", ("<|recipient|>",)),
    Rule("functionary_v32", (">>>",)),
    Rule("minicpm3", ("<|tool_call_start|>", "```python")),
    Rule("lfm2", ("<|tool_call_start|>",)),
    Rule("lfm2", ("<|tool_list_start|>",)),
    Rule("lfm2", ("List of tools: [",)),
    Rule("command_r7b", ("<|START_ACTION|>",)),
    Rule("command_r_plus", ("directly-answer",)),
    Rule("command_r_plus", ("Action:```json",)),
    Rule("firefunction_v2", ("functools",)),
    Rule("nemotron_nano_v2", ("<TOOLCALL>",)),
    Rule("apertus", ("<|tools_prefix|>",)),
    Rule("internlm2", ("<|action_start|>",)),
    Rule("firefunction_v1", ("<functioncall>",)),
    Rule("granite_20b_fc", ("<function_call>",)),
    Rule("olmo3", ("<function_calls>",)),
    Rule("minicpm5", ("<param name=",)),
    Rule("granite3", ("<|tool_call|>",)),
    Rule("jamba", ("<tool_calls", "<tool_definitions>")),
    Rule("apriel", ("<tool_calls", "<available_tools>")),
    Rule("apriel", ("<tool_calls", "[BEGIN FINAL RESPONSE]")),
    Rule("minimax_m1", ("<tool_calls", "]~b]")),
    Rule("minimax_m1", ("<tool_calls", "<beginning_of_sentence>")),
    Rule("hunyuan_a13b", ("<tool_calls",)),
    Rule("hermes", ("<tool_call>", "tojson")),
    Rule("hermes", ("<tool_call>", '"arguments"')),
    Rule("llama4_pythonic", ("<|header_start|>",)),
    Rule("pythonic", ("[func_name1(params_name1=",)),
    Rule("xlam", ("xLAM",)),
    Rule("phi4_mini", ("<|tool|>", "<|/tool|>")),
    Rule("llama3_json", ("<|python_tag|>",)),
    Rule("llama3_json", ("ipython",)),
)

_IN_VOCABULARY: tuple[tuple[str, str], ...] = (
    ("[ARGS]", "mistral_v11"),
    ("<|constrain|>", "gpt_oss"),
    ("<｜tool▁calls▁begin｜>", "deepseek_v31"),
    ("<|tool_list_start|>", "lfm2"),
    ("<tool_call>", "hermes"),
)


def detectable() -> frozenset[str]:
    """The families that some mark speaks for."""
    return frozenset(rule.family for rule in _RULES) | {name for _, name in _IN_VOCABULARY}


def family(template_source: str, special_tokens: Collection[str] = ()) -> str | None:
    """The family by its marks in the template, else by its control tokens; None if nothing speaks for any."""
    for rule in _RULES:
        if all(mark in template_source for mark in rule.has) and not any(
            mark in template_source for mark in rule.lacks
        ):
            return rule.family
    return next((name for token, name in _IN_VOCABULARY if token in special_tokens), None)
