"""Rendering speed beside transformers' `apply_chat_template`: the same template, messages and tokenizer, one process.

    AMBIDEX_SHARED=... .venv/bin/python tests/bench/templates.py [--messages 40] [--rounds 15] [TEMPLATE ...]

Without names: the largest template of $AMBIDEX_SHARED/data/chat_templates, and one of each tokenizer there. Runs are
interleaved; each round gives a ratio, and their median is printed: for the text alone, and with its token ids. Ours
renders twice, for it also finds out whose text is whose.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.sdk.templates.histories import NOW, WEATHER, History, as_dicts
from tests.sdk.templates.reference import SPECIAL, byte_level, control_tokens_in, pretrained, rendered
from tokenizers import Tokenizer

from ambidex.errors import AmbidexError
from ambidex.messages import Assistant, Message, System, ToolCall, ToolResult, User
from ambidex.templates import ChatTemplate, HFTokenizer


def conversation(length: int) -> History:
    """Questions, calls, results and answers in turn, a few hundred characters each."""
    messages: list[Message] = [System("Be brief, and look things up when you can. " * 5)]
    turn = 0
    while len(messages) < length:
        call = ToolCall(f"call{turn:05d}", "get_weather", {"city": f"City {turn}", "unit": "celsius", "days": turn})
        messages += [
            User(f"What about city {turn}? " + "I would like to know more about it, in some detail. " * 6),
            Assistant("Let me look.", call),
            ToolResult(call.id, call.name, '{"temperature": 21, "sky": "clear", "wind": "none at all"} ' * 5),
            Assistant(f"It is warm in city {turn}. " + "There is not much else to say about it, really. " * 6),
        ]
        turn += 1
    return History("long", (*messages[: length - 1], User("Thanks. And now?")), (WEATHER,))


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def compare(
    name: str, source: str, tokenizer: Tokenizer, special: dict[str, str], history: History, rounds: int
) -> None:
    template = ChatTemplate(source, tokenizer=HFTokenizer(tokenizer), special_tokens=special)
    theirs: Any = pretrained(tokenizer, source, special)
    tools = [tool.to_openai() for tool in history.tools]

    def ours() -> object:
        return template.render(history.messages, history.tools, now=NOW)

    def transformers() -> object:
        return theirs.apply_chat_template(as_dicts(history.messages), tools=tools, add_generation_prompt=True)

    def text() -> object:
        return rendered(source, history, {}, special)

    try:
        for run in (ours, transformers, text):
            run()
    except Exception as problem:
        print(f"{name}: {problem}")
        return
    rows = [(seconds(ours), seconds(transformers), seconds(text)) for _ in range(rounds)]
    mine, whole, bare = (statistics.median(column) * 1e3 for column in zip(*rows, strict=True))
    ratio = statistics.median(row[0] / row[1] for row in rows)
    print(f"{name}: ours {mine:.1f} ms, transformers {whole:.1f} ms ({bare:.1f} ms of it the text), ratio {ratio:.2f}")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("templates", nargs="*")
    options.add_argument("--messages", type=int, default=40)
    options.add_argument("--rounds", type=int, default=15)
    given = options.parse_args()
    shared = Path(os.environ["AMBIDEX_SHARED"]) / "data"
    history = conversation(given.messages)
    files = sorted((shared / "chat_templates").glob("*.jinja"), key=lambda file: file.stat().st_size)
    chosen = [file for file in files if any(name in file.name for name in given.templates)] or files[-1:]
    tokenizer = Tokenizer.from_file(str(shared / "tokenizers" / "qwen2.5-instruct" / "tokenizer.json"))
    for file in chosen:
        source = file.read_text(encoding="utf-8")
        compare(
            f"{file.stem}, bytes as tokens",
            source,
            byte_level(control_tokens_in(source)),
            SPECIAL,
            history,
            given.rounds,
        )
        compare(f"{file.stem}, Qwen2.5's tokenizer", source, tokenizer, SPECIAL, history, given.rounds)
    if not given.templates:
        for folder in sorted((shared / "tokenizers").iterdir()):
            try:
                source = ChatTemplate.from_pretrained(folder).source
            except AmbidexError:
                continue
            own = Tokenizer.from_file(str(folder / "tokenizer.json"))
            compare(folder.name, source, own, SPECIAL, history, given.rounds)


if __name__ == "__main__":
    main()
