"""Ids to text as they come: `Detokenizer`. The pieces concatenated equal the decoding of all ids, exactly.

A piece is given out only when no later id can change it. Three things make that hard: characters whose bytes are
spread over several tokens, byte-fallback runs (one invalid byte turns the whole run into U+FFFD), and decoders that
treat the first token of a text differently. So a window of ids is decoded again at each step: some context before,
then the ids whose text is not certain yet.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence

from ambidex.formats import Quotation

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
CONTEXT = 6
"""Ids of certain text kept in front of the window, so that decoders see a beginning that is not the text's."""

WINDOW = 4 * CONTEXT
"""Ids after which a window whose text is certain is cut down to its context."""

# Spaces that an old clean-up rule of transformers removes when the next characters arrive.
CLEANED = (" .", " ?", " !", " ,", " ' ", " n't", " 'm", " 's", " 've", " 're")


class Detokenizer:
    """Text of the ids that follow `prompt`, piece by piece.

    `decode` maps ids to text; `is_byte` tells byte-fallback ids; `cleans_up` says that `decode` removes spaces
    before punctuation. Ids in `hidden` (control tokens) give no text.
    """

    def __init__(
        self,
        decode: Callable[[Sequence[int]], str],
        prompt: Sequence[int] = (),
        *,
        is_byte: Callable[[int], bool] = lambda _: False,
        hidden: frozenset[int] = frozenset(),
        cleans_up: bool = False,
    ) -> None:
        self._decode = decode
        self._is_byte = is_byte
        self._hidden = hidden
        self._cleans_up = cleans_up
        visible = [token for token in prompt[-256:] if token not in hidden]
        self._window = visible[self._context_start(visible) :]
        self._given = self._decode(self._window)  # the window's text that was given out, or belongs to the prompt

    def fork(self) -> Detokenizer:
        """The same so far, and from here on its own."""
        other = copy.copy(self)
        other._window = list(self._window)
        return other

    def push(self, token: int) -> str:
        """The text that became certain with this id; may be empty."""
        if token in self._hidden:
            return ""
        self._window.append(token)
        text = self._decode(self._window)
        certain = text[: len(text) - self._uncertain(text)]
        piece = self._take(certain)
        if certain == text and len(self._window) > WINDOW and not self._is_byte(token):
            self._window = self._window[self._context_start(self._window) :]
            self._given = self._decode(self._window)
        return piece

    def flush(self) -> str:
        """The rest, when no id follows."""
        return self._take(self._decode(self._window))

    def _take(self, certain: str) -> str:
        """What `certain` has beyond the text given out. A prompt's unfinished character may have become whole."""
        given = len(self._given)
        if not certain.startswith(self._given):
            given = next(
                (index for index, (old, new) in enumerate(zip(self._given, certain, strict=False)) if old != new),
                min(given, len(certain)),
            )
        piece = certain[given:]
        if piece:
            self._given = certain
        return piece

    def _uncertain(self, text: str) -> int:
        """How many characters at the end may still change."""
        if self._is_byte(self._window[-1]):
            start = len(self._window)
            while start > 0 and self._is_byte(self._window[start - 1]):
                start -= 1
            return len(text) - len(self._decode(self._window[:start]))
        if text.endswith(REPLACEMENT):
            return 1
        if self._cleans_up:
            for length in range(min(3, len(text)), 0, -1):
                if any(rule.startswith(text[-length:]) and rule != text[-length:] for rule in CLEANED):
                    return length
        return 0

    def _context_start(self, ids: Sequence[int]) -> int:
        """Where the context of a window that ends with `ids` begins: on a boundary, with some text in it."""
        start = max(0, len(ids) - CONTEXT)
        while start > 0 and (self._is_byte(ids[start]) or not self._decode(ids[start:]).strip(f" {REPLACEMENT}")):
            start -= 1
        return start


class QuotingDetokenizer(Detokenizer):
    """Marks tags that other tokens spell out (`ambidex.formats.Quotation`). `tags`: control tokens' spellings by id."""

    def __init__(
        self,
        decode: Callable[[Sequence[int]], str],
        prompt: Sequence[int],
        *,
        tags: Mapping[int, str],
        is_byte: Callable[[int], bool],
        hidden: frozenset[int],
        cleans_up: bool,
    ) -> None:
        super().__init__(decode, prompt, is_byte=is_byte, hidden=hidden, cleans_up=cleans_up)
        self._tags = tags
        self._quotation = Quotation(tags.values())

    def fork(self) -> QuotingDetokenizer:
        other = copy.copy(self)
        other._window = list(self._window)
        other._quotation = self._quotation.fork()
        return other

    def push(self, token: int) -> str:
        piece = super().push(token)
        spelling = self._tags.get(token)
        if spelling is None or not piece.endswith(spelling):
            return self._quotation.text(piece) if spelling is None else piece
        return self._quotation.text(piece.removesuffix(spelling)) + self._quotation.tag(spelling)

    def flush(self) -> str:
        return self._quotation.text(super().flush())
