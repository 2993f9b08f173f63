"""Draw the loss of one or more runs, one after the other, as a small SVG picture.

    python -m examples.pocket.curves "pretraining (all tokens)=RUN_DIR/pretrain/log.jsonl" \\
        "fine-tuning (assistant's tokens)=RUN_DIR/finetune/log.jsonl" --out loss.svg
"""

from __future__ import annotations

import argparse
import html
import json
import math
from pathlib import Path

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 640, 300, 50, 40, 20
COLORS = ("#888888", "#1f6feb", "#d1701f", "#2f8f4e")
Points = list[tuple[float, float]]


def read_log(path: Path) -> Points:
    """(millions of tokens, loss) for every line of a log; of lines written twice the last one counts."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [(line["tokens"] / 1e6, line["loss"]) for line in {line["step"]: line for line in lines}.values()]


def draw(curves: dict[str, Points]) -> str:
    """An SVG with one line per run; the loss axis is logarithmic."""
    ends = {name: points[-1][0] for name, points in curves.items()}
    tokens = sum(ends.values())
    losses = [loss for points in curves.values() for _, loss in points]
    low, high = math.log(min(losses) * 0.9), math.log(max(losses) * 1.1)

    def x(value: float) -> float:
        return LEFT + (WIDTH - LEFT - 10) * value / tokens

    def y(loss: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - math.log(loss)) / (high - low)

    style = 'font-family="sans-serif" font-size="12" fill="#666666"'
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}">',
             f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>']  # fmt: skip
    for loss in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0):
        if low <= math.log(loss) <= high:
            parts.append(f'<path d="M{LEFT} {y(loss):.1f}H{WIDTH - 10}" stroke="#e0e0e0"/>')
            parts.append(f'<text x="{LEFT - 6}" y="{y(loss) + 4:.1f}" text-anchor="end" {style}>{loss:g}</text>')
    for tick in range(0, int(tokens) + 1, 5 if tokens > 8 else 1):
        parts.append(f'<text x="{x(tick):.1f}" y="{HEIGHT - 22}" text-anchor="middle" {style}>{tick}</text>')
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 5}" text-anchor="middle" {style}>million tokens</text>')
    begin = 0.0
    for row, (name, points) in enumerate(curves.items()):
        color = COLORS[row % len(COLORS)]
        path = " ".join(f"{x(begin + t):.1f},{y(loss):.1f}" for t, loss in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="1.5"/>')
        parts.append(f'<text x="{WIDTH - 20}" y="{TOP + 14 + 16 * row}" text-anchor="end" font-family="sans-serif" '
                     f'font-size="12" fill="{color}">{html.escape(name)}</text>')  # fmt: skip
        begin += ends[name]
    return "\n".join([*parts, "</svg>"]) + "\n"


def main() -> None:
    """Draw the curves of some logs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log", nargs="+", help="NAME=FILE, in the order in which the runs followed each other")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent / "loss.svg")
    options = parser.parse_args()
    logs = dict(pair.rsplit("=", 1) for pair in options.log)
    options.out.write_text(draw({name: read_log(Path(file)) for name, file in logs.items()}), encoding="utf-8")


if __name__ == "__main__":
    main()
