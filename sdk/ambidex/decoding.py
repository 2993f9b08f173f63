"""How the next token is picked: `Greedy`, `Sampling`, `Beams`. Checked when made.

A field left at None means the default of the model (its generation config) or server. A backend that cannot
honour a field that is set raises `Unsupported` before the call.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, cast

from .errors import InvalidRequest
from .option_names import refuses_unknown_options

LogitsProcessor: TypeAlias = Callable[[Any, Sequence[int]], Any]
"""`(logits, seen) -> logits`: float32 scores `[V]` of the next token, and the ids so far (prompt and new)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Decoding:
    """What all strategies share.

    contrast            >= 0; 0 is off. Prefers, of the likely tokens, those that a smaller model finds less likely:
                        (1 + contrast) times the scores, after penalties, biases and bans, less contrast times its
                        (contrastive decoding, 2309.09117); local backends with a draft model only
    repetition_penalty  > 0; 1 is off. Divides positive and multiplies negative logits of seen ids (CTRL, 1909.05858)
    frequency_penalty   -2 to 2; subtracted once per earlier occurrence in the answer (OpenAI's definition)
    presence_penalty    -2 to 2; subtracted once if the id occurs in the answer (OpenAI's definition)
    logit_bias          token id -> -100 to 100, added to its logit
    banned              texts that must not occur in the answer
    no_repeat_ngram     no n-gram of this many tokens occurs twice
    min_tokens          no end of sequence before this many tokens
    processors          functions `(logits, seen) -> logits`, applied last, in order; local backends only
    """

    contrast: float | None = None
    repetition_penalty: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logit_bias: Mapping[int, float] | None = None
    banned: tuple[str, ...] = ()
    no_repeat_ngram: int | None = None
    min_tokens: int | None = None
    processors: tuple[LogitsProcessor, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        check_number(self.contrast, "contrast", at_least=0.0)
        check_number(self.repetition_penalty, "repetition_penalty", above=0.0)
        check_number(self.frequency_penalty, "frequency_penalty", at_least=-2.0, at_most=2.0)
        check_number(self.presence_penalty, "presence_penalty", at_least=-2.0, at_most=2.0)
        check_integer(self.no_repeat_ngram, "no_repeat_ngram", at_least=1)
        check_integer(self.min_tokens, "min_tokens", at_least=0)
        if self.logit_bias is not None:
            if not isinstance(self.logit_bias, Mapping):
                raise InvalidRequest("logit_bias takes a mapping from token id to a number.", param="logit_bias")
            for token, bias in self.logit_bias.items():
                check_integer(token, "a key of logit_bias (a token id)", at_least=0)
                check_number(bias, f"logit_bias[{token}]", at_least=-100.0, at_most=100.0)
        object.__setattr__(self, "banned", checked_texts(self.banned, "banned"))
        processors = several(self.processors, callable)
        if processors is None:
            raise InvalidRequest("processors takes functions (logits, seen) -> logits.", param="processors")
        object.__setattr__(self, "processors", processors)


@refuses_unknown_options()
@dataclass(frozen=True, slots=True)
class Greedy(_Decoding):
    """Always the token with the highest score after the processors."""


@refuses_unknown_options()
@dataclass(frozen=True, slots=True)
class Sampling(_Decoding):
    """Draw from the distribution after penalties, contrast, temperature, top-k, top-p, min-p, typical-p, in this order.

    temperature  >= 0; 0 is greedy
    top_k        >= 0; only the k best; 0 is off
    top_p        (0, 1]; the smallest set whose mass reaches p (nucleus, 1904.09751)
    min_p        [0, 1]; only tokens with at least p times the best one's probability (2407.01082)
    typical_p    (0, 1]; locally typical sampling (2202.00666)
    seed         the same seed gives the same answer, whatever else runs
    """

    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    typical_p: float | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        _Decoding.__post_init__(self)
        check_number(self.temperature, "temperature", at_least=0.0)
        check_integer(self.top_k, "top_k", at_least=0)
        check_number(self.top_p, "top_p", above=0.0, at_most=1.0)
        check_number(self.min_p, "min_p", at_least=0.0, at_most=1.0)
        check_number(self.typical_p, "typical_p", above=0.0, at_most=1.0)
        check_integer(self.seed, "seed", at_least=0, at_most=2**63 - 1)


@refuses_unknown_options()
@dataclass(frozen=True, slots=True)
class Beams(_Decoding):
    """Beam search: the `width` best continuations are kept at each step.

    width              >= 1
    length_penalty     scores are divided by length ** length_penalty; 1 if not given
    early_stopping     True: stop as soon as `width` finished candidates exist; False (if not given): when no beam of
                       the present length could come before them; "never": when no beam of any length could
    groups             diverse beam search in this many groups (1610.02424); divides `width`
    diversity_penalty  subtracted from an id's score for each beam of an earlier group that chose it at the same step;
                       0.5 if not given
    """

    width: int = 4
    length_penalty: float | None = None
    early_stopping: bool | Literal["never"] | None = None
    groups: int | None = None
    diversity_penalty: float | None = None

    def __post_init__(self) -> None:
        _Decoding.__post_init__(self)
        check_integer(self.width, "width", at_least=1)
        check_number(self.length_penalty, "length_penalty")
        if self.early_stopping not in (None, True, False, "never"):
            raise InvalidRequest(
                f"early_stopping takes True, False or 'never', got {self.early_stopping!r}.", param="early_stopping"
            )
        check_integer(self.groups, "groups", at_least=1)
        check_number(self.diversity_penalty, "diversity_penalty", at_least=0.0)
        if self.groups is not None and self.width % self.groups:
            raise InvalidRequest(
                f"groups must divide width: {self.width} beams in {self.groups} groups.", param="groups"
            )


Decoding: TypeAlias = Greedy | Sampling | Beams


def check_number(
    value: object,
    name: str,
    *,
    at_least: float = -math.inf,
    above: float = -math.inf,
    at_most: float = math.inf,
) -> None:
    """Raises `InvalidRequest` unless `value` is None or a finite number in the range."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise InvalidRequest(f"{name} takes a finite number, got {value!r}.", param=name)
    if value < at_least or value <= above or value > at_most:
        bounds = [
            f"at least {at_least:g}" if at_least > -math.inf else "",
            f"more than {above:g}" if above > -math.inf else "",
            f"at most {at_most:g}" if at_most < math.inf else "",
        ]
        raise InvalidRequest(f"{name} must be {' and '.join(filter(None, bounds))}, got {value!r}.", param=name)


def checked_texts(value: object, name: str) -> tuple[str, ...]:
    """One text or several as a tuple; None is none. Raises `InvalidRequest` for anything else."""
    texts = several(value, lambda item: isinstance(item, str))
    if texts is None or not all(texts):
        raise InvalidRequest(f"{name} takes one non-empty text or several.", param=name)
    return texts


def several(value: object, is_one: Callable[[object], bool]) -> tuple[Any, ...] | None:
    """What is given one by one or in a sequence as a tuple, empty for None; None if anything else is among it."""
    if is_one(value):
        return (value,)
    if value is not None and not isinstance(value, Iterable):
        return None
    items = tuple(cast("Iterable[Any]", value or ()))
    return items if all(map(is_one, items)) else None


def check_integer(value: object, name: str, *, at_least: int, at_most: int | None = None) -> None:
    """Raises `InvalidRequest` unless `value` is None or a whole number in the range."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidRequest(f"{name} takes a whole number, got {value!r}.", param=name)
    if value < at_least or (at_most is not None and value > at_most):
        limit = "" if at_most is None else f" and at most {at_most}"
        raise InvalidRequest(f"{name} must be at least {at_least}{limit}, got {value!r}.", param=name)
