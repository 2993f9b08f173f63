"""Contrastive decoding: of a model's likely tokens, those are preferred that a smaller model finds less likely."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch

PLAUSIBLE = 0.1
"""Only tokens count that have at least this share of the best one's probability."""


def contrast(
    by: float, weaker: Callable[[Sequence[int]], torch.Tensor]
) -> Callable[[torch.Tensor, Sequence[int]], torch.Tensor]:
    """A processor: log probabilities after `(1 + by) * logits - by * weaker(seen)` (2309.09117, section 2).

    Only plausible tokens are left: of those that are not excluded before, and that the weaker model knows, whose score
    is not -inf there.
    """

    def process(logits: torch.Tensor, seen: Sequence[int]) -> torch.Tensor:
        other = weaker(seen).to(logits.device)
        known = logits.masked_fill(other == -math.inf, -math.inf)
        plausible = (known >= known.max() + math.log(PLAUSIBLE)) & (known > -math.inf)
        scores = torch.where(plausible, (1 + by) * known - by * other, -math.inf)
        return torch.log_softmax(scores, dim=-1) if plausible.any() else scores

    return process
