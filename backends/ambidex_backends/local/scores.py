"""Log probabilities of tokens: natural logarithm, raw softmax over float32 logits, before processors and masks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from ambidex.reply import TokenLogprob


@dataclass(frozen=True, slots=True)
class Scorer:
    """`describe` maps an id to its text and bytes; `alternatives` is how many of the best stand beside each token."""

    describe: Callable[[int], tuple[str, bytes]]
    alternatives: int

    def score(self, logits: torch.Tensor, token: int) -> TokenLogprob:
        """The score of `token` after `logits` [V]."""
        logprobs = torch.log_softmax(logits, dim=-1)
        best = torch.topk(logprobs, min(self.alternatives, logprobs.shape[-1]))
        top = tuple(
            TokenLogprob(*self.describe(id), id, value)
            for id, value in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        )
        return TokenLogprob(*self.describe(token), token, float(logprobs[token]), top)
