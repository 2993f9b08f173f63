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
    """(millions of tokens, loss in nats) for every line of a log; of lines written twice the last one counts.

    :raises ValueError: if ``path`` is not there, or holds no lines of a training.
    """
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        points = [(line["tokens"] / 1e6, line["loss"]) for line in {line["step"]: line for line in lines}.values()]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no log of a training: {error!r}") from error
    if not points or min(loss for _, loss in points) <= 0:
        raise ValueError(f"{path} holds no losses above 0")
    return points


def named_log(text: str) -> tuple[str, Points]:
    """``NAME=FILE``, an argument of the command, as the name and what the file holds."""
    name, sign, file = text.rpartition("=")
    if not sign:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=FILE")
    try:
        return name, read_log(Path(file))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


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
    add = parser.add_argument
    add("log", nargs="+", type=named_log, help="NAME=FILE, in the order in which the runs followed each other")
    add("--out", type=Path, required=True, help="the picture, an SVG file")
    options = parser.parse_args()
    curves = dict(options.log)
    if len(curves) < len(options.log):
        parser.error("two logs have one name")
    options.out.write_text(draw(curves), encoding="utf-8")


if __name__ == "__main__":
    main()
