"""Loads the draft of a model: another one with the same tokenizer."""

from __future__ import annotations

from ambidex.errors import Unsupported, VocabMismatch

from . import weights
from .context_length import context_length
from .draft_model import DraftModel
from .engine_options import EngineOptions
from .native.model import NativeModel
from .tokenizer import Tokenizer

CACHE_SHARE = 4
"""A draft model keeps prefixes in a quarter of the memory that its model has for them."""


def load_draft(
    name: str, loaded: weights.LoadedModel, engine: EngineOptions, cache_bytes: int, local_files_only: bool | None
) -> DraftModel | None:
    """The draft model of `loaded`; None where `name` is "prompt", and guesses are looked up there.

    Raises `Unsupported`, `VocabMismatch`, and for another model what `weights.load` raises.
    """
    if not loaded.model.can_rewind:
        raise Unsupported("draft: the state of this architecture cannot be cut back to what was right.", param="draft")
    if engine.deterministic and not isinstance(loaded.model, NativeModel):
        raise Unsupported(
            "draft with deterministic=True needs a model that our kernels compute: elsewhere the last bits of scores "
            "depend on how many positions are computed at once.",
            param="draft",
        )
    if name == "prompt":
        return None
    other = weights.load(
        name,
        device=str(loaded.device),
        dtype=str(loaded.dtype).removeprefix("torch."),
        cache_bytes=cache_bytes // CACHE_SHARE,
        local_files_only=local_files_only,
    )
    if not other.model.can_rewind:
        raise Unsupported(f"{name!r} cannot draft: its architecture's state cannot be cut back.", param="draft")
    mine, its = Tokenizer(loaded.tokenizer).vocabulary, Tokenizer(other.tokenizer).vocabulary
    if mine != its:
        different = sum(its.get(text) != id for text, id in mine.items())
        raise VocabMismatch(
            f"{name!r} cannot draft for this model: {different} of its {len(mine)} tokens have other ids there, and "
            f"{len(its)} tokens are there in all. It takes the same tokenizer, as models of one family have."
        )
    return DraftModel(
        other.model,
        loaded.embeddings,
        context_length(other.config),
        repeats_itself=not engine.deterministic or isinstance(other.model, NativeModel),
    )
