"""The text of an answer while its ids come: certain pieces, up to the first stop sequence."""

from __future__ import annotations

from dataclasses import dataclass

from .detokenizer import Detokenizer
from .stops import StopMatcher


@dataclass(slots=True)
class AnswerText:
    """Ids in, text out."""

    detokenizer: Detokenizer
    stops: StopMatcher

    def push(self, token: int) -> str:
        """What became certain with this id and is not part of a stop sequence."""
        return self.stops.push(self.detokenizer.push(token))

    def flush(self) -> str:
        """The rest, when no id follows."""
        return self.stops.push(self.detokenizer.flush()) + self.stops.flush()

    def fork(self) -> AnswerText:
        """The same so far, and from here on its own."""
        return AnswerText(self.detokenizer.fork(), self.stops.fork())
