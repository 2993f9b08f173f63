"""The training loop that both stages share: AdamW, warm-up, a flat learning rate, then a decay to zero.

A run can be stopped and started again at any time: weights, optimizer state and step are kept in safetensors files,
and the order of the batches follows from the seed. Because the learning rate stays flat until the decay begins, a run
may also be shortened while it is going on.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional
from transformers import LlamaForCausalLM

from .dataset import Corpus, batches


@dataclass(frozen=True)
class Recipe:
    """What a stage needs to know besides its data."""

    rate: float = 1.5e-3
    batch_tokens: int = 6144
    warmup_steps: int = 100
    decay_share: float = 0.25
    final_rate: float = 0.02
    weight_decay: float = 0.05
    clip: float = 1.0
    seed: int = 0
    save_every: int = 250


def rate_at(done: float, step: int, recipe: Recipe) -> float:
    """The learning rate after the share ``done`` of the run."""
    rate = recipe.rate * min(1.0, (step + 1) / recipe.warmup_steps)
    left = (1.0 - done) / recipe.decay_share
    return rate * max(recipe.final_rate, min(1.0, left))


def save_checkpoint(
    folder: Path, model: LlamaForCausalLM, optimizer: torch.optim.AdamW, step: int, tokens: int
) -> None:
    """Write weights, optimizer state and progress; a checkpoint is complete once its name no longer ends in ``.new``."""
    folder.mkdir(parents=True, exist_ok=True)
    names = {id(p): n for n, p in model.named_parameters()}
    state: dict[str, torch.Tensor] = {}
    for parameter, values in optimizer.state.items():
        for key in ("exp_avg", "exp_avg_sq", "step"):
            state[f"{key}.{names[id(parameter)]}"] = torch.as_tensor(values[key])
    weights = {n: p.detach().clone() for n, p in model.named_parameters()}
    progress = {"step": str(step), "tokens": str(tokens)}
    for name, tensors in (("optimizer", state), ("weights", weights)):
        save_file(tensors, folder / f"{name}.new", metadata=progress)
    for name in ("optimizer", "weights"):
        (folder / f"{name}.new").replace(folder / f"{name}.safetensors")


def load_weights(folder: Path, model: LlamaForCausalLM) -> None:
    """Load only the weights of a checkpoint."""
    model.load_state_dict(load_file(folder / "weights.safetensors"), strict=False)
    model.tie_weights()


def load_checkpoint(folder: Path, model: LlamaForCausalLM, optimizer: torch.optim.AdamW) -> tuple[int, int]:
    """Continue from a checkpoint; returns the step and the tokens seen."""
    from safetensors import safe_open

    load_weights(folder, model)
    state = load_file(folder / "optimizer.safetensors")
    for name, parameter in model.named_parameters():
        optimizer.state[parameter] = {key: state[f"{key}.{name}"] for key in ("exp_avg", "exp_avg_sq", "step")}
    with safe_open(folder / "weights.safetensors", framework="pt") as file:
        progress = file.metadata()
    return int(progress["step"]), int(progress["tokens"])


def train(model: LlamaForCausalLM, corpus: Corpus, folder: Path, recipe: Recipe, pad: int, limit: int) -> None:
    """Train ``model`` over ``corpus`` or the first ``limit`` tokens of it, saving into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    decayed = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() <= 1]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=recipe.rate, betas=(0.9, 0.98), fused=True)
    step, tokens = 0, 0
    if (folder / "weights.safetensors").exists():
        step, tokens = load_checkpoint(folder, model, optimizer)
    total = min(limit, int(corpus.offsets[-1]))
    model.train()
    begun, window_loss, window_tokens = time.time(), [], 0
    for number, (ids, mask) in enumerate(batches(corpus, recipe.batch_tokens, recipe.seed, pad)):
        if number < step:
            continue
        if tokens >= total:
            break
        rate = rate_at(tokens / total, step, recipe)
        for group in optimizer.param_groups:
            group["lr"] = rate
        wanted = mask[:, 1:]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            hidden = model.model(input_ids=ids[:, :-1], use_cache=False).last_hidden_state
            logits = model.lm_head(hidden[wanted])  # only where there is something to learn
        loss = functional.cross_entropy(logits.float(), ids[:, 1:][wanted])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        optimizer.step()
        step += 1
        tokens += int((ids != pad).sum())
        window_loss.append(loss.item())
        window_tokens += ids.numel()
        if step % 25 == 0:
            seconds = time.time() - begun
            line = {"step": step, "tokens": tokens, "of": total, "loss": round(sum(window_loss) / len(window_loss), 4),
                    "rate": round(rate, 6), "tokens_per_second": round(window_tokens / seconds), "seconds": round(seconds, 1)}  # fmt: skip
            with (folder / "log.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
            begun, window_loss, window_tokens = time.time(), [], 0
        if step % recipe.save_every == 0:
            save_checkpoint(folder, model, optimizer, step, tokens)
    save_checkpoint(folder, model, optimizer, step, tokens)
