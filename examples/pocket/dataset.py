"""Turn families of dialogues into rows of token ids without padding, and remember what has to be learnt.

A family (``data.py``) is a common beginning, its system message with the tools, and several dialogues that go on from
it. In a row the beginning stands once and the dialogues stand after it, side by side; ``branch`` says which one a token
belongs to (0: the beginning), ``position`` counts as if every dialogue stood alone. A row holds several families;
``family`` tells them apart. What a token may see follows from these numbers (``model.py``). So a family with two dialogues
becomes::

    ids       <system and tools> <first dialogue> <second dialogue>
    branch     0 0 0 0 0 0 0 0    1 1 1 1 1 1      2 2 2 2 2 2 2
    position   0 1 2 3 4 5 6 7    8 9 10 ...       8 9 10 ...
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from transformers import PreTrainedTokenizerFast

from .offered import Dialogue
from .tokenizer import END, END_OF_TEXT, START

Array = npt.NDArray[np.int16]
LENGTH = 384  # of a row. Attention costs the square of it; one dialogue in fifty is longer with its tools, and left out


def render(tokenizer: PreTrainedTokenizerFast, dialogue: Dialogue) -> str:
    """The dialogue as text, written by the chat template."""
    return str(tokenizer.apply_chat_template(dialogue["messages"], tools=dialogue["tools"] or None, tokenize=False))


def assistant_mask(ids: Array, start: int, end: int, assistant: int) -> npt.NDArray[np.bool_]:
    """True for every token the assistant has to write, including the ``<|im_end|>`` with which it stops."""
    mask = np.zeros(len(ids), dtype=np.bool_)
    ends = np.flatnonzero(ids == end)
    for begin in np.flatnonzero(ids == start):
        if ids[begin + 1] == assistant:
            stop = ends[np.searchsorted(ends, begin)]
            mask[begin + 3 : stop + 1] = True  # skip <|im_start|>, "assistant" (one token: Encoder) and the newline
    return mask


@dataclass
class Piece:
    """A common beginning and the dialogues that share it, encoded. ``wanted`` marks what is learnt."""

    ids: Array
    branch: Array
    position: Array
    wanted: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.ids)


class Encoder:
    """Encodes families into pieces of at most ``length`` tokens. With ``everything`` every token is wanted.

    :raises ValueError: if the tokenizer has no token of its own for "assistant", by which its turns are found.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, length: int, *, everything: bool = False) -> None:
        self.tokenizer, self.length, self.everything = tokenizer, length, everything
        self.start, self.end = (tokenizer.get_vocab()[token] for token in (START, END))
        self.assistant, *rest = tokenizer.encode("assistant")
        if rest:
            raise ValueError('the tokenizer cuts "assistant" in pieces; it has to be trained on more dialogues.')

    def encode(self, texts: list[str]) -> list[Array]:
        """Token ids of ``texts``."""
        encoded = self.tokenizer.backend_tokenizer.encode_batch(texts)
        return [np.array(encoding.ids, dtype=np.int16) for encoding in encoded]

    def pieces(self, family: list[Dialogue]) -> Iterator[Piece]:
        """The pieces of one family. Dialogues that are too long are left out."""
        texts = [render(self.tokenizer, dialogue) for dialogue in family]
        head = ""
        if texts[0].startswith(f"{START}system"):
            head = texts[0][: texts[0].index(f"{END}\n") + len(f"{END}\n")]
        beginning, *dialogues = self.encode([head, *(text.removeprefix(head) for text in texts)])
        room = self.length - len(beginning)
        groups: list[list[Array]] = []
        for ids in sorted(dialogues, key=len, reverse=True):
            if len(ids) > room:
                continue
            # Without tools there is little to share: alone, these short dialogues fill the gaps that others leave.
            fits = (g for g in groups if sum(map(len, g)) + len(ids) <= room and family[0]["tools"])
            group = next(fits, None)
            if group is None:
                groups.append(group := [])
            group.append(ids)
        yield from (self.piece(beginning, group) for group in groups)

    def alone(self, text: str) -> Piece:
        """A text that shares its beginning with nothing, to be learnt as a whole."""
        ids = self.encode([text + END_OF_TEXT])[0][: self.length]
        count = len(ids)
        position = np.arange(count, dtype=np.int16)
        return Piece(ids, np.zeros(count, dtype=np.int16), position, np.ones(count, dtype=np.bool_))

    def piece(self, beginning: Array, dialogues: list[Array]) -> Piece:
        """Dialogues side by side after their common beginning."""
        parts = [beginning, *dialogues]
        starts = [0, *(len(beginning) for _ in dialogues)]
        # With everything, the first token of a beginning is learnt from what happens to stand before it in the row. That is
        # one wanted token in 140, and none while fine-tuning; it stays, since the weights in the box were made so.
        masks = [np.zeros(len(beginning), dtype=np.bool_) | self.everything]
        for ids in dialogues:
            mask = (
                np.ones(len(ids), np.bool_)
                if self.everything
                else assistant_mask(ids, self.start, self.end, self.assistant)
            )
            mask[0] = False  # what would predict it is the beginning, which stands elsewhere
            masks.append(mask)
        return Piece(
            np.concatenate(parts),
            np.concatenate([np.full(len(ids), number, dtype=np.int16) for number, ids in enumerate(parts)]),
            np.concatenate([np.arange(len(ids), dtype=np.int16) + at for ids, at in zip(parts, starts, strict=True)]),
            np.concatenate(masks),
        )


@dataclass
class Rows:
    """Packed rows, each array of the shape (rows, length); ``family`` is -1 where a row is empty."""

    ids: Array
    family: Array
    branch: Array
    position: Array
    wanted: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.ids)


def pack(pieces: Iterable[Piece], length: int, pad: int) -> Rows:
    """Put pieces into as few rows of ``length`` tokens as a simple rule can: longest first, into the fullest row that
    has room (best-fit decreasing). What is left of a row is filled with ``pad``."""
    free: list[list[int]] = [[] for _ in range(length + 1)]  # rows by the room they have left
    rows: list[list[Piece]] = []
    for piece in sorted(pieces, key=len, reverse=True):
        room = next((room for room in range(len(piece), length) if free[room]), None)
        if room is None:
            rows.append([])
            number, room = len(rows) - 1, length
        else:
            number = free[room].pop()
        rows[number].append(piece)
        free[room - len(piece)].append(number)
    shape = (len(rows), length)
    packed = Rows(
        np.full(shape, pad, dtype=np.int16),
        np.full(shape, -1, dtype=np.int16),
        np.zeros(shape, dtype=np.int16),
        np.zeros(shape, dtype=np.int16),
        np.zeros(shape, dtype=np.bool_),
    )
    for number, row in enumerate(rows):
        at = 0
        for which, piece in enumerate(row):
            here = slice(at, at + len(piece))
            packed.ids[number, here], packed.family[number, here] = piece.ids, which
            packed.branch[number, here], packed.position[number, here] = piece.branch, piece.position
            packed.wanted[number, here] = piece.wanted
            at += len(piece)
    return packed
