"""How many of the peers' cases each format reads exactly.

    .venv/bin/python tests/bench/formats.py [FAMILY ...] [--verbose] [--speed]

`calls`: names and arguments, in order; `all`: text and reasoning too. Text that a peer gives where a call was malformed
counts if it is the malformed call's raw text; how many need that stands under `as raw`. The cases come from
$AMBIDEX_SHARED (or `shared` beside the checkout), and are scored as their description there says. The same is counted
for each case one character at a time and in random cuts, for streams as peers' tests have them, for texts with declared
types, and for the cases on which peers disagree. `--speed`: time per MiB, and how it grows from 1 to 4 MiB.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, cast

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))

from tests.sdk.formats.reading import cases, cut, read  # noqa: E402
from tests.sdk.formats.scoring import (  # noqa: E402
    COERCION_OPINIONS,
    OPINIONS,
    coerced,
    parsed,
    same,
    score,
    streamed,
)

from ambidex import ToolCall, formats  # noqa: E402  # the scoring of the tests is found by the lines above

SHARED = Path(os.environ.get("AMBIDEX_SHARED") or REPOSITORY.parent / "shared")


def main() -> int:
    arguments = argparse.ArgumentParser(description="exact readings of public cases, by family")
    arguments.add_argument("families", nargs="*", help="only these")
    arguments.add_argument("--verbose", action="store_true", help="show each case that is not read exactly")
    arguments.add_argument("--speed", action="store_true", help="measure time too")
    asked = arguments.parse_args()
    file = SHARED / "data" / "toolcalls_public.jsonl"
    if not file.exists():
        print(f"skipped: no cases at {file}")
        return 0
    all_cases = [case for case in cases(file, *asked.families) if case["family"] in formats.names()]
    table: dict[str, Counter[str]] = {}
    missed: list[str] = []
    for case in all_cases:
        answer = parsed(case)
        result = score(case, answer)
        counts = table.setdefault(case["family"], Counter())
        counts.update(cases=1, calls=result.calls, all=result.all, as_raw=result.all and not result.plain_text)
        if not result.all:
            what = "calls" if not result.calls else "reasoning" if result.text else "text"
            missed.append(f"{case['id']}: {what}. {OPINIONS.get(case['id'], 'NOT EXPLAINED')}")
            if asked.verbose:
                missed.append(f"    {case['raw']!r}\n    expected {case['expected']}\n    read {answer.parts}")
    total: Counter[str] = Counter()
    print(f"{'family':20} {'cases':>5} {'calls':>6} {'all':>6} {'as raw':>6}")
    for family, counts in sorted(table.items()):
        total.update(counts)
        print(f"{family:20} {counts['cases']:5} {counts['calls']:6} {counts['all']:6} {counts['as_raw']:6}")
    share = {key: 100 * total[key] / max(1, total["cases"]) for key in ("calls", "all")}
    print(f"{'total':20} {total['cases']:5} {total['calls']:6} {total['all']:6} {total['as_raw']:6}")
    print(f"exact in calls {share['calls']:.1f} %, in calls, text and reasoning {share['all']:.1f} %")
    unread = sorted({case["family"] for case in cases(file)} - set(formats.names()))
    print(f"families without a format: {', '.join(unread) or 'none'}")
    print(*missed, sep="\n")
    print_cut(all_cases)
    print_others()
    if asked.speed:
        print_speed(asked.families or formats.names())
    return 0


def print_cut(all_cases: list[dict[str, Any]]) -> None:
    """The same cases in pieces."""
    draw = random.Random(0)
    for name in ("one character at a time", "in random cuts"):
        exact: Counter[str] = Counter()
        for case in all_cases:
            raw = case["raw"]
            pieces = list(raw) if name.startswith("one") else cut(raw, draw.choices(range(len(raw) + 1), k=6))
            result = score(case, streamed(case, pieces))
            exact.update(calls=result.calls, all=result.all)
        print(f"{name}: calls {exact['calls']}, all {exact['all']} of {len(all_cases)}")


def print_others() -> None:
    """The other files of cases."""
    whole = {case["id"]: case for case in cases(SHARED / "data" / "toolcalls_public.jsonl")}
    streams = cases(SHARED / "data" / "toolcalls_streaming_public.jsonl")
    results = [score({**whole[case["case"]], **case}, streamed(case, case["chunks"])) for case in streams]
    print(f"streams: calls {sum(r.calls for r in results)}, all {sum(r.all for r in results)} of {len(streams)}")
    lines = (SHARED / "data" / "coercion_cases.jsonl").read_text(encoding="utf-8").splitlines()
    typed = [json.loads(line) for line in lines]
    failed = [case for case in typed if not same(coerced(case), case["want"])]
    print(f"texts with declared types: {len(typed) - len(failed)} of {len(typed)}")
    for case in failed:
        why = COERCION_OPINIONS.get((*case["declared_types"], case["raw_text"]), "NOT EXPLAINED")
        print(f"    {case['raw_text']!r} as {case['declared_types']}: {why}")
    disputed = cases(SHARED / "data" / "toolcalls_disputed.jsonl")
    print(
        f"disputed: as suggested {sum(map(as_suggested, disputed))}, as a peer {sum(map(as_a_peer, disputed))}", end=""
    )
    print(f" of {len(disputed)}")


def as_suggested(case: dict[str, Any]) -> bool:
    return case["suggested"] is not None and has_calls(case, case["outcomes"][case["suggested"]])


def as_a_peer(case: dict[str, Any]) -> bool:
    return any(has_calls(case, outcome) for outcome in case["outcomes"].values())


def has_calls(case: dict[str, Any], outcome: Any) -> bool:
    """Whether a disputed case is read as a peer reads it."""
    if not isinstance(outcome, dict):
        return False
    found: list[dict[str, Any]] = cast("dict[str, Any]", outcome).get("tool_calls") or []
    wanted = [{"name": call["name"], "arguments": arguments_of(call)} for call in found]
    called = [{"name": call.name, "arguments": dict(call.arguments)} for call in parsed(case).tool_calls]
    return same(called, wanted)


def arguments_of(call: dict[str, Any]) -> object:
    if "arguments" in call:
        return call["arguments"]
    try:
        return json.loads(call["arguments_text"])
    except (KeyError, TypeError, ValueError):
        return None


def print_speed(families: list[str]) -> None:
    """Seconds per MiB of text and one long argument, in pieces of 64 characters; the exponent from 1 to 4 MiB."""
    print(f"{'family':20} {'s/MiB':>6} {'exponent':>8}")
    for family in families:
        short, long = (min(seconds(family, size) for _ in range(2)) for size in (1 << 20, 1 << 22))
        print(f"{family:20} {short:6.3f} {math.log(long / short, 4):8.3f}")


def seconds(family: str, size: int) -> float:
    words = 'some words, <tags and "quotes" ' * (size // 64)
    text = words + formats.get(family).render_call(ToolCall("123456789", "f", {"b": words}))
    pieces = [text[at : at + 64] for at in range(0, len(text), 64)]
    start = time.process_time()
    read(pieces, family=family)
    return time.process_time() - start


if __name__ == "__main__":
    sys.exit(main())
