"""How well an answer fits a case of the shared data: as TOOLCALLS_README.md there says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ambidex import formats
from ambidex.messages import Assistant, InvalidToolCall, Text

from .reading import message, read

STOP_TOKENS = ("<|im_end|>", "</s>", "<|call|>", "<|END_OF_TURN_TOKEN|>", "<|end_message|>", "<|return|>", "<|eot_id|>")

OPINIONS: Mapping[str, str] = {
    "gemma4-ec317f1504": "text between calls is kept",
    "inkling-241bc03204": "a whole call before a damaged one is a call; the peer takes back both",
    "kimi_k3-1ec5267268": "what stands between damaged calls is kept as text",
    "longcat-d5395eeb1b": "text after a call is kept",
    "apriel-95cee17eab": "the peer counts the phrase that the prompt has written as reasoning",
    "cogito-fdb166b776": "an end of reasoning at once is no text, though the prompt has opened the reasoning",
    "deepseek_v31-0eba10fcae": "what was reasoning up to the call is not made text; the peer says so for this one case",
    "ernie45-7982f810f3": "reasoning is kept apart; the peer's parser of calls alone leaves it in the text",
    "hunyuan_a13b-aed4d8082a": "text after a call is kept",
    "phi4_mini-b5e5bc629a": "text around a call is kept",
}
"""Cases that are read in another way on purpose, and why."""


COERCION_OPINIONS: Mapping[tuple[str, str], str] = {
    ("string", "null"): "a text is a text: these are four letters",
    ("integer", "NULL"): "null is no number; the check against the schema tells the model so",
    ("boolean", "yes"): "what is no boolean is not made false",
}
"""Texts with a declared type that are read in another way on purpose, and why."""


class Score(NamedTuple):
    """calls    names and arguments, in order
    text        the text, what was no valid call told as text, as peers do
    plain_text  the text alone
    reasoning   and that no stop token is left in the text
    """

    calls: bool
    text: bool
    plain_text: bool
    reasoning: bool

    @property
    def all(self) -> bool:
        return self.calls and self.text and self.reasoning


def score(case: Mapping[str, Any], answer: Assistant) -> Score:
    expected = case["expected"]
    called = [{"name": call.name, "arguments": dict(call.arguments)} for call in answer.tool_calls]
    wanted = [{"name": call["name"], "arguments": call["arguments"]} for call in expected["tool_calls"]]
    with_raw = "".join(
        part.raw if isinstance(part, InvalidToolCall) else part.text
        for part in answer.parts
        if isinstance(part, (Text, InvalidToolCall))
    )
    own = expected["content"].strip()
    peers = {text.strip() for text in (case.get("content_differs_in") or {}).values()}
    text, with_raw = answer.text.strip(), with_raw.strip()
    as_a_peer = own not in (text, with_raw) and (text in peers or with_raw in peers)
    reasoning = answer.reasoning.strip() == expected["reasoning"].strip() or as_a_peer
    leaks = any(token in answer.text and token not in expected["content"] for token in STOP_TOKENS)
    fits = {own, *peers}
    return Score(same(called, wanted), text in fits or with_raw in fits, text in fits, reasoning and not leaks)


def same(one: object, other: object) -> bool:
    """Equal as JSON: 5 is 5.0, but 1 is not true."""
    match one, other:
        case dict(), dict():
            return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
        case list(), list():
            return len(one) == len(other) and all(map(same, one, other))
        case (bool(), _) | (_, bool()):
            return one is other
        case _:
            return one == other


def parsed(case: Mapping[str, Any]) -> Assistant:
    return formats.parse(case["family"], case["raw"], case["tools"], starts_in_reasoning=case["starts_in_reasoning"])


def coerced(case: Mapping[str, Any]) -> object:
    """The value of an argument whose text and declared types a case gives."""
    types = case["declared_types"]
    schema: dict[str, Any] = {"type": types[0] if len(types) == 1 else types} if types else {}
    parameters = {"type": "object", "properties": {"x": schema}}
    tool = {"type": "function", "function": {"name": "f", "parameters": parameters}}
    text = f"<tool_call><function=f><parameter=x>{case['raw_text']}</parameter></function></tool_call>"
    calls = formats.parse("qwen3_coder", text, [tool]).tool_calls
    return calls[0].arguments["x"] if calls else None


def streamed(case: Mapping[str, Any], pieces: Iterable[str]) -> Assistant:
    """The answer of a case in pieces."""
    starts = case["starts_in_reasoning"]
    return message(read(pieces, case["tools"], family=case["family"], starts_in_reasoning=starts))
