"""What the engine gives out while a request is answered: `Piece`s, then one `End` or error."""

from __future__ import annotations

from dataclasses import dataclass

from ambidex.errors import AmbidexError
from ambidex.reply import FinishReason, Timings, TokenLogprob, Usage


@dataclass(frozen=True, slots=True)
class Piece:
    """One decoding step's outcome: text that became certain (may be empty), and its score if asked for."""

    text: str
    logprob: TokenLogprob | None = None


@dataclass(frozen=True, slots=True)
class End:
    """The answer is whole."""

    reason: FinishReason
    stop_sequence: str | None
    usage: Usage
    timings: Timings


Output = Piece | End | AmbidexError
