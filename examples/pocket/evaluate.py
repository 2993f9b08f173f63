"""Stage 5: a table of scores by skill, with examples of failures.

Every turn of the assistant in the held-out dialogues is decoded greedily after the true history and scored:

* a call is right when names and arguments of all calls are exactly those expected;
* an answer is right when it is the expected sentence (small talk, questions, refusals) or, after a tool's result,
  when it contains every value of the result ("did not work" for an error);
* *stops* counts the turns that end with ``<|im_end|>`` by themselves.

How text is generated is a function ``decode(messages, tools) -> (text, stopped)``, so the same table can be made for
any other way to run the model.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from .data import evaluation_dialogues
from .offered import NOTHING, Message

Tools = list[dict[Any, Any]]
Decode = Callable[[list[Message], Tools], tuple[str, bool]]
CALL = re.compile(r"<tool_call>\s*(.*?)\s*</tool_call>", re.DOTALL)


def transformers_decoder(folder: Path, limit: int = 160) -> Decode:
    """Greedy decoding with a KV cache through transformers."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    stops = set(model.generation_config.eos_token_id)

    @torch.inference_mode()
    def decode(messages: list[Message], tools: Tools) -> tuple[str, bool]:
        offered: Any = tools or None
        text = tokenizer.apply_chat_template(messages, tools=offered, add_generation_prompt=True, tokenize=False)
        ids = torch.tensor([tokenizer.encode(text)])
        past = None
        produced: list[int] = []
        while len(produced) < limit:
            out = model(input_ids=ids, past_key_values=past, use_cache=True, logits_to_keep=1)
            past = out.past_key_values
            token = int(out.logits[0, -1].argmax())
            if token in stops:
                return str(tokenizer.decode(produced)), True
            produced.append(token)
            ids = torch.tensor([[token]])
        return str(tokenizer.decode(produced)), False

    return decode


def parse_calls(text: str) -> list[dict[str, Any]] | None:
    """The calls in a reply; ``None`` if one of them is not valid JSON."""
    calls = []
    for body in CALL.findall(text):
        try:
            call = json.loads(body)
            calls.append({"name": call["name"], "arguments": call["arguments"]})
        except (ValueError, KeyError, TypeError):
            return None
    return calls


def result_values(results: list[str]) -> list[str]:
    """What an answer has to mention, given the tools' results."""
    values: list[str] = []
    for result in results:
        if re.match(r"(\w*Error|\w*Exception|error|failed): ", result) or result.startswith('{"error"'):
            values.append("did not work")
            continue
        try:
            data: Any = json.loads(result)
        except ValueError:
            data = result
        if data in (None, [], ""):
            data = "None"
        items = (
            data.values()
            if isinstance(data, dict)
            else data
            if isinstance(data, list)
            else [data if isinstance(data, str) else result]
        )
        for item in items:
            text = {True: "true", False: "false"}.get(item, str(item)) if isinstance(item, bool) else str(item)
            values.append(text.rstrip("."))
    return values


def right_answer(reply: str, expected: str, results: list[str]) -> bool:
    """Whether ``reply`` is a right answer to ``results`` (or exactly ``expected`` where there are none)."""
    if not results or expected in ("Done.", NOTHING):
        return reply.strip() == expected
    silent = {"ok", "done", "none", "null", "true"}
    said, meant = reply.lower(), expected.lower()
    for value in (v.lower() for v in result_values(results)):
        if value in silent and ("done" in meant or NOTHING.lower() in meant):
            continue
        if value in meant and value not in said:
            return False
    if expected.startswith(("Yes, ", "No, ")):
        return reply[:3] == expected[:3]
    return "<tool_call>" not in reply


def evaluate(decode: Decode, per_skill: int = 100) -> dict[str, Any]:
    """Score all held-out dialogues."""
    right: dict[str, int] = defaultdict(int)
    total: dict[str, int] = defaultdict(int)
    failures: dict[str, list[dict[str, str]]] = defaultdict(list)
    stopped_turns, turns = 0, 0
    for dialogue in evaluation_dialogues(per_skill):
        messages = dialogue["messages"]
        for index, message in enumerate(messages):
            if message["role"] != "assistant":
                continue
            if dialogue["skill"] == "follow-up" and index < 4:
                continue
            results: list[str] = []
            for earlier in reversed(messages[:index]):
                if earlier["role"] != "tool":
                    break
                results.insert(0, str(earlier["content"]))
            reply, stopped = decode(messages[:index], dialogue["tools"])
            turns, stopped_turns = turns + 1, stopped_turns + stopped
            if message.get("tool_calls"):
                label = "calls: " + dialogue["skill"]
                wanted = [
                    {"name": c["function"]["name"], "arguments": c["function"]["arguments"]}
                    for c in message["tool_calls"]
                ]
                good = parse_calls(reply) == wanted
                expected = json.dumps(wanted, ensure_ascii=False)
            else:
                expected = message["content"]
                label = (
                    dialogue["skill"]
                    if not results
                    else "answers: error"
                    if "did not work" in expected
                    else "answers: result"
                )
                good = right_answer(reply, expected, results)
            good = good and stopped
            total[label] += 1
            right[label] += good
            if not good and len(failures[label]) < 5:
                user = next((m["content"] for m in reversed(messages[:index]) if m["role"] == "user"), "")
                failures[label].append(
                    {"user": user, "results": " | ".join(results), "expected": expected, "got": reply}
                )
    scores = {label: {"right": right[label], "of": total[label]} for label in sorted(total)}
    return {"scores": scores, "stops": {"right": stopped_turns, "of": turns}, "failures": failures}


def run_task(decode: Decode, task: dict[str, Any]) -> tuple[bool, list[str]]:
    """Run one task of ``evaluation_tasks.json`` from the user's words to the answer; the trace shows what happened."""
    messages: list[Message] = [{"role": "system", "content": task["system"]}] if task.get("system") else []
    trace: list[str] = []
    for step in task["steps"]:
        messages.append({"role": "user", "content": step["user"]})
        wanted = [{"name": c["name"], "arguments": c["arguments"]} for c in step.get("calls", [])]
        reply, stopped = decode(messages, task["tools"])
        trace.append(reply)
        if not stopped or (parse_calls(reply) or []) != wanted:
            return False, trace
        if wanted:
            messages.append(
                {
                    "role": "assistant",
                    "content": "",
                    "tool_calls": [{"type": "function", "function": c} for c in wanted],
                }
            )
            messages.extend({"role": "tool", "name": c["name"], "content": c["result"]} for c in step["calls"])
            reply, stopped = decode(messages, task["tools"])
            trace.append(reply)
        if not stopped or "<tool_call>" in reply or not all(part in reply for part in step["answer_contains"]):
            return False, trace
        messages.append({"role": "assistant", "content": reply})
    return True, trace


def main() -> None:
    """Print the table and write it next to the model's run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="folder of the exported model")
    parser.add_argument("--per-skill", type=int, default=100)
    parser.add_argument("--report", type=Path, help="JSON file for scores and failures")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    decode = transformers_decoder(options.model)
    tasks = json.loads((Path(__file__).resolve().parent / "evaluation_tasks.json").read_text(encoding="utf-8"))
    solved: dict[str, bool] = {}
    for task in tasks:
        solved[task["id"]], trace = run_task(decode, task)
        print(f"{'solved' if solved[task['id']] else 'FAILED':8}{task['id']}: {' / '.join(trace)}", flush=True)
    print(f"{sum(solved.values())} of {len(solved)} tasks solved\n")
    if options.per_skill:
        report = evaluate(decode, options.per_skill)
        for label, score in [*report["scores"].items(), ("stops by itself", report["stops"])]:
            print(f"{label:45}{score['right']:5} of {score['of']:5}  {100 * score['right'] / score['of']:5.1f} %")
        report["tasks"] = solved
        if options.report:
            options.report.write_text(json.dumps(report, indent=1, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    main()
