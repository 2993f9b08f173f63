"""Local models in the chat templates of real families, with tokenizers of bytes and the family's control tokens.

The weights are random and tiny; what is said comes from a script, put through the model's own decoding by a processor
of logits. What the template writes for an answer is what the model says.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from tests.sdk.templates.reference import SPECIAL, byte_level, control_tokens_in, pretrained
from transformers import AutoConfig, AutoModelForCausalLM

from ambidex import Assistant, Capabilities, Greedy, Reasoning, Request, formats
from ambidex.errors import AmbidexError
from ambidex.stream import AsyncEventStream, EventStream
from ambidex_backends.local import LocalBackend

TEMPLATES = {
    "hermes": "Qwen-Qwen2.5-7B-Instruct",
    "qwen3_coder": "Qwen3-Coder",
    "qwen3_coder, reasoning": "Qwen3.5-4B",
    "llama3_json": "meta-llama-Llama-3.1-8B-Instruct",
    "mistral_v3": "mistralai-Mistral-Nemo-Instruct-2407",
    "mistral_v11": "mistral-common.v11",
    "deepseek_v3": "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B",
    "deepseek_v31": "sglang.tool_chat_template_deepseekv31",
    "deepseek_v32": "deepseek-ai-DeepSeek-V3.2",
    "gpt_oss": "openai-gpt-oss-120b",
    "glm45": "GLM-4.6",
    "kimi_k2": "moonshotai-Kimi-K2",
    "minimax_m2": "MiniMax-M2",
    "gemma4": "google-gemma-4-31B-it",
    "granite3": "ibm-granite-granite-3.3-2B-Instruct",
    "phi4_mini": "gguf.phi4-mini-reasoning-3.8b",
    "command_r7b": "CohereForAI-c4ai-command-r7b-12-2024-tool_use",
    "lfm2": "LFM2.5-8B-A1B",
}
"""One template of each family; the name before the comma is the family's."""

IN_THE_FORMAT = {"gpt_oss"}
"""Whose template writes calls otherwise than its model does."""

Script = Callable[[Request], Assistant]


class Dressed:
    """A backend that answers each request with what the script says, in the family's own words."""

    def __init__(self, folder: Path, source: str, script: Script) -> None:
        self.format = formats.for_template(source, tuple(control_tokens_in(source))) or formats.get("hermes")
        save_dressed(folder, source, self.format)
        self._backend = LocalBackend(str(folder), device="cpu", dtype="float32")
        self._script = script
        self.said: list[str] = []

    @property
    def capabilities(self) -> Capabilities:
        return self._backend.capabilities

    def stream(self, request: Request, /) -> EventStream:
        return self._backend.stream(self._scripted(request))

    def astream(self, request: Request, /) -> AsyncEventStream:
        return self._backend.astream(self._scripted(request))

    def close(self) -> None:
        self._backend.close()

    def _scripted(self, request: Request) -> Request:
        ids = self._ids(request, self._script(request))
        self.said.append(self._backend.tokenizer.decode(ids, skip_special=False))
        start = self._backend.count(request)

        def say(logits: torch.Tensor, seen: Sequence[int]) -> torch.Tensor:
            """The next id of the script, unless it is not allowed."""
            wanted = torch.zeros_like(logits)
            wanted[ids[min(len(seen) - start, len(ids) - 1)]] = 1e6
            return logits + wanted

        return dataclasses.replace(request, decoding=Greedy(processors=(say,)), max_tokens=len(ids) + 50)

    def _ids(self, request: Request, answer: Assistant) -> list[int]:
        """What the template writes for the answer after the prompt, up to its end; else what the format writes."""
        template, control = self._backend._runtime.template, self._backend.tokenizer.plain.control
        assert template is not None
        ends = {
            control[spelling] for spelling in (*self.format.STOP_TOKENS, SPECIAL["eos_token"]) if spelling in control
        }
        end = control[SPECIAL["eos_token"]]
        prompt = template.render(request.messages, request.tool_list)
        told = Assistant(Reasoning("It rains."), *answer.parts) if prompt.starts_in_reasoning else answer
        try:
            whole = template.render((*request.messages, told), request.tool_list, add_generation_prompt=False).ids
        except AmbidexError:
            whole = []
        is_otherwise = bool(answer.tool_calls) and not IN_THE_FORMAT.isdisjoint(self.format.NAMES)
        if whole[: len(prompt.ids)] == prompt.ids and not is_otherwise:
            rest = whole[len(prompt.ids) :]
            at = next((at for at, id in enumerate(rest) if id in ends), len(rest))
            return [*rest[:at], *(rest[at : at + 1] or [end])]
        closing = f"{self.format.REASONING[1]}\n\n" if prompt.starts_in_reasoning else ""
        text = closing + answer.text + "".join(map(self.format.render_call, answer.tool_calls))
        return [*self._backend._runtime.answer_form.grammars.ids(text), end]


def control_tokens(source: str, form: formats.Format) -> frozenset[str]:
    """Turns, tags that look like nothing but control tokens, and the tags by which the format's calls begin and end.

    Tags inside of calls, such as `<parameter=...>`, are plain text in the families' own tokenizers.
    """
    found = {spelling for spelling in control_tokens_in(source) if not spelling.strip("</>").replace("_", "").isalnum()}
    tags = {tag for tag in form.MARKERS if tag[0] in "<[" and tag[-1] in ">]"}
    return frozenset(found | tags | set(form.STOP_TOKENS) | set(SPECIAL.values()))


def save_dressed(folder: Path, source: str, form: formats.Format) -> None:
    """A random model with this chat template in `folder`."""
    torch.manual_seed(0)
    tokenizer = byte_level(control_tokens(source, form))
    config: Any = AutoConfig.for_model(
        "llama",
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=16384,
        bos_token_id=None,
        eos_token_id=tokenizer.token_to_id(SPECIAL["eos_token"]),
    )
    AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(folder)
    pretrained(tokenizer, source).save_pretrained(folder)
