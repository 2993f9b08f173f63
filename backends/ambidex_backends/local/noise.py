"""Random numbers that can be asked for by name: a key and an id give the number, in any order, on any device.

The mixing is SplitMix64's (Steele, Lea, Flood 2014): integers only, so that every machine gets the same bits.
"""

from __future__ import annotations

import torch

GOLDEN = 0x9E3779B97F4A7C15
FIRST = 0xBF58476D1CE4E5B9
SECOND = 0x94D049BB133111EB
WORD = 2**64


def mixed(key: int, item: int) -> int:
    """A key made of a key and a number, both below 2**64."""
    word = (key + (item + 1) * GOLDEN) % WORD
    word = (word ^ (word >> 30)) * FIRST % WORD
    word = (word ^ (word >> 27)) * SECOND % WORD
    return word ^ (word >> 31)


def gumbel(ids: torch.Tensor, key: int) -> torch.Tensor:
    """Standard Gumbel noise in float64, one number for each of the int64 `ids` [n], the same for the same id."""
    uniform = (_shifted(_mixed_tensor(ids, key), 12).double() + 0.5) * 2.0**-52  # never 0, never 1
    return -torch.log(-torch.log(uniform))


def drawn(scores: torch.Tensor, key: int) -> int:
    """One id, with the probabilities of softmax(scores) [V]. The same on every device for the same scores."""
    if scores.device.type != "cuda":
        scores = scores.cpu()  # MPS has no double precision
        ids = (scores > float("-inf")).nonzero().flatten()  # few, after top-k or top-p
        return int(ids[(scores[ids].double() + gumbel(ids, key)).argmax()])
    ids = torch.arange(scores.shape[-1], device=scores.device)
    return int((scores.double() + gumbel(ids, key)).argmax())


def _mixed_tensor(ids: torch.Tensor, key: int) -> torch.Tensor:
    """`mixed(key, id)` for each id, as int64: multiplication wraps around as it does for unsigned words."""
    word = (ids + 1) * _signed(GOLDEN) + _signed(key)
    word = (word ^ _shifted(word, 30)) * _signed(FIRST)
    word = (word ^ _shifted(word, 27)) * _signed(SECOND)
    return word ^ _shifted(word, 31)


def _shifted(word: torch.Tensor, by: int) -> torch.Tensor:
    """To the right, with zeros coming in from the left."""
    shifted: torch.Tensor = (word >> by) & (2 ** (64 - by) - 1)
    return shifted


def _signed(word: int) -> int:
    return word - WORD if word >= WORD // 2 else word
