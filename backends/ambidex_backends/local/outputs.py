"""What the engine gives out while a request is answered: `Piece`s (and `Traced`), then one `End` or error."""

from __future__ import annotations

from dataclasses import dataclass

from ambidex.errors import AmbidexError
from ambidex.reply import FinishReason, Timings, TokenLogprob, Usage
from ambidex.trace import Trace


@dataclass(frozen=True, slots=True)
class Piece:
    """One decoding step's outcome: text that became certain (may be empty), and its score if asked for."""

    text: str
    logprob: TokenLogprob | None = None
    choice: int = 0


@dataclass(frozen=True, slots=True)
class Traced:
    """What a traced request shows of a step."""

    trace: Trace
    choice: int = 0


@dataclass(frozen=True, slots=True)
class Ending:
    """How one of the answers ended. `score`: of a beam, the higher the better."""

    reason: FinishReason
    stop_sequence: str | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True)
class End:
    """All answers are whole; `endings` in the order of their choices."""

    endings: tuple[Ending, ...]
    usage: Usage
    timings: Timings


Output = Piece | Traced | End | AmbidexError
