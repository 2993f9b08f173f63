"""What goes through the model in one pass."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Rows:
    """S sequences with T ids each, the last ones maybe filled up.

    `packed`: int64 `[S, 3 * T + N]`, one tensor, so that it goes to a device in one piece: ids, positions and slots
    (block * BLOCK + place: where their keys and values go), then the blocks of each sequence.
    """

    packed: torch.Tensor
    length: int

    @property
    def ids(self) -> torch.Tensor:
        """[S, T]"""
        return self.packed[:, : self.length]

    @property
    def positions(self) -> torch.Tensor:
        """[S, T]"""
        return self.packed[:, self.length : 2 * self.length]

    @property
    def slots(self) -> torch.Tensor:
        """[S, T]"""
        return self.packed[:, 2 * self.length : 3 * self.length]

    @property
    def blocks(self) -> torch.Tensor:
        """[S, N]"""
        return self.packed[:, 3 * self.length :]

    def on(self, device: torch.device) -> Rows:
        """A copy there."""
        return Rows(self.packed.to(device, copy=True), self.length)
