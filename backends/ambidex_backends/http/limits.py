"""What one server may make this process hold. docs/limits.md has all limits, also those that nobody needs to set."""

from __future__ import annotations

from dataclasses import dataclass, fields

from ambidex.decoding import check_integer
from ambidex.errors import AmbidexError, ConfigError

KIB = 1024
MIB = 1024 * KIB


MAX_VALUES = 100_000
"""JSON values in one text: an empty list takes three bytes there, and seventy in memory."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Beyond one of these, reading stops with `LimitExceeded`; its `name` is the name here.

    event_bytes    one line or one event of a stream
    stream_bytes   everything that one streamed answer sends, decompressed
    plain_bytes    an answer that is no stream (what models there are, for instance), decompressed
    error_bytes    the body of an error, decompressed
    answer_bytes   text, reasoning and arguments of one answer, together, as UTF-8
    answer_parts   times that one answer changes between text and reasoning
    tool_calls     in one answer
    scores         log probabilities in one answer that was asked for them, the alternatives to each token included
    """

    event_bytes: int = 8 * MIB
    stream_bytes: int = 256 * MIB
    plain_bytes: int = 8 * MIB
    error_bytes: int = 1 * MIB
    answer_bytes: int = 4 * MIB
    answer_parts: int = 10_000
    tool_calls: int = 128
    scores: int = 1_000_000

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            try:
                check_integer(value, item.name, at_least=1)
            except AmbidexError as problem:
                raise ConfigError(problem.message, param=problem.param) from None
            if value is None:
                raise ConfigError(f"{item.name} takes a whole number, got None.", param=item.name)


DEFAULT_LIMITS = Limits()
