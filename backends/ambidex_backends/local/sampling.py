"""From scores to a token: processors, which change the logits, and the draw.

All work on one row of float32 logits [V]. A processor is a function `(logits, seen) -> logits`, where `seen` are the
ids so far. The order is that of transformers: penalties, bans, temperature, top-k, top-p, min-p, typical-p; then the
caller's own processors. The contrast with a smaller model stands behind the bans.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch

from ambidex.decoding import Decoding, Greedy, LogitsProcessor, Sampling
from ambidex.errors import EngineError, InvalidRequest

from .contrast import contrast
from .draft_model import DraftScores
from .native.draw import draw as native_draw
from .noise import drawn, mixed
from .peak import peak

Processor = Callable[[torch.Tensor, Sequence[int]], torch.Tensor]

NEVER = float("-inf")

CONTRAST = "contrast"


@dataclass(frozen=True, slots=True)
class ModelDefaults:
    """What the model's generation config says about decoding; None where it is silent."""

    do_sample: bool = False
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    typical_p: float | None = None
    repetition_penalty: float | None = None
    no_repeat_ngram: int | None = None
    min_tokens: int | None = None
    suppressed: frozenset[int] = frozenset()
    suppressed_at_first: frozenset[int] = frozenset()


class Stage(NamedTuple):
    """A processor by its name; `in_guesses`: whether it is cheap and pure, so that guesses go through it, too."""

    name: str
    process: Processor
    in_guesses: bool = True


class Sampler:
    """Picks the ids of one sequence: its processors in their order, then the draw.

    The draw adds to each score a random number that depends on the key, the position and the id alone, and takes the
    best (the Gumbel-max trick: exactly the softmax's distribution). So a position's token does not depend on how many
    were drawn before, and whoever guesses the scores well guesses the token well (2408.07978).
    """

    def __init__(
        self, stages: Sequence[Stage], key: int | None, prompt_length: int, weaker: DraftScores | None = None
    ) -> None:
        self.stages = tuple(stages)
        self._weaker = weaker
        self._key = key  # None: greedy
        self._prompt_length = prompt_length

    def pick(self, logits: torch.Tensor, seen: Sequence[int]) -> int:
        """The next id, from raw logits [V]. Raises `InvalidRequest` if the processors leave no token."""
        return self.draw(self.shaped(logits, seen), seen)

    def guess(self, logits: torch.Tensor, seen: Sequence[int]) -> int:
        """What `pick` would give, without the caller's own processors, which may count their calls, and `contrast`."""
        return self.draw(self.roughly_shaped(logits, seen), seen)

    def roughly_shaped(self, logits: torch.Tensor, seen: Sequence[int]) -> torch.Tensor:
        """The scores as `guess` sees them."""
        for stage in self.stages:
            if stage.in_guesses:
                logits = stage.process(logits, seen)
        return logits

    def shaped(self, logits: torch.Tensor, seen: Sequence[int]) -> torch.Tensor:
        """The scores after all processors."""
        for stage in self.stages:
            logits = stage.process(logits, seen)
        return logits

    def draw(self, scores: torch.Tensor, seen: Sequence[int]) -> int:
        """The next id, from scores [V] after the processors."""
        if (best := peak(scores)) is None:
            raise InvalidRequest(
                "No token is allowed here: the bans, biases and processors exclude the whole vocabulary."
            )
        if self._key is None:
            return best
        key = mixed(self._key, len(seen) - self._prompt_length)
        fast = native_draw(scores, key)
        return drawn(scores, key) if fast is None else fast

    def without_contrast(self) -> Sampler:
        """For ids that are not chosen, but follow in any case."""
        stages = [stage for stage in self.stages if stage.name != CONTRAST]
        return Sampler(stages, self._key, self._prompt_length)

    def release(self) -> None:
        """The sequence has ended."""
        if self._weaker is not None:
            self._weaker.release()


def make_sampler(
    decoding: Decoding | None,
    defaults: ModelDefaults,
    *,
    prompt_length: int,
    ends: frozenset[int],
    banned: Processor | None = None,
    weaker: DraftScores | None = None,
    choice: int = 0,
) -> Sampler:
    """The sampler for a request: its own fields first, the model's defaults where they are None.

    `weaker`: what `contrast` keeps away from. `choice`: of several answers with one seed each has random numbers of its
    own, whose key is made of the two.
    """
    asked = decoding_or_default(decoding, defaults)
    stages: list[Stage] = []
    if (penalty := _first(asked.repetition_penalty, defaults.repetition_penalty, 1.0)) != 1.0:
        stages.append(Stage("repetition_penalty", repetition_penalty(penalty)))
    frequency, presence = asked.frequency_penalty or 0.0, asked.presence_penalty or 0.0
    if frequency or presence:
        stages.append(Stage("occurrence_penalties", occurrence_penalties(frequency, presence, prompt_length)))
    if asked.logit_bias:
        stages.append(Stage("logit_bias", logit_bias(asked.logit_bias)))
    if size := _first(asked.no_repeat_ngram, defaults.no_repeat_ngram, 0):
        stages.append(Stage("no_repeat_ngram", no_repeat_ngram(int(size))))
    if banned is not None:
        stages.append(Stage("banned", banned))
    if count := int(_first(asked.min_tokens, defaults.min_tokens, 0)):
        stages.append(Stage("min_tokens", min_tokens(count, prompt_length, ends)))
    if ids := defaults.suppressed:
        stages.append(Stage("suppress_tokens", suppressed(ids)))
    if first := defaults.suppressed_at_first:
        stages.append(Stage("begin_suppress_tokens", min_tokens(1, prompt_length, first)))
    if asked.contrast and weaker is not None:
        stages.append(Stage(CONTRAST, contrast(asked.contrast, weaker.after), in_guesses=False))
    key = None
    if isinstance(asked, Sampling):
        temperature = _first(asked.temperature, defaults.temperature, 1.0)
        if temperature > 0.0:
            key = mixed(mixed(secrets.randbits(64) if asked.seed is None else asked.seed, 0), choice)
            stages += _shapers(asked, defaults, temperature)
    for index, processor in enumerate(asked.processors):
        name = getattr(processor, "__name__", type(processor).__name__)
        stages.append(Stage(f"processors[{index}]: {name}", _checked(processor), in_guesses=False))
    return Sampler(stages, key, prompt_length, weaker)


def decoding_or_default(decoding: Decoding | None, defaults: ModelDefaults) -> Decoding:
    """What was asked for, or what the model's generation config says."""
    return decoding if decoding is not None else (Sampling() if defaults.do_sample else Greedy())


def _shapers(asked: Sampling, defaults: ModelDefaults, by: float) -> list[Stage]:
    """What shapes the distribution that is drawn from."""
    shapers: list[Stage] = []
    if by != 1.0:
        shapers.append(Stage("temperature", temperature(by)))
    if count := int(_first(asked.top_k, defaults.top_k, 0)):
        shapers.append(Stage("top_k", top_k(count)))
    if (mass := _first(asked.top_p, defaults.top_p, 1.0)) < 1.0:
        shapers.append(Stage("top_p", top_p(mass)))
    if share := _first(asked.min_p, defaults.min_p, 0.0):
        shapers.append(Stage("min_p", min_p(share)))
    if (mass := _first(asked.typical_p, defaults.typical_p, 1.0)) < 1.0:
        shapers.append(Stage("typical_p", typical_p(mass)))
    return shapers


def repetition_penalty(penalty: float) -> Processor:
    """Scores of ids seen, in prompt or answer: positive ones divided, negative ones multiplied (CTRL, 1909.05858)."""

    def process(logits: torch.Tensor, seen: Sequence[int]) -> torch.Tensor:
        ids = torch.tensor(list(set(seen)), device=logits.device)
        scores = logits[ids]
        return logits.index_put((ids,), torch.where(scores < 0, scores * penalty, scores / penalty))

    return process


def occurrence_penalties(frequency: float, presence: float, prompt_length: int) -> Processor:
    """OpenAI's penalties over the answer: `frequency` per occurrence, `presence` once."""

    def process(logits: torch.Tensor, seen: Sequence[int]) -> torch.Tensor:
        answer = seen[prompt_length:]
        if not answer:
            return logits
        ids, counts = torch.tensor(answer, device=logits.device).unique(return_counts=True)
        return logits.index_put((ids,), logits[ids] - frequency * counts - presence)

    return process


def logit_bias(bias: Mapping[int, float]) -> Processor:
    """A number added to the logit of each id; ids beyond the vocabulary are refused at the first step."""
    ids, values = list(bias), list(bias.values())

    def process(logits: torch.Tensor, seen: Sequence[int]) -> torch.Tensor:
        if max(ids) >= logits.shape[-1]:
            raise InvalidRequest(f"logit_bias has id {max(ids)}, but the vocabulary ends at {logits.shape[-1] - 1}.")
        index = torch.tensor(ids, device=logits.device)
        return logits.index_put((index,), logits[index] + torch.tensor(values, device=logits.device))

    return process


def no_repeat_ngram(size: int) -> Processor:
    """No n-gram of `size` ids occurs twice, prompt included."""

    def process(logits: torch.Tensor, seen: Sequence[int]) -> torch.Tensor:
        last = list(seen[len(seen) - size + 1 :]) if size > 1 else []
        if len(seen) < size:
            return logits
        banned = [seen[end] for end in range(size - 1, len(seen)) if list(seen[end - size + 1 : end]) == last]
        return _without(logits, banned)

    return process


def min_tokens(count: int, prompt_length: int, ends: frozenset[int]) -> Processor:
    """None of `ends` before `count` new ids."""
    banned = sorted(ends)

    def process(logits: torch.Tensor, seen: Sequence[int]) -> torch.Tensor:
        return _without(logits, banned) if len(seen) - prompt_length < count else logits

    return process


def suppressed(ids: frozenset[int]) -> Processor:
    """None of `ids`."""
    banned = sorted(ids)
    return lambda logits, seen: _without(logits, banned)


def temperature(by: float) -> Processor:
    return lambda logits, seen: logits / by


def top_k(count: int) -> Processor:
    """Only the `count` best."""

    def process(logits: torch.Tensor, seen: Sequence[int]) -> torch.Tensor:
        if count >= logits.shape[-1]:
            return logits
        threshold = torch.topk(logits, count).values[-1]
        return logits.masked_fill(logits < threshold, NEVER)

    return process


def top_p(mass: float) -> Processor:
    """The smallest set of best tokens whose probability reaches `mass` (nucleus sampling, 1904.09751)."""

    def process(logits: torch.Tensor, seen: Sequence[int]) -> torch.Tensor:
        ordered, order = logits.sort(descending=True)
        probabilities = torch.softmax(ordered, dim=-1)
        before = probabilities.cumsum(dim=-1) - probabilities
        return _without(logits, order[before >= mass])

    return process


def min_p(share: float) -> Processor:
    """Only tokens with at least `share` of the best one's probability (2407.01082)."""

    def process(logits: torch.Tensor, seen: Sequence[int]) -> torch.Tensor:
        probabilities = torch.softmax(logits, dim=-1)
        return logits.masked_fill(probabilities < share * probabilities.max(), NEVER)

    return process


def typical_p(mass: float) -> Processor:
    """The tokens whose information is nearest to the entropy, until their probability reaches `mass` (2202.00666)."""

    def process(logits: torch.Tensor, seen: Sequence[int]) -> torch.Tensor:
        log_probabilities = torch.log_softmax(logits, dim=-1)
        probabilities = log_probabilities.exp()
        entropy = -(probabilities * log_probabilities.masked_fill(probabilities == 0, 0.0)).sum()
        order = (-log_probabilities - entropy).abs().argsort()
        ordered = probabilities[order]
        before = ordered.cumsum(dim=-1) - ordered
        return _without(logits, order[before >= mass])

    return process


def _without(logits: torch.Tensor, ids: torch.Tensor | Sequence[int]) -> torch.Tensor:
    index = torch.as_tensor(ids, dtype=torch.long, device=logits.device)
    return logits.index_fill(0, index, NEVER) if index.numel() else logits


def _checked(processor: LogitsProcessor) -> Processor:
    """A caller's processor, held to its contract."""

    def process(logits: torch.Tensor, seen: Sequence[int]) -> torch.Tensor:
        try:
            changed = processor(logits.clone(), tuple(seen))
        except BaseException as error:  # nothing of the caller's may end the engine's thread
            raise EngineError(f"A logits processor raised {type(error).__name__}: {error}") from error
        if not isinstance(changed, torch.Tensor) or changed.shape != logits.shape:
            got = f"shape {list(changed.shape)}" if isinstance(changed, torch.Tensor) else type(changed).__name__
            raise EngineError(f"A logits processor must return logits of shape {list(logits.shape)}, got {got}.")
        return changed.float()

    return process


def _first(*values: float | None) -> float:
    return next(value for value in values if value is not None)
