"""How many of the peers' cases each format reads exactly.

    .venv/bin/python tests/bench/formats.py [FAMILY ...] [--verbose]

`calls`: names and arguments, in order; `all`: text and reasoning too. Text that a peer gives where a call was malformed
counts if it is the malformed call's raw text; how many need that stands under `as raw`. The cases come from
$AMBIDEX_SHARED (or `shared` beside the checkout), and are scored as their description there says.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))

from tests.sdk.formats.reading import cases  # noqa: E402
from tests.sdk.formats.scoring import OPINIONS, parsed, score  # noqa: E402

from ambidex import formats  # noqa: E402  # the scoring of the tests is found by the line above

SHARED = Path(os.environ.get("AMBIDEX_SHARED") or REPOSITORY.parent / "shared")


def main() -> int:
    arguments = argparse.ArgumentParser(description="exact readings of public cases, by family")
    arguments.add_argument("families", nargs="*", help="only these")
    arguments.add_argument("--verbose", action="store_true", help="show each case that is not read exactly")
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
    return 0


if __name__ == "__main__":
    sys.exit(main())
