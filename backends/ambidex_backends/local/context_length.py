"""How many ids a model takes."""

from __future__ import annotations

from typing import Any


def context_length(config: Any, most: int | None = None) -> int | None:
    """The model's own limit under its several names, or `most` if that is less; None if it has none."""
    text = config.get_text_config(decoder=True)
    names = ("max_position_embeddings", "n_positions", "max_sequence_length", "seq_length", "max_seq_len", "n_ctx")
    named: list[Any] = [getattr(text, name, None) for name in names]
    limits = [value for value in named if isinstance(value, int) and value > 0][:1]
    if most is not None:
        limits.append(most)
    return min(limits, default=None)
