"""Walks through grammars without a model: what is drawn is anybody's choice, so that thousands take seconds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ambidex.tools import Tool
from ambidex_backends.local.constraint import Constraint
from ambidex_backends.local.tokenizer import Tokenizer


class Chance:
    """Scores of a model that knows nothing; now and then one that would rather go on for ever."""

    def __init__(self, seed: int, size: int) -> None:
        self._random = np.random.default_rng(seed)
        self._scores = self._random.standard_normal(size).astype(np.float32)

    def logits(self) -> torch.Tensor:
        return torch.from_numpy(np.roll(self._scores, int(self._random.integers(len(self._scores)))))


def walk(constraint: Constraint, chance: Chance, left: int, ends: frozenset[int]) -> list[int]:
    """The ids of an answer of at most `left` tokens, without the end."""
    ids = constraint.begin(left)
    while not constraint.is_complete and len(ids) < left:
        drawn = int(constraint.masked(chance.logits()).argmax())
        ids += constraint.take(drawn, left - len(ids))
        if ids and ids[-1] in ends:
            return ids[:-1]
    return ids


def text_of(tokenizer: Tokenizer, ids: list[int]) -> str:
    return b"".join(tokenizer.token_bytes(id) for id in ids).decode()


def bfcl(shared: Path) -> Iterator[Tool[..., Any]]:
    """All functions of the Berkeley function-calling leaderboard's cases, as tools."""
    for file in sorted((shared / "data" / "bfcl").glob("*.jsonl")):
        for line in file.read_text(encoding="utf-8").splitlines():
            for item in json.loads(line)["tools"]:
                function = item["function"]
                yield Tool(function["name"], function.get("description", ""), function["parameters"])
