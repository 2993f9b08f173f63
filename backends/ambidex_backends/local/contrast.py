"""Contrastive decoding: of the tokens that a model finds likely, those are preferred that a smaller one does not."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch

PLAUSIBLE = 0.1
"""Only tokens count that have at least this share of the best one's probability."""


def contrast(
    by: float, weaker: Callable[[Sequence[int]], torch.Tensor]
) -> Callable[[torch.Tensor, Sequence[int]], torch.Tensor]:
    """A processor: `(1 + by) * logits - by * weaker(seen)` of the plausible tokens (2309.09117, section 2).

    What is excluded stays so; what the weaker model does not know, of score -inf there, is excluded too.
    """

    def process(logits: torch.Tensor, seen: Sequence[int]) -> torch.Tensor:
        other = weaker(seen).to(logits.device)
        known = logits.masked_fill(other == -math.inf, -math.inf)
        plausible = (known >= known.max() + math.log(PLAUSIBLE)) & (known > -math.inf)
        return torch.where(plausible, (1 + by) * known - by * other, -math.inf)

    return process
