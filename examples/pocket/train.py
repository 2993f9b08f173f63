"""The training loop that both stages share: self-supervised next-token prediction.

A text is its own teacher: the model reads token after token and, at each of them, is asked for the next one, which stands
in the text anyway. The loss is the cross-entropy, in nats: how surprised the model is by what really comes. A guess
without any knowledge costs ln 2304 = 7.7 nats for each token of this vocabulary; ``exp(loss)`` is among how many
tokens, all alike, the model would seem to waver.

The data is made on the way, in shards: shard number n follows from the seed and n alone. A run can be stopped and
started again at any time: weights, averaged weights, optimizer state and progress are kept in safetensors files, and the
order of the rows follows from the seed. The learning rate warms up, stays flat and falls at the end (warm-up, stable,
decay: Hu and others 2024), so that a run may be shortened or prolonged while the rate is still flat; what is used in the
end is a moving average of the last weights, which is less noisy than any of them.
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
from torch import Tensor, nn
from torch.nn import functional

from .dataset import Rows
from .model import Pocket, Shape
from .optimizer import Muon

LOG_STEPS = 20  # a line of the log for so many steps


@dataclass(frozen=True)
class Recipe:
    """What a stage needs to know besides its data. The numbers were tried in short runs, not searched for.

    :raises ValueError: if a share is not above 0 and at most 1, or ``rate``, ``rows`` or ``minutes`` is not above 0.
    """

    rate: float  # the learning rate while it is flat (see optimizer.py for what it multiplies)
    decay_share: float  # of the run, at its end, in which the rate falls in a straight line
    final_share: float = 0.02  # of the rate, below which it does not fall
    warmup_steps: int = 40  # in which the rate rises: at first the optimizer's averages know nothing yet
    rows: int = 10  # of each step
    clip: float = 1.0  # the longest gradient; a rare bad row shall not throw the weights about
    average: float = 0.99  # what the moving average keeps at each step: it is of the last hundred or so
    seed: int = 0
    save_seconds: float = 120.0
    minutes: float = float("inf")  # of training in all: the rate falls in time for this end, if it comes first

    def __post_init__(self) -> None:
        for name in ("decay_share", "final_share"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it is a share, above 0 and at most 1.")
        for name in ("rate", "rows", "minutes"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it has to be above 0.")


def rate_at(done: float, step: int, recipe: Recipe) -> float:
    """The learning rate of step number ``step``, after the share ``done`` of the run."""
    rate = recipe.rate * min(1.0, (step + 1) / recipe.warmup_steps)
    left = (1.0 - done) / recipe.decay_share
    return rate * max(recipe.final_share, min(1.0, left))


@dataclass
class Progress:
    """How far a run is."""

    step: int = 0
    tokens: int = 0
    shard: int = 0
    row: int = 0  # of the shard, in its shuffled order
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


def load_checkpoint(file: Path, model: Pocket, average: dict[str, Tensor], optimizer: Muon) -> Progress:
    """Put what :func:`save_checkpoint` wrote into its arguments; how far the run was is returned."""
    table = load_file(file)
    model.load_state_dict(weights_of(file, "weights"))
    for name in average:
        average[name] = table[f"average.{name}"]
    optimizer.load(
        {name.removeprefix("optimizer."): value for name, value in table.items() if name.startswith("optimizer.")}
    )
    with safe_open(file, framework="pt") as opened:
        said = opened.metadata()
    return Progress(*(type(old)(said[key]) for key, old in Progress().__dict__.items()))


def weights_of(file: Path, kind: str = "average") -> dict[str, Tensor]:
    """The weights of a checkpoint (``kind`` "average" or "weights") or of a model file, by name."""
    table = load_file(file)
    chosen = {name.removeprefix(f"{kind}."): value for name, value in table.items() if name.startswith(f"{kind}.")}
    return {name: value.float() for name, value in (chosen or table).items()}


def layers_of(weights: dict[str, Tensor]) -> int:
    """How many layers they are of."""
    return sum(name.endswith("gate_proj.weight") for name in weights)


def load_model(file: Path, kind: str = "average") -> Pocket:
    """The model of a checkpoint or of a model file, of the sizes that stand there (and heads of Pocket's number).

    :raises ValueError: if ``file`` holds the weights of another model.
    """
    weights = weights_of(file, kind)
    try:
        vocabulary, width = weights["model.embed_tokens.weight"].shape
        inner = weights["model.layers.0.mlp.gate_proj.weight"].shape[0]
        model = Pocket(Shape(vocabulary, width, inner, layers_of(weights)))
        model.load_state_dict(weights)
    except (KeyError, RuntimeError) as error:
        raise ValueError(f"{file} holds no Pocket, or one of another make: {str(error)[:200]}") from error
    return model


def loss_of(model: Pocket, forward: Callable[..., Tensor], rows: Rows, chosen: list[int]) -> Tensor:
    """The mean cross-entropy, in nats, of the wanted tokens of the ``chosen`` rows.

    The vector at position t scores the token at t + 1, hence the shift by one between vectors and ids. What is not wanted
    (a user's words while fine-tuning, an empty end of a row) is read but not learnt, and needs no scores.
    """
    ids, family, branch, position = (
        torch.from_numpy(array[chosen].astype(np.int64))
        for array in (rows.ids, rows.family, rows.branch, rows.position)
    )
    wanted = torch.from_numpy(rows.wanted[chosen])
    with torch.autocast("cpu", dtype=torch.bfloat16):  # half the memory traffic; weights and sums stay float32
        vectors = forward(ids, position, family, branch)
        logits = model.logits(vectors[:, :-1][wanted[:, 1:]])
    labels = ids[:, 1:][wanted[:, 1:]]
    return functional.cross_entropy(logits.float(), labels, reduction="sum") / int(wanted.sum())


def train(
    model: Pocket, shard: Callable[[int], Rows], folder: Path, recipe: Recipe, limit: int, compiled: bool = True
) -> None:
    """Train ``model`` on ``limit`` tokens of the rows that ``shard`` makes, saving into ``folder``.

    What has stopped there goes on; a line of ``log.jsonl`` tells the mean loss of each twenty steps.

    :raises ValueError: if ``limit`` is not above 0.
    """
    if limit < 1:
        raise ValueError(f"limit is {limit}; it is a number of tokens, above 0.")
    folder.mkdir(parents=True, exist_ok=True)
    optimizer, progress = Muon(model), Progress()
    average = {name: p.detach().clone() for name, p in model.named_parameters()}
    if (folder / "checkpoint.safetensors").exists():
        progress = load_checkpoint(folder / "checkpoint.safetensors", model, average, optimizer)
    forward = torch.compile(model, dynamic=False) if compiled else model
    log = Log(folder / "log.jsonl", limit)
    saved = last = time.monotonic()
    rows: Rows | None = None
    order: list[int] = []
    while (done := max(progress.tokens / limit, progress.seconds / 60 / recipe.minutes)) < 1:
        if rows is None:
            rows = shard(progress.shard)
            order = list(range(len(rows)))
            random.Random(recipe.seed + progress.shard).shuffle(order)
        chosen = order[progress.row :][: recipe.rows]
        loss = loss_of(model, forward, rows, chosen)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        rate = rate_at(done, progress.step, recipe)
        optimizer.step(rate)

        seen = int((rows.family[chosen] >= 0).sum())
        now = time.monotonic()
        progress.seconds, last = progress.seconds + now - last, now
        progress.row, progress.step, progress.tokens = (
            progress.row + recipe.rows,
            progress.step + 1,
            progress.tokens + seen,
        )
        keep = min(recipe.average, 1 - 1 / (progress.step + 1))  # at first an average of all there are
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                average[name].lerp_(parameter, 1 - keep)
        log.add(loss.item(), seen)
        if progress.row + recipe.rows > len(order):  # too few are left for a step: those of the next shard follow
            progress.shard, progress.row, rows = progress.shard + 1, 0, None
        if progress.step % LOG_STEPS == 0 or progress.tokens >= limit:
            log.write(progress, rate)
        if now - saved > recipe.save_seconds:
            save_checkpoint(folder, model, average, optimizer, progress)
            saved = now
    save_checkpoint(folder, model, average, optimizer, progress)


class Log:
    """The lines of ``log.jsonl``: what the steps since the last line gave, in the mean."""

    def __init__(self, file: Path, limit: int) -> None:
        self.file, self.limit = file, limit
        self.losses: list[float] = []
        self.tokens, self.begun = 0, time.monotonic()

    def add(self, loss: float, tokens: int) -> None:
        """One more step."""
        self.losses.append(loss)
        self.tokens += tokens

    def write(self, progress: Progress, rate: float) -> None:
        """A line, and begin with the next one."""
        now = time.monotonic()
        line = {
            "step": progress.step,
            "tokens": progress.tokens,
            "of": self.limit,
            "loss": round(sum(self.losses) / len(self.losses), 4),
            "rate": round(rate, 6),
            "tokens_per_second": round(self.tokens / (now - self.begun)),
            "seconds": round(progress.seconds),
        }
        with self.file.open("a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")
        self.losses, self.tokens, self.begun = [], 0, now
