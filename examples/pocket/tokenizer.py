"""Stage 1: a byte-level BPE tokenizer (Sennrich and others 2016) trained on the generated dialogues.

BPE begins with single bytes and joins the most frequent pair of neighbours into a new token, again and again, until the
vocabulary is full: frequent words are one token, rare ones several, and any text can be written.

A small model copies a name from the user's words into a tool call by repeating token ids. That only works when the
name has the *same* ids in both places, so the text is cut before BPE into pieces that do not depend on what stands
around them: runs of letters (cut at camelCase borders), single digits, single spaces and single signs. A few runs of
JSON punctuation that the model writes all the time are pieces of their own, which keeps a tool call short.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

CONTEXT = 1024  # positions that the model takes; it is trained on rows of 384 (dataset.py) and stretched (model.py)
VOCABULARY = 2304
END_OF_TEXT, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
TEMPLATE = Path(__file__).resolve().parent / "chat_template.jinja"
# Ordinary tokens and not control tokens: a parser, and a reader of streamed text, has to see them.
MARKS = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<tools>", "</tools>")

PIECES = "|".join(
    [
        r'\{"name": "',  # the fixed frame of a tool call ...
        r'", "arguments": \{',
        r'": "',  # ... and the joints between keys and values
        r'", "',
        r'": \["',
        r'": ',
        r', "',
        r'"\}\}',
        r"\}\}",
        r"\): ",
        r"\n# ",  # before the description of a tool
        r": ",
        r", ",
        r"\p{Lu}?\p{Ll}+",  # a word, cut at camelCase borders
        r"\p{Lu}+(?!\p{Ll})",
        r"\p{L}+",
        r"\p{N}",  # every digit alone
        r"\s",  # every space alone
        r"[^\s\p{L}\p{N}]",  # every sign alone
    ]
)


def train_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """Train the tokenizer on ``texts`` and attach the chat template."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(MARKS),
        min_frequency=2,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[END_OF_TEXT, START, END],
    )
    core.train_from_iterator(texts, trainer)
    core.add_tokens([AddedToken(mark, special=False, normalized=False) for mark in MARKS])
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token=END,
        pad_token=END_OF_TEXT,
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
        chat_template=TEMPLATE.read_text(encoding="utf-8"),
    )


def letter_pieces(tokenizer: PreTrainedTokenizerFast) -> list[str]:
    """The tokens that are two or more plain letters, in a fixed order."""
    return sorted(token for token in tokenizer.get_vocab() if len(token) > 1 and token.isascii() and token.isalpha())
