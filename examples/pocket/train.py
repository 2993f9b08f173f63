"""The training loop that both stages share.

The data is made on the way, in shards: shard number n follows from the seed and n alone. A run can be stopped and
started again at any time: weights, averaged weights, optimizer state and progress are kept in safetensors files, and the
order of the rows follows from the seed. The learning rate warms up, stays flat and falls at the end, so that a run may be
shortened or prolonged while it is going on; what is used in the end is an average of the last weights.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional

from .dataset import Rows
from .model import Pocket, Shape
from .optimizer import Muon


@dataclass(frozen=True)
class Recipe:
    """What a stage needs to know besides its data. One step sees ``rows`` x ``parts`` rows."""

    rate: float = 8e-4
    rows: int = 10
    parts: int = 1
    warmup_steps: int = 40
    decay_share: float = 0.4
    final_rate: float = 0.02
    clip: float = 1.0
    average: float = 0.99
    seed: int = 0
    save_seconds: float = 120.0
    minutes: float = float("inf")  # of training in all: the rate falls in time for this end, if it comes first


def rate_at(done: float, step: int, recipe: Recipe) -> float:
    """The learning rate after the share ``done`` of the run."""
    rate = recipe.rate * min(1.0, (step + 1) / recipe.warmup_steps)
    left = (1.0 - done) / recipe.decay_share
    return rate * max(recipe.final_rate, min(1.0, left))


@dataclass
class Progress:
    """How far a run is."""

    step: int = 0
    tokens: int = 0
    shard: int = 0
    row: int = 0
    seconds: float = 0.0


def save_checkpoint(
    folder: Path, model: Pocket, average: dict[str, Tensor], optimizer: Muon, progress: Progress
) -> None:
    """Write the run into ``folder``; a crash in between leaves the older checkpoint whole."""
    metadata = {"format": "pt", **{key: str(value) for key, value in progress.__dict__.items()}}
    table = {f"weights.{name}": p.detach() for name, p in model.named_parameters()}
    table |= {f"average.{name}": value for name, value in average.items()}
    table |= {f"optimizer.{name}": value for name, value in optimizer.state().items()}
    save_file(table, folder / "checkpoint.new", metadata=metadata)
    (folder / "checkpoint.new").replace(folder / "checkpoint.safetensors")


def weights_of(file: Path, kind: str = "average") -> dict[str, Tensor]:
    """The weights of a checkpoint (``kind`` "average" or "weights") or of a model file, by name."""
    table = load_file(file)
    chosen = {name.removeprefix(f"{kind}."): value for name, value in table.items() if name.startswith(f"{kind}.")}
    return {name: value.float() for name, value in (chosen or table).items()}


def load_model(file: Path, kind: str = "average") -> Pocket:
    """The model of a checkpoint or of a model file, of the sizes that stand there (and heads of Pocket's number)."""
    weights = weights_of(file, kind)
    vocabulary, width = weights["model.embed_tokens.weight"].shape
    inner = weights["model.layers.0.mlp.gate_proj.weight"].shape[0]
    layers = sum(name.endswith("gate_proj.weight") for name in weights)
    model = Pocket(Shape(vocabulary, width, inner, layers))
    model.load_state_dict(weights)
    return model


def train(
    model: Pocket, shard: Callable[[int], Rows], folder: Path, recipe: Recipe, limit: int, compiled: bool = True
) -> None:
    """Train ``model`` on ``limit`` tokens of the rows that ``shard`` makes, saving into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    optimizer, progress = Muon(model), Progress()
    average = {name: p.detach().clone() for name, p in model.named_parameters()}
    file = folder / "checkpoint.safetensors"
    if file.exists():
        model.load_state_dict(weights_of(file, "weights"))
        table = load_file(file)
        average = {name: table[f"average.{name}"] for name in average}
        optimizer.load({name[10:]: value for name, value in table.items() if name.startswith("optimizer.")})
        with safe_open(file, framework="pt") as opened:
            said = opened.metadata()
        progress = Progress(*(type(old)(said[key]) for key, old in progress.__dict__.items()))
    forward = torch.compile(model, dynamic=False) if compiled else model
    saved = begun = last = time.monotonic()
    window: list[float] = []
    window_tokens = 0
    rows: Rows | None = None
    order: list[int] = []
    while (done := max(progress.tokens / limit, progress.seconds / 60 / recipe.minutes)) < 1:
        if rows is None or progress.row + recipe.rows * recipe.parts > len(order):
            if rows is not None:
                progress.shard, progress.row = progress.shard + 1, 0
            rows = shard(progress.shard)
            order = list(range(len(rows)))
            random.Random(recipe.seed + progress.shard).shuffle(order)
        rate = rate_at(done, progress.step, recipe)
        seen, losses = 0, 0.0
        chosen = [order[progress.row + i * recipe.rows :][: recipe.rows] for i in range(recipe.parts)]
        wanted_count = int(rows.wanted[np.concatenate(chosen)].sum())
        for part in chosen:
            ids, family, branch, position = (
                torch.from_numpy(array[part].astype(np.int64))
                for array in (rows.ids, rows.family, rows.branch, rows.position)
            )
            wanted = torch.from_numpy(rows.wanted[part])[:, 1:]
            with torch.autocast("cpu", dtype=torch.bfloat16):
                vectors = forward(ids, position, family, branch)
                logits = model.logits(vectors[:, :-1][wanted])  # only where there is something to learn
            loss = functional.cross_entropy(logits.float(), ids[:, 1:][wanted], reduction="sum") / wanted_count
            loss.backward()
            losses += loss.item()
            seen += int((family >= 0).sum())
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        optimizer.step(rate)
        progress.row += recipe.rows * recipe.parts
        progress.step += 1
        progress.tokens += seen
        now = time.monotonic()
        progress.seconds, last = progress.seconds + now - last, now
        keep = min(recipe.average, 1 - 1 / (progress.step + 1))
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                average[name].lerp_(parameter, 1 - keep)
        window.append(losses)
        window_tokens += seen
        if progress.step % 20 == 0:
            line = {"step": progress.step, "tokens": progress.tokens, "of": limit, "loss": round(sum(window) / len(window), 4),
                    "rate": round(rate, 6), "tokens_per_second": round(window_tokens / (now - begun)), "seconds": round(progress.seconds)}  # fmt: skip
            with (folder / "log.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
            begun, window, window_tokens = now, [], 0
        if now - saved > recipe.save_seconds:
            save_checkpoint(folder, model, average, optimizer, progress)
            saved = now
    save_checkpoint(folder, model, average, optimizer, progress)
