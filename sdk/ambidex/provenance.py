"""Whose text is whose in a rendered prompt, so that only the template writes control tokens.

Strategy: what comes from outside (`Untrusted`) goes into the template with each spelling of a control token replaced
by one private-use character, and with a private-use barrier at an end where it could become part of one. After
rendering these are put back; a control token is one only where the template's own text spells it. A second rendering,
with marks around every text, says where each text ended up; it counts only if it is the same but for the marks.
Private-use characters of the texts themselves are replaced too, so that none can pass for ours.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from .errors import TemplateError

_BARRIER = "\U0010fffd"
_END = "\U0010fffc"
CUT = "\U0010fffe "
"""Where a text that is to be continued ends; the space shows whether the template trimmed it."""

_FIRST_START = 0x100000  # marks: plane 16
_MOST_STARTS = 0xFFF0
_FIRST_STAND_IN = 0xF0000  # stand-ins: plane 15
_MOST_STAND_INS = 0xFFF0
_ESCAPED = re.compile(
    r"\\U00(?:0[fF]|10)[0-9a-fA-F]{4}|\\u[dD][bB][89a-fA-F][0-9a-fA-F]\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|%F3%B[0-9A-F]%[89AB][0-9A-F]%[89AB][0-9A-F]|%F4%8[0-9A-F]%[89AB][0-9A-F]%[89AB][0-9A-F]"
)
"""How Python's repr, ASCII-only JSON and addresses write one of them."""

_PRIVATE = re.compile(f"[\U000f0000-\U0010ffff]|{_ESCAPED.pattern}")
_PRIVATE_SPLIT = re.compile("([\U000f0000-\U0010ffff])")
_MARK = re.compile("[\U00100000-\U0010fffc]")
_WORD = re.compile(r"[A-Za-z0-9]{2,8}")
_SPACE = " \t\r\n"


@dataclass(frozen=True, slots=True)
class Untrusted:
    """Text from outside, and where it stood, for instance "messages[2].content"."""

    text: str
    source: str


@dataclass(frozen=True, slots=True)
class Name:
    """A name that was checked to be harmless; followed only to see whether the template wrote it."""

    text: str
    source: str


@dataclass(frozen=True, slots=True)
class Key:
    """A name from outside in data: a key of arguments, a property of a schema. Equal ones stay equal."""

    text: str


@dataclass(frozen=True, slots=True)
class Written:
    """Text that we write in the template's place: ours as str, the rest untrusted."""

    parts: tuple[str | Untrusted | Name | Written, ...]


class Span(NamedTuple):
    """`[start, end)` holds text that came from `source`."""

    start: int
    end: int
    source: str


@dataclass(frozen=True, slots=True)
class Traced:
    """A rendered text. `controls` are the control tokens in it that the template wrote, `forged` says whether there
    are other spellings of some. `spans` are characters; `seen` are the sources that were written, None if unknown."""

    text: str
    controls: tuple[tuple[int, int], ...]
    forged: bool
    spans: tuple[Span, ...]
    seen: Collection[str] | None


class Tracer:
    """Traces texts through renderings, for one set of control tokens."""

    def __init__(self, control: Collection[str]) -> None:
        spelled = "|".join(map(re.escape, sorted(control, key=len, reverse=True))) or "(?!)"
        firsts = "".join({re.escape(spelling[0]) for spelling in control})
        self._control = re.compile(f"(?=[{firsts}])(?:{spelled})" if control else spelled)
        self._replaced = re.compile(f"(?=[{firsts}%\\\\\U000f0000-\U0010ffff])(?:{spelled}|{_PRIVATE.pattern})")
        self._beginnings = frozenset(spelling[:i] for spelling in control for i in range(1, len(spelling)))
        self._endings = frozenset(spelling[i:] for spelling in control for i in range(1, len(spelling)))
        self._longest = max(map(len, control), default=0)
        self._all = "\0".join(control)
        self._firsts = _any_of(spelling[0] for spelling in control)
        self._lasts = _any_of(spelling[-1] for spelling in control)

    def is_spelled_in(self, text: str) -> bool:
        """Whether the text holds a control token, or a character that is kept for our marks."""
        return self._replaced.search(text) is not None

    def trace(self, variables: Mapping[str, Any], render: Callable[[dict[str, Any]], str]) -> Traced:
        """Renders with `variables`, in which `Untrusted`, `Name` and `Written` stand for their text."""
        stand_ins = _StandIns()

        def written(marks: _Marks | None) -> str:
            return _ESCAPED.sub(_unescaped, render(self._realized(variables, stand_ins, marks)))

        plain = written(None)
        best: tuple[str, _Marks] | None = None
        exact = False
        for marks in (_Marks(with_names=True), _Marks(with_names=False)):
            try:
                marked = written(marks)
            except TemplateError:  # the template looks into its texts; the rendering without marks counts
                continue
            exact = _MARK.sub("", marked) == plain and marks.are_balanced_in(marked)
            best = (marked, marks) if exact or best is None else best
            if exact:
                break
        traced = self._put_back(plain, stand_ins, best, exact)
        if traced.controls and not exact:
            self._check_controls(traced, stand_ins, written)
        return traced

    def _check_controls(self, traced: Traced, stand_ins: _StandIns, written: Callable[[_Marks | None], str]) -> None:
        """Where marks change what is written, so that nobody knows whose text is whose: the same control tokens must
        come about when each character of the messages is replaced by one that is part of none."""
        for with_names in (True, False):
            try:
                disguised = written(_Disguise(stand_ins, with_names=with_names))
            except TemplateError:
                continue
            pieces = _PRIVATE_SPLIT.split(disguised)[::2]
            spelled = [found[0] for piece in pieces for found in self._control.finditer(piece)]
            if spelled == [traced.text[start:end] for start, end in traced.controls]:
                return
        raise TemplateError("The chat template makes control tokens out of the messages' own text, which is refused.")

    def _realized(self, value: Any, stand_ins: _StandIns, marks: _Marks | None) -> Any:
        match value:
            case Untrusted(text, source):
                return self._harmless(text, source, stand_ins, marks)
            case Name(text, source):
                return marks.around(text, source) if marks is not None and marks.with_names else text
            case Key(text):
                return self._apart(self._replace(text, stand_ins))
            case Written(parts):
                return "".join(str(self._realized(part, stand_ins, marks)) for part in parts)
            case Mapping():
                items = cast("Mapping[Any, Any]", value).items()
                return {
                    key if isinstance(key, str) else self._realized(key, stand_ins, marks): self._realized(
                        item, stand_ins, marks
                    )
                    for key, item in items
                }
            case list() | tuple():
                return [self._realized(item, stand_ins, marks) for item in cast("Sequence[Any]", value)]
            case _:
                return value

    def _harmless(self, text: str, source: str, stand_ins: _StandIns, marks: _Marks | None) -> str:
        if (known := stand_ins.known.get(text)) is None:
            replaced = self._replace(text, stand_ins)
            core = replaced.strip(_SPACE)
            before, _, after = replaced.partition(core) if core else (replaced, "", "")
            known = stand_ins.known[text] = (before, core, self._apart(core), after)
        before, core, apart, after = known
        if not core or not source:
            return before + core + after
        return before + (apart if marks is None else marks.around(apart, source)) + after

    def _apart(self, text: str) -> str:
        """With a barrier at an end where it could become part of a control token."""
        starts, ends = text[: self._longest], text[-self._longest :]
        inside = len(text) < self._longest and text in self._all
        could_end = self._lasts.search(starts) is not None and any(
            text[:length] in self._endings for length in range(1, len(starts) + 1)
        )
        if inside or (
            self._firsts.search(ends) is not None
            and any(text[-length:] in self._beginnings for length in range(1, len(ends) + 1))
        ):
            text = text + _BARRIER
        return _BARRIER + text if could_end else text

    def _replace(self, text: str, stand_ins: _StandIns) -> str:
        return self._replaced.sub(lambda found: stand_ins.of(found[0]), text)

    def _put_back(self, plain: str, stand_ins: _StandIns, marked: tuple[str, _Marks] | None, exact: bool) -> Traced:
        pieces: list[str] = []
        controls: list[tuple[int, int]] = []
        length = 0
        for i, piece in enumerate(_PRIVATE_SPLIT.split(plain)):
            if i % 2:
                piece = stand_ins.text_of(piece)
            else:
                controls += [(length + found.start(), length + found.end()) for found in self._control.finditer(piece)]
            pieces.append(piece)
            length += len(piece)
        text = "".join(pieces)
        spans = marked[1].spans(marked[0], stand_ins) if marked is not None and exact else ()
        controls = _outside(controls, spans)
        spelled = [found.span() for found in self._control.finditer(text)]
        seen = None if marked is None else marked[1].seen_in(marked[0])
        return Traced(text, tuple(controls), spelled != controls, spans, seen)


class _StandIns:
    """Private-use characters for texts that must not be read as what they spell."""

    def __init__(self) -> None:
        self._characters: dict[str, str] = {}
        self._texts: dict[str, str] = {}
        self.known: dict[str, tuple[str, str, str, str]] = {}
        """Texts that were made harmless: space before, the text, the text with barriers, space after."""

    def of(self, text: str) -> str:
        if text not in self._characters:
            if len(self._characters) >= _MOST_STAND_INS:
                raise TemplateError("The messages hold too many different private-use characters to be kept apart.")
            character = chr(_FIRST_STAND_IN + len(self._characters))
            self._characters[text] = character
            self._texts[character] = text
        return self._characters[text]

    def text_of(self, character: str) -> str:
        """What it stands for; nothing for a barrier."""
        return self._texts.get(character, "")


class _Marks:
    """Marks around the texts of one rendering, whose n-th begins with the n-th start mark."""

    def __init__(self, *, with_names: bool) -> None:
        self.with_names = with_names
        self.sources: list[str] = []
        self._words: list[str] = []

    def around(self, text: str, source: str) -> str:
        if not source or len(self.sources) >= _MOST_STARTS:
            return text
        self.sources.append(source)
        word = _WORD.search(text, 0, 60)
        self._words.append("" if word is None else word[0])
        return chr(_FIRST_START + len(self.sources) - 1) + text + _END

    def seen_in(self, marked: str) -> frozenset[str]:
        """The sources whose text begins somewhere, and goes on for a word: not letter by letter, between others."""
        return frozenset(
            self.sources[ord(mark[0]) - _FIRST_START]
            for mark in _MARK.finditer(marked)
            if mark[0] != _END and self._words[ord(mark[0]) - _FIRST_START] in marked[mark.end() : mark.end() + 100]
        )

    def are_balanced_in(self, marked: str) -> bool:
        """Whether each start is followed by its end, with text between and before the next start."""
        found = list(_MARK.finditer(marked))
        return len(found) % 2 == 0 and all(
            start[0] != _END and end[0] == _END and start.end() < end.start()
            for start, end in zip(found[::2], found[1::2], strict=True)
        )

    def spans(self, marked: str, stand_ins: _StandIns) -> tuple[Span, ...]:
        found: list[Span] = []
        at = start = 0
        source = ""
        for i, piece in enumerate(_PRIVATE_SPLIT.split(marked)):
            if i % 2 == 0:
                at += len(piece)
            elif piece == _END:
                found.append(Span(start, at, source))
            elif _MARK.match(piece):
                start, source = at, self.sources[ord(piece) - _FIRST_START]
            else:
                at += len(stand_ins.text_of(piece))
        return tuple(found)


class _Disguise(_Marks):
    """Every character of a text but its spaces stands behind a private-use character of its own."""

    def __init__(self, stand_ins: _StandIns, *, with_names: bool) -> None:
        super().__init__(with_names=with_names)
        self._stand_ins = stand_ins

    def around(self, text: str, source: str) -> str:
        return "".join(
            letter if letter.isspace() or _PRIVATE_SPLIT.match(letter) else self._stand_ins.of(letter)
            for letter in text
        )


def _any_of(characters: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, sorted(set(characters)))) or "(?!)")


def _unescaped(found: re.Match[str]) -> str:
    if found[0].startswith("%"):
        return bytes.fromhex(found[0].replace("%", "")).decode()
    digits = found[0].removeprefix("\\U").replace("\\u", "")
    if found[0].startswith("\\U"):
        return chr(int(digits, 16))
    return bytes.fromhex(digits).decode("utf-16-be")


def _outside(controls: Sequence[tuple[int, int]], spans: Sequence[Span]) -> list[tuple[int, int]]:
    """The control tokens that no span overlaps; both are in order."""
    kept: list[tuple[int, int]] = []
    i = 0
    for start, end in controls:
        while i < len(spans) and spans[i].end <= start:
            i += 1
        if i == len(spans) or spans[i].start >= end:
            kept.append((start, end))
    return kept
