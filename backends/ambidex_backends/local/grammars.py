"""From a `Grammar` to a `Constraint` over one model's tokens, by llguidance (https://github.com/guidance-ai/llguidance).

The vocabulary is handed over once for all models that share it, while one of them is there; a grammar then takes
milliseconds.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from importlib.util import find_spec
from typing import Any

from ambidex.errors import MissingExtra, Unsupported
from ambidex.grammar import Chain, Grammar, Json, Lark, OneOf, Regex, Repeat, Text, Until
from ambidex.output import REFUSED_SCHEMA

from .bounded_schema import bounded
from .choices import ChoiceConstraint
from .closing import Closing
from .constraint import Constraint, GrammarConstraint, Matcher
from .distinct_names import DistinctNames, QuotesOfTokens
from .held_texts import HeldTexts
from .json_openings import openings
from .tokenizer import Tokenizer
from .triggered import Trigger

MAX_TOKEN_BYTES = 512
"""Longer tokens are not offered: llguidance cannot hold much longer ones."""

_JSON_FORM = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""As `json.dumps` and most chat templates write it; free white space would let a model write nothing else."""

_IN_REGEX = {"/": r"\/", "\n": r"\n", "\\\n": r"\n"}
"""What is written otherwise between Lark's slashes."""

_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")
"""Characters that mean something else in a regular expression."""


def is_installed() -> bool:
    """Whether llguidance is there."""
    return find_spec("llguidance") is not None


class Grammars:
    """Makes constraints for one model. Thread-safe."""

    def __init__(self, tokenizer: Tokenizer, ends: frozenset[int], size: int) -> None:
        """`ends`: the ids that end an answer. `size`: how many ids the model scores."""
        self._tokenizer = tokenizer
        self._ends = frozenset(id for id in ends if id < size)
        self._size = size
        self._lock = threading.Lock()

    @property
    def hold_all_forms(self) -> bool:
        """Whether more can be held than a choice of texts: llguidance is there, and a token that ends an answer."""
        return is_installed() and any(id < self._tokenizer.vocab_size for id in self._ends)

    def constraint(self, grammar: Grammar, left: int | None, *, must_fit: bool = True) -> Constraint:
        """Holds what comes to `grammar`; made complete within `left` tokens (None: cut off where they run out, as it is
        without `must_fit` where they are too few).

        Raises `MissingExtra` without llguidance (a choice of texts needs none), `Unsupported` for what it cannot hold,
        `InvalidRequest` where `left` is too little.
        """
        texts = _texts(grammar)
        if texts is not None:
            choices = [self._exactly(text) for text in texts]
            return ChoiceConstraint(choices, min(self._ends, default=None), left if must_fit else None)
        shared = self._shared()
        matcher: Matcher = self._matcher(grammar)
        if before := openings(grammar):
            matcher = DistinctNames(matcher, shared.quotes, before)
        endings = endings_of(grammar)
        tried = sorted(endings | {text.lstrip() for text in endings}, key=len, reverse=True)  # space is often forced
        constraint = GrammarConstraint(
            matcher,
            self._ends,
            shared.closing,
            left,
            endings=[
                (text[:begun].encode(), ids)
                for begun in range(max(map(len, tried), default=0))
                for text in tried
                if (ids := self.ids(text[begun:]))
            ],
            texts=HeldTexts(grammar, self._limited, self._by_byte, shared.closing, self._ends),
            has_plain_pieces=not any(text[-1].isalnum() or text[-1] == " " for text in endings),
            bounds_digits=not isinstance(grammar, (Regex, Lark)),
            must_fit=must_fit,
        )
        if constraint.problem is not None:
            raise self._unwritable(f"The form cannot be held ({constraint.problem}) with this model's tokens")
        return constraint

    def _exactly(self, text: Text | str) -> list[int]:
        """The ids of a text that write it; of one that is data, none is a control token, however it is spelled."""
        ids, spelled = (self._inside(text), text) if isinstance(text, str) else (self.ids(text.text), text.text)
        if self._bytes(ids) != spelled.encode():
            raise self._unwritable(f"{spelled!r} cannot be written with this model's tokens")
        return ids

    def _unwritable(self, what: str) -> Unsupported:
        missing = "".join(each for each in map(chr, range(32, 127)) if self._bytes(self._inside(each)) != each.encode())
        return Unsupported(
            f"{what}{f', which lack {missing}' if missing else ''}. Ask for another form, or use another model.",
            param="output",
            code=REFUSED_SCHEMA,
        )

    def ids(self, text: str) -> list[int]:
        """The ids of a text inside an answer; spellings of control tokens are these tokens."""
        control = self._tokenizer.plain.control
        ids: list[int] = []
        for piece in _split(text, tuple(control)):
            ids += [control[piece]] if piece in control else self._inside(piece)
        return ids

    def trigger(self, text: str) -> Trigger:
        """A text that a form may follow."""
        ids = self.ids(text)
        return Trigger(
            ids, tuple(symbol for id in ids for symbol in self._symbols_of(id)), self._symbols_of, self._by_byte
        )

    def _symbols_of(self, id: int) -> tuple[int, ...]:
        known = self._tokenizer.vocabulary_bytes
        if id in self._control_ids or id >= len(known):
            return (-1 - id,)
        return tuple(known[id])

    @cached_property
    def _control_ids(self) -> frozenset[int]:
        return frozenset(self._tokenizer.plain.control.values())

    def _by_byte(self, data: bytes) -> list[int]:
        return [id for byte in data for id in self._of_byte(byte)]

    def _shared(self) -> VocabularyForForms:
        if not is_installed():
            raise MissingExtra(
                "Answers in a given form (output=, tool_choice='required') need llguidance for a model in this "
                "process: pip install 'ambidex[local]'."
            )
        with self._lock:
            return self._vocabulary_for_forms

    def _matcher(self, grammar: Grammar) -> Any:
        matcher = self._limited(grammar, None)
        if matcher.is_error():
            problem = matcher.get_error().partition("\n<state>")[0].strip()
            raise Unsupported(
                f"The form that was asked for cannot be held: {problem[:500]}. Leave that part out of the schema, or "
                "pass extra={'lenient_schema': True}: then it is only checked afterwards.",
                param="output",
                code=REFUSED_SCHEMA,
            )
        return matcher

    def _limited(self, grammar: Grammar, limit: int | None) -> Any:
        """A matcher, maybe with an error. `limit`: characters that a text may have which is all of the grammar."""
        import llguidance

        written = llguidance.LLMatcher.grammar_from_lark(lark(grammar, self._tokenizer.plain.control, limit))
        return llguidance.LLMatcher(self._shared().guided, written, log_level=0)

    @cached_property
    def _vocabulary_for_forms(self) -> VocabularyForForms:
        """That of any model in this process with the same tokens, or a new one."""
        known = self._tokenizer.vocabulary_bytes
        ends = frozenset(id for id in self._ends if id < len(known))
        if not ends:
            raise Unsupported(
                "This model has no end token, so that no answer in a given form would come to its end. Name one: "
                "eos_token_id in its generation_config.json.",
                param="output",
                code=REFUSED_SCHEMA,
            )
        special = sorted(set(self._tokenizer.plain.control.values()) | ends)
        content = repr((sorted(ends), special, self._size, [*map(len, known)])).encode() + b"".join(known)
        key = hashlib.sha256(content).digest()
        with _known_lock:
            found = _known.get(key)
            if found is None:
                found = _known[key] = VocabularyForForms(self._tokenizer, ends, self._size, self._inside)
        return found

    def _inside(self, text: str) -> list[int]:
        """The ids of a text that follows other text: without the space that some tokenizers put first."""
        wanted = text.encode()
        for before in ("", "\n", ",", "a"):
            start, ids = self._tokenizer.encode(before), self._tokenizer.encode(before + text)
            if ids[: len(start)] == start and self._bytes(ids[len(start) :]) == wanted:
                return ids[len(start) :]
        return self._by_byte(wanted)

    def _bytes(self, ids: Sequence[int]) -> bytes:
        return b"".join(self._tokenizer.vocabulary_bytes[id] for id in ids)

    def _of_byte(self, byte: int) -> list[int]:
        return [self._single_bytes[byte]] if byte in self._single_bytes else []

    @cached_property
    def _single_bytes(self) -> dict[int, int]:
        return {data[0]: id for id, data in enumerate(self._tokenizer.vocabulary_bytes) if len(data) == 1}


class VocabularyForForms:
    """A vocabulary as llguidance takes it, and as `Closing` does: some tenths of a second to make, some megabytes."""

    def __init__(
        self, tokenizer: Tokenizer, ends: frozenset[int], size: int, encode: Callable[[str], list[int]]
    ) -> None:
        import llguidance

        vocabulary: Any = _Vocabulary(tokenizer, ends, encode)
        self.guided: Any = llguidance.LLTokenizer(vocabulary, eos_token=sorted(ends))
        self.closing = Closing(tokenizer.vocabulary_bytes, size)
        self.quotes = QuotesOfTokens(tokenizer.vocabulary_bytes)


_known: weakref.WeakValueDictionary[bytes, VocabularyForForms] = weakref.WeakValueDictionary()
_known_lock = threading.Lock()


class _Vocabulary:
    """What llguidance reads of a tokenizer."""

    is_tokenizer_wrapper = True
    bos_token_id = None

    def __init__(self, tokenizer: Tokenizer, ends: frozenset[int], encode: Callable[[str], list[int]]) -> None:
        special = set(tokenizer.plain.control.values()) | ends
        self.eos_token_id = min(ends)
        self.special_token_ids = sorted(special)
        self.tokens = [
            data if id in special or len(data) <= MAX_TOKEN_BYTES else b""
            for id, data in enumerate(tokenizer.vocabulary_bytes)
        ]
        self._encode = encode

    def __call__(self, text: str | bytes) -> list[int]:
        return self._encode(text if isinstance(text, str) else text.decode())


def lark(grammar: Grammar, control: Mapping[str, int], limit: int | None = None) -> str:
    """A grammar in llguidance's Lark; `control` are the control tokens by their spelling, `limit` the characters that a
    text may have which is all of the grammar. Raises `Unsupported`."""
    return _Lark(control, limit).write(grammar)


class _Lark:
    """Writes a grammar in llguidance's Lark."""

    def __init__(self, control: Mapping[str, int], limit: int | None) -> None:
        self._control = control
        self._limit = limit
        self._rules: list[str] = []
        self._terminals: dict[str, str] = {}  # names by what they are

    def write(self, grammar: Grammar) -> str:
        if isinstance(grammar, Lark):
            return grammar.grammar
        start = self._expression(grammar)
        return "\n".join([f"start: {start}", *self._rules])

    def _expression(self, grammar: Grammar) -> str:
        match grammar:
            case Text(text):
                pieces = _split(text, tuple(self._control))
                written = (
                    f"<[{self._control[piece]}]>" if piece in self._control else json.dumps(piece, ensure_ascii=False)
                    for piece in pieces
                )
                return " ".join(written) or '""'
            case Json(schema, is_checked_later):
                form = {**_JSON_FORM, "lenient": True} if is_checked_later else _JSON_FORM
                held = {**bounded(schema), "x-guidance": form}
                if self._limit is not None:
                    most = held.get("maxLength")
                    held["maxLength"] = min(self._limit, most) if isinstance(most, int) else self._limit
                return self._rule(f"%json {json.dumps(held, ensure_ascii=False)}")
            case Regex(pattern) if self._limit is None:
                return f"/{_in_regex(pattern)}/"
            case Regex(pattern):
                return self._terminal(f"/{_in_regex(pattern)}/ & /(?s:.{{0,{self._limit}}})/")
            case OneOf(options):
                return self._rule(" | ".join(self._expression(option) for option in options))
            case Chain(parts):
                return " ".join(self._expression(part) for part in parts)
            case Repeat(part, separator):
                once = self._rule(self._expression(part))
                return f"{once} ({self._expression(Text(separator))} {once})*" if separator else f"{once}+"
            case Until():
                return self._until(grammar)
            case Lark():
                raise Unsupported(
                    "A Lark grammar stands alone: it cannot be part of another form.",
                    param="output",
                    code=REFUSED_SCHEMA,
                )

    def _until(self, until: Until) -> str:
        """A terminal up to the first control token of the end, then the rest of it."""
        end, *rest = (
            pieces if (pieces := _split(until.end, tuple(self._control)))[0] not in self._control else ["", *pieces]
        )
        held = [f"/{_in_regex(until.pattern)}/"]
        if self._limit is not None:
            held.append(f"/(?s:.{{0,{self._limit}}})/")
        if until.without:
            held.append(f"~/(?s:.*)({'|'.join(map(_escaped, until.without))})(?s:.*)/")
        if not end:
            held.append("/(?s:.+)/")  # a terminal is never empty
        content = self._terminal(" & ".join(held))
        text = self._terminal(f"{content} {json.dumps(end, ensure_ascii=False)}") if end else f"{content}?"
        return f"{text} {self._expression(Text(''.join(rest)))}" if rest else text

    def _terminal(self, body: str) -> str:
        if body not in self._terminals:  # each costs much
            self._terminals[body] = f"TERMINAL_{len(self._terminals)}"
            self._rules.append(f"{self._terminals[body]}: {body}")
        return self._terminals[body]

    def _rule(self, body: str) -> str:
        name = f"rule_{len(self._rules)}"
        self._rules.append(f"{name}: {body}")
        return name


def _in_regex(pattern: str) -> str:
    """A regular expression between Lark's slashes."""
    return re.sub(r"(?s:\\.)|[/\n]", lambda found: _IN_REGEX.get(found[0], found[0]), pattern)


def _escaped(text: str) -> str:
    """A text as a regular expression between Lark's slashes."""
    return _in_regex(_SPECIAL.sub(r"\\\g<0>", text))


def endings_of(grammar: Grammar) -> set[str]:
    """The texts that end a part of the grammar: texts of any length, and chains."""
    match grammar:
        case Until(end):
            return {end} - {""}
        case Chain(parts):
            last = {part.text for part in parts[-1:] if isinstance(part, Text) and not _goes_on(part.text)}
            return last.union(*map(endings_of, parts))
        case OneOf(options):
            return set[str]().union(*map(endings_of, options))
        case Repeat(part):
            return endings_of(part)
        case _:
            return set()


def _goes_on(text: str) -> bool:
    """Whether a text ends nothing, but goes on to something."""
    return text.rstrip()[-1:] in ("", ",", ":", "=", "[", "{", "(")


def _texts(grammar: Grammar) -> list[Text | str] | None:
    """The texts, if it is a choice of texts or of JSON values that are listed; a str is data."""
    match grammar:
        case Text():
            return [grammar]
        case Json(schema) if isinstance(schema.get("enum"), list) or "const" in schema:
            values: list[Any] = schema["enum"] if "enum" in schema else [schema["const"]]
            return [json.dumps(value, ensure_ascii=False) for value in values]
        case Json(schema) if schema.get("type") == "boolean":
            return ["true", "false"]
        case OneOf(options):
            found = [_texts(option) for option in options]
            return None if any(item is None for item in found) else [text for item in found for text in item or ()]
        case _:
            return None


def _split(text: str, control: Sequence[str]) -> list[str]:
    """The text cut at the spellings of control tokens, the longest first."""
    pieces: list[str] = []
    begin = at = 0
    spellings = sorted((spelling for spelling in control if spelling and spelling in text), key=len, reverse=True)
    while at < len(text):
        found = next((spelling for spelling in spellings if text.startswith(spelling, at)), None)
        if found is None:
            at += 1
            continue
        pieces += [text[begin:at], found]
        begin = at = at + len(found)
    return [piece for piece in [*pieces, text[begin:]] if piece]
