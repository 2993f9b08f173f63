"""How the engine of one model runs; `LocalBackend` takes these by the same names."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from ambidex.decoding import check_integer
from ambidex.errors import InvalidRequest

LONGEST = sys.float_info.max
"""Seconds; what is more is no number of seconds."""


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Checked when made. Raises `InvalidRequest`.

    max_batch       requests that are answered at the same time; others wait for their turn
    max_queue       requests that may wait; more are refused with `Overloaded`
    prefill_tokens  ids of prompts that are computed in one step, shared by the requests whose prompts are not done
    reader_timeout  seconds after which an answer whose reader is behind and takes nothing more ends in `ReaderStalled`
    deterministic   the same tokens for a request whatever runs beside it and whatever is cached, in every dtype
    """

    max_batch: int = 16
    max_queue: int = 256
    prefill_tokens: int = 512
    reader_timeout: float = 60.0
    deterministic: bool = False

    def __post_init__(self) -> None:
        check_integer(self.max_batch, "max_batch", at_least=1)
        check_integer(self.max_queue, "max_queue", at_least=1)
        check_integer(self.prefill_tokens, "prefill_tokens", at_least=1)
        seconds = self.reader_timeout
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds <= LONGEST:
            raise InvalidRequest(f"reader_timeout must be a finite number of seconds above 0, got {seconds!r}.")
        if not isinstance(self.deterministic, bool):
            raise InvalidRequest(f"deterministic must be True or False, got {self.deterministic!r}.")
