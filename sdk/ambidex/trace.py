"""What `Request(trace=True)` shows of every decoding step, as values and as JSON of one schema (docs/trace.md).

A `Step` comes for every token, from a model in this process: which tokens were candidates, what each processor made of
them, which was chosen. Beam search gives one for each live beam, with its branches. `Attention` comes at the end,
where `extra={"attention": True}` asks for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

VERSION = 1
"""Of the schema; fields may be added to it, and none is taken away or changes its meaning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A token that could have been next.

    id, text      the token
    probability   under the model's own scores
    after         its probability after each of the step's `stages`, in their order
    removed_by    the first stage that left it no probability; None if it could be chosen to the end
    """

    id: int
    text: str
    probability: float
    after: tuple[float, ...]
    removed_by: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """A token that was guessed ahead of the model, which then picked it (`is_right`) or another one."""

    id: int
    text: str
    is_right: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """What a beam could go on with, one of the best continuations of its group.

    name        of the beam that it becomes; None if it was never made one
    id, text    the token
    score       the sum of the beam's log probabilities
    fate        "live": it goes on; "finished": it ended and is among the best; "pruned": others were better
    """

    name: int | None
    id: int
    text: str
    score: float
    fate: Literal["live", "finished", "pruned"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One decoding step.

    choice        of which answer
    step          its place in the answer, from 0
    stages        what changed the scores, in order: "form" (what the answer is held to), then processors by their names
    candidates    the likeliest tokens before and after the stages, the likeliest before them first
    chosen, text  the token that the answer goes on with; None for a beam, which goes on with several
    is_forced     a form left no other choice, so that the step needs no scores and has no candidates
    entropy       of the model's own distribution, in nats; entropy_after: of the one after the stages
    seconds       since the step before it, or since the answer left the queue
    guess         the token that was guessed for this place, if one was
    beam          which beam the step belongs to; 0 is the prompt
    branches      what the beam went on with
    """

    kind: Literal["step"] = "step"
    choice: int
    step: int
    stages: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    chosen: int | None
    text: str
    is_forced: bool
    entropy: float | None
    entropy_after: float | None
    seconds: float
    guess: Guess | None = None
    beam: int | None = None
    branches: tuple[Branch, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """What each token of an answer was made from: `weights[layer][head][row][position]`, each row's sum is 1.

    Row r belongs to the token at position `start + r` of `ids` and looks back from the one before it.
    """

    kind: Literal["attention"] = "attention"
    choice: int
    ids: tuple[int, ...]
    start: int
    weights: tuple[tuple[tuple[tuple[float, ...], ...], ...], ...]


Trace: TypeAlias = Step | Attention


def to_json(trace: Trace) -> dict[str, Any]:
    """As JSON values; the schema is `schema()`."""
    return {"version": VERSION, **_adapter().dump_python(trace, mode="json")}


def from_json(data: dict[str, Any]) -> Trace:
    """The value that `to_json` was given. Raises `InvalidRequest` for anything else."""
    from pydantic import ValidationError

    from .errors import InvalidRequest

    fields = {name: value for name, value in data.items() if name != "version"}
    try:
        trace: Trace = _adapter().validate_python(fields, strict=False)
    except ValidationError as error:
        raise InvalidRequest(f"This is no trace: {error.errors()[0]['msg']}.") from None
    return trace


def schema() -> dict[str, Any]:
    """The JSON schema of `to_json`, made from the dataclasses."""
    made: dict[str, Any] = _adapter().json_schema(mode="serialization")
    for definition in ("Step", "Attention"):
        made["$defs"][definition]["properties"]["version"] = {"const": VERSION, "type": "integer"}
    return made


def _adapter() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(Trace)
