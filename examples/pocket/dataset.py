"""Turn dialogues into token ids, remember which tokens the assistant wrote, and form batches with little padding."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from transformers import PreTrainedTokenizerFast

from .offered import Dialogue
from .tokenizer import CONTEXT, END, END_OF_TEXT, START


def render(tokenizer: PreTrainedTokenizerFast, dialogue: Dialogue) -> str:
    """The dialogue as text, written by the chat template."""
    return str(tokenizer.apply_chat_template(dialogue["messages"], tools=dialogue["tools"] or None, tokenize=False))


def assistant_mask(ids: np.ndarray, start: int, end: int, assistant: int) -> np.ndarray:
    """1 for every token the assistant has to write, including the ``<|im_end|>`` with which it stops."""
    mask = np.zeros(len(ids), dtype=np.uint8)
    ends = np.flatnonzero(ids == end)
    for begin in np.flatnonzero(ids == start):
        if ids[begin + 1] == assistant:
            stop = ends[np.searchsorted(ends, begin)]
            mask[begin + 3 : stop + 1] = 1  # skip <|im_start|>, "assistant" and the newline
    return mask


@dataclass
class Corpus:
    """Many sequences in one flat array."""

    ids: np.ndarray
    mask: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def save(self, path: Path) -> None:
        """Write the corpus as a safetensors file."""
        save_file({"ids": self.ids, "mask": self.mask, "offsets": self.offsets}, path)

    @classmethod
    def load(cls, path: Path) -> Corpus:
        """Read a corpus."""
        return cls(**load_file(path))


def build_corpus(tokenizer: PreTrainedTokenizerFast, texts: Iterable[str], tokens: int, only_assistant: bool) -> Corpus:
    """Encode ``texts`` until the corpus holds ``tokens`` tokens."""
    start, end, stop = (tokenizer.get_vocab()[token] for token in (START, END, END_OF_TEXT))
    assistant = tokenizer.encode("assistant")[0]
    all_ids: list[np.ndarray] = []
    all_masks: list[np.ndarray] = []
    offsets, total, stream = [0], 0, iter(texts)
    while total < tokens:
        for encoding in tokenizer.backend_tokenizer.encode_batch(list(islice(stream, 2000))):
            ids = np.array(encoding.ids, dtype=np.int16)
            mask = assistant_mask(ids, start, end, assistant) if only_assistant else np.ones(len(ids), dtype=np.uint8)
            if not only_assistant:
                ids, mask = np.append(ids, np.int16(stop)), np.append(mask, np.uint8(1))
            if len(ids) > CONTEXT:
                continue
            all_ids.append(ids)
            all_masks.append(mask)
            total += len(ids)
            offsets.append(total)
    return Corpus(np.concatenate(all_ids), np.concatenate(all_masks), np.array(offsets, dtype=np.int64))


Batch = tuple[torch.Tensor, torch.Tensor]


def batches(corpus: Corpus, tokens: int, seed: int, pad: int, window: int = 4096) -> Iterator[Batch]:
    """Batches of about ``tokens`` tokens; sequences of similar length go together, so that little is padding.

    Padding is on the right. With causal attention the real tokens never see it, so no attention mask is needed.
    """
    rng = random.Random(seed)
    order = list(range(len(corpus)))
    rng.shuffle(order)
    lengths = np.diff(corpus.offsets)
    for begin in range(0, len(order), window):
        group = sorted(order[begin : begin + window], key=lambda i: int(lengths[i]))
        packs: list[list[int]] = [[]]
        for index in group:
            if packs[-1] and (len(packs[-1]) + 1) * int(lengths[index]) > tokens:
                packs.append([])
            packs[-1].append(index)
        rng.shuffle(packs)
        for pack in packs:
            width = int(max(lengths[i] for i in pack))
            ids = np.full((len(pack), width), pad, dtype=np.int64)
            mask = np.zeros((len(pack), width), dtype=bool)
            for row, index in enumerate(pack):
                low, high = corpus.offsets[index], corpus.offsets[index + 1]
                ids[row, : high - low] = corpus.ids[low:high]
                mask[row, : high - low] = corpus.mask[low:high]
            yield torch.from_numpy(ids), torch.from_numpy(mask)
