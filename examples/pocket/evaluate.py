"""Stage 5: the table of scores, with examples of failures.

    python -m examples.pocket.evaluate                     # the model in the box
    python -m examples.pocket.evaluate FOLDER --report report.json

Three parts. Every turn of the held-out dialogues, written greedily after the true history: free, as the bare model
writes it, and held, through the package, where a call that is begun is kept to its tool's schema. Then whole tasks from
the question to the answer (``evaluation_tasks.json``), and tools as readers write them (``reader_tries.json``, ten a round)
through ``ambidex.Agent``.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from ambidex import Agent, AmbidexError, Backend, Greedy, Request, Tool, collect, connect
from ambidex.messages import from_openai

from .export import SHIPPED
from .grading import Case, Reply, cases, parse_calls, right, right_tools, valid
from .offered import Message

HERE = Path(__file__).resolve().parent
LIMIT = 160  # tokens of a reply


def free_replies(
    folder: str, todo: Sequence[tuple[list[Message], list[dict[str, Any]]]], batch: int = 24
) -> list[Reply]:
    """What the bare model writes, greedily, through transformers."""
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    texts = [tokenizer.apply_chat_template(messages, tools=cast(Any, tools or None), add_generation_prompt=True, tokenize=False)
             for messages, tools in todo]  # fmt: skip
    stops = set(model.generation_config.eos_token_id)
    replies: dict[int, Reply] = {}
    order = sorted(range(len(texts)), key=lambda number: len(texts[number]))
    for begin in range(0, len(order), batch):
        numbers = order[begin : begin + batch]
        inputs = tokenizer([texts[number] for number in numbers], return_tensors="pt", padding=True)
        inputs.pop("token_type_ids", None)
        with torch.inference_mode():
            written = model.generate(**inputs, max_new_tokens=LIMIT, do_sample=False)[:, inputs["input_ids"].shape[1] :]
        for number, ids in zip(numbers, written.tolist(), strict=True):
            end = next((at for at, token in enumerate(ids) if token in stops), None)
            text = str(tokenizer.decode(ids[:end]))
            replies[number] = Reply(text, parse_calls(text), end is not None)
    return [replies[number] for number in range(len(texts))]


def held_replies(backend: Backend, todo: Sequence[Case], *, required: bool = False) -> list[Reply]:
    """What the package answers, greedily; calls are held to their schemas. With ``required`` a call is asked for."""

    def reply(case: Case) -> Reply:
        request = Request(
            from_openai(_with_ids(case.messages)),
            tools=[Tool.from_openai(item) for item in case.tools],
            tool_choice="required" if required else "auto",
            decoding=Greedy(),
            max_tokens=LIMIT,
        )
        answer = collect(backend.stream(request))
        calls = [{"name": call.name, "arguments": dict(call.arguments)} for call in answer.tool_calls]
        whole = not answer.message.invalid_calls
        return Reply(answer.text, calls if whole else None, answer.finish_reason in ("stop", "tool_calls"))

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(reply, todo))


def _with_ids(messages: list[Message]) -> list[Message]:
    """The messages with an id for every call and its result."""
    made: list[Message] = []
    waiting: list[str] = []
    for number, message in enumerate(messages):
        if message.get("tool_calls"):
            waiting = [f"call-{number}-{at}" for at in range(len(message["tool_calls"]))]
            calls = [
                {
                    **call,
                    "id": name,
                    "function": {**call["function"], "arguments": json.dumps(call["function"]["arguments"])},
                }
                for call, name in zip(message["tool_calls"], waiting, strict=True)
            ]
            made.append({**message, "tool_calls": calls})
        elif message["role"] == "tool":
            made.append({**message, "tool_call_id": waiting.pop(0)})
        else:
            made.append(message)
    return made


@dataclass
class Table:
    """Scores by skill and in sum, and the first failures of every skill."""

    good: Counter[str] = field(default_factory=Counter)
    of: Counter[str] = field(default_factory=Counter)
    failures: dict[str, list[dict[str, str]]] = field(default_factory=lambda: defaultdict(list))

    def count(self, name: str, good: bool) -> None:
        """One more case of the row ``name``."""
        self.good[name] += good
        self.of[name] += 1

    def add(self, case: Case, reply: Reply) -> None:
        """Count one reply for all rows that it concerns."""
        good = right(case, reply)
        self.count(case.row, good)
        self.count("= stops by itself", reply.stopped)
        if case.wanted:
            self.count("= right tool", right_tools(case, reply))
            self.count("= exact arguments", good)
        elif case.results:
            self.count("= right answer from the result", good)
        elif case.skill == "no tool fits":
            self.count("= refuses when no tool fits", good)
        if reply.calls is None or reply.calls:
            self.count("= calls that are valid", valid(reply, case.tools))
        if not good and len(self.failures[case.row]) < 5:
            expected = json.dumps(case.wanted, ensure_ascii=False) if case.wanted else str(case.expected["content"])
            got = json.dumps(reply.calls, ensure_ascii=False) if reply.calls else reply.text
            shown = {"user": case.user, "results": " | ".join(case.results), "expected": expected, "got": got}
            self.failures[case.row].append(shown)

    def rows(self) -> dict[str, tuple[int, int]]:
        """Right and all, by row."""
        return {name: (self.good[name], self.of[name]) for name in sorted(self.of)}


def show(title: str, table: Table) -> None:
    """Print a table and one failure of every skill."""
    print(f"\n{title}")
    for name, (good, of) in table.rows().items():
        print(f"  {name:44}{good:5} of {of:5}  {100 * good / of:5.1f} %")
    for name, failures in sorted(table.failures.items()):
        first = failures[0]
        result = f" (result: {first['results']})" if first["results"] else ""
        print(
            f"  e.g. {name}: {first['user']}{result}\n      expected {first['expected']}\n      got      {first['got']}"
        )


def run_task(folder: Backend, task: dict[str, Any]) -> tuple[bool, list[str]]:
    """One task of ``evaluation_tasks.json`` through an agent, step by step; what happened is told in words."""
    asked: list[Any] = list(from_openai([{"role": "system", "content": task["system"]}])) if task.get("system") else []
    trace: list[str] = []
    for step in task["steps"]:
        wanted = [(call["name"], call["arguments"]) for call in step.get("calls", [])]
        results = iter([call["result"] for call in step.get("calls", [])])

        def run(*, results: Any = results, **arguments: Any) -> str:
            return str(next(results, ""))

        tools = [Tool(t.name, t.description, t.parameters, run) for t in map(Tool.from_openai, task["tools"])]
        agent = Agent(folder, tools=tools, decoding=Greedy(), max_tokens=LIMIT, max_steps=3)
        asked = [*asked, *from_openai([{"role": "user", "content": step["user"]}])]
        try:
            result = agent.run(asked)
        except AmbidexError as error:
            return False, [*trace, f"{type(error).__name__}: {error}"[:200]]
        made = [(call.name, dict(call.arguments)) for s in result.steps for call in s.reply.tool_calls]
        answer = str(result.answer)
        trace += [*(f"{name} {json.dumps(arguments, ensure_ascii=False)}" for name, arguments in made), answer]
        if made != wanted or not all(part in answer for part in step["answer_contains"]):
            return False, trace
        asked = list(result.messages)
    return True, trace


def as_task(tried: dict[str, Any]) -> dict[str, Any]:
    """A reader's try in the form of a task."""
    name, arguments = tried["call"]
    call = {"name": name, "arguments": arguments, "result": tried["result"]}
    step = {"user": tried["user"], "calls": [call], "answer_contains": tried["answer_contains"]}
    return {"id": tried["id"], "tools": tried["tools"], "steps": [step]}


def run_tasks(title: str, backend: Backend, tasks: list[dict[str, Any]]) -> dict[str, bool]:
    """Run tasks and print each of them with what happened."""
    print(f"\n{title}")
    solved: dict[str, bool] = {}
    for task in tasks:
        solved[task["id"]], trace = run_task(backend, task)
        asked = " / ".join(step["user"] for step in task["steps"])
        print(
            f"  {'solved' if solved[task['id']] else 'FAILED':8}{task['id']}: {asked} -> {' -> '.join(trace)}",
            flush=True,
        )
    print(f"  {sum(solved.values())} of {len(solved)}")
    return solved


def evaluate(folder: str, per_skill: int = 100, held: bool = True, talk_before: int = 0) -> dict[str, Any]:
    """Run and print everything; the report holds what was printed.

    :raises AmbidexError: if ``folder`` cannot be loaded.
    """
    backend = connect(f"local:{folder}", device="cpu")
    readers = json.loads((HERE / "reader_tries.json").read_text(encoding="utf-8"))
    tasks = json.loads((HERE / "evaluation_tasks.json").read_text(encoding="utf-8"))
    tried: dict[str, bool] = {}
    for number in sorted({one["round"] for one in readers}):
        these = [as_task(one) for one in readers if one["round"] == number]
        tried |= run_tasks(f"Readers' own tools, round {number}", backend, these)
    report: dict[str, Any] = {"readers": tried, "tasks": run_tasks("Tasks", backend, tasks)}
    todo = list(cases(per_skill, talk_before)) if per_skill else []
    weights = SHIPPED if folder == "pocket" else Path(folder)
    parts: list[tuple[str, Sequence[Case], list[Reply]]] = []
    if todo:
        parts.append(("free", todo, free_replies(str(weights), [(case.messages, case.tools) for case in todo])))
    if todo and held:
        offered = [case for case in todo if case.tools]
        calling = [case for case in todo if case.wanted]
        parts.append(("held", offered, held_replies(backend, offered)))
        parts.append(("held, and a call required", calling, held_replies(backend, calling, required=True)))
    for title, which, replies in parts:
        table = Table()
        for case, reply in zip(which, replies, strict=True):
            table.add(case, reply)
        show(f"Held-out dialogues, {title}", table)
        report[title] = {"scores": table.rows(), "failures": table.failures}
    backend.close()
    return report


def whole_number(text: str) -> int:
    """A whole number that is not negative, for an option."""
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 on")
    return int(text)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="pocket", help="folder of an exported model, or pocket")
    parser.add_argument(
        "--per-skill", type=whole_number, default=100, help="dialogues of each of the eleven skills; 0: tasks only"
    )
    parser.add_argument("--free-only", action="store_true", help="leave out what the package holds to schemas")
    parser.add_argument(
        "--talk-before",
        type=whole_number,
        default=0,
        help="so many turns of small talk before each dialogue: longer prompts",
    )
    parser.add_argument("--report", type=Path, help="JSON file for scores and failures")
    parser.add_argument("--threads", type=whole_number, default=2)
    options = parser.parse_args()
    if options.report and (options.report.is_dir() or not options.report.parent.is_dir()):
        parser.error(f"--report: {options.report} cannot be written")  # better now than after minutes of evaluation
    torch.set_num_threads(max(1, options.threads))
    try:
        report = evaluate(options.model, options.per_skill, not options.free_only, options.talk_before)
    except AmbidexError as error:
        parser.error(str(error))
    if options.report:
        options.report.write_text(json.dumps(report, indent=1, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    main()
