"""What a model's generation config says about decoding: checked, and what of it is not followed is said."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from ambidex.decoding import check_integer, check_number
from ambidex.errors import InvalidRequest, ModelLoadError

from .sampling import ModelDefaults
from .weights import LoadedModel

CHECKS: dict[str, Callable[[object, str], None]] = {
    "temperature": partial(check_number, at_least=0.0),
    "top_k": partial(check_integer, at_least=0),
    "top_p": partial(check_number, above=0.0, at_most=1.0),
    "min_p": partial(check_number, at_least=0.0, at_most=1.0),
    "typical_p": partial(check_number, above=0.0, at_most=1.0),
    "repetition_penalty": partial(check_number, above=0.0),
    "no_repeat_ngram_size": partial(check_integer, at_least=0),
    "min_new_tokens": partial(check_integer, at_least=0),
    "max_new_tokens": partial(check_integer, at_least=0),
    "max_length": partial(check_integer, at_least=0),
}
"""The fields that are followed, each with the range that a request's has."""

OF_SAMPLING = ("temperature", "top_k", "top_p", "min_p", "typical_p")
"""Nobody reads these of a model that is greedy by default."""

NOT_FOLLOWED: dict[str, object] = {
    "bad_words_ids": None,
    "dola_layers": None,
    "encoder_no_repeat_ngram_size": 0,
    "encoder_repetition_penalty": 1.0,
    "epsilon_cutoff": 0.0,
    "eta_cutoff": 0.0,
    "exponential_decay_length_penalty": None,
    "forced_bos_token_id": None,
    "forced_eos_token_id": None,
    "guidance_scale": 1.0,
    "min_length": 0,
    "num_beams": 1,
    "penalty_alpha": 0.0,
    "sequence_bias": None,
    "stop_strings": None,
    "top_h": None,
    "watermarking_config": None,
}
"""Those that change what `generate` answers and are not, each with the value that is off, as None and nothing are."""

_log = logging.getLogger("ambidex")


def model_defaults(loaded: LoadedModel) -> ModelDefaults:
    """Raises `ModelLoadError` for a value that no request could have. Says in the log what is not followed."""
    generation = loaded.generation
    name = "generation_config.json"
    path = loaded.folder / (name if (loaded.folder / name).is_file() else "config.json")
    values: dict[str, Any] = {}
    ignored: list[str] = []
    for field, check in CHECKS.items():
        value = getattr(generation, field)
        if field == "top_k" and value == -1:
            value = 0  # off, as other engines write it
        try:
            check(value, field)
        except InvalidRequest as error:
            if generation.do_sample or field not in OF_SAMPLING:
                raise ModelLoadError(f"{path}: {error} Correct it there, or take it out.") from None
            ignored.append(field)
            value = None
        values[field] = value
    others = {field: getattr(generation, field, None) for field in NOT_FOLLOWED}
    ignored += [field for field, value in others.items() if value and value != NOT_FOLLOWED[field]]
    if ignored:
        _log.warning(
            "Answers do not follow %s in these: %s. Requests can ask for most of it.", path, ", ".join(ignored)
        )
    known = range(loaded.embeddings)
    return ModelDefaults(
        do_sample=bool(generation.do_sample),
        temperature=values["temperature"],
        top_k=values["top_k"],
        top_p=values["top_p"],
        min_p=values["min_p"],
        typical_p=values["typical_p"],
        repetition_penalty=values["repetition_penalty"],
        no_repeat_ngram=values["no_repeat_ngram_size"],
        min_tokens=values["min_new_tokens"],
        suppressed=token_ids(generation.suppress_tokens, known),
        suppressed_at_first=token_ids(generation.begin_suppress_tokens, known),
    )


def token_ids(value: object, known: range) -> frozenset[int]:
    """A setting that is absent, one id or several; ids that the model does not know are never scored."""
    items = value if isinstance(value, (list, tuple)) else [value]
    return frozenset(item for item in items if isinstance(item, int) and item in known)
