"""What chat templates need of a tokenizer, and the one of the `tokenizers` library behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from .errors import CorruptWeights, MissingExtra, ModelNotFound, TemplateError

if TYPE_CHECKING:
    import tokenizers


class Encoded(NamedTuple):
    """Ids and, for each, the characters `[start, end)` of the text that it stands for."""

    ids: list[int]
    offsets: list[tuple[int, int]]


class Tokenizer(Protocol):
    """Text to ids and back. Nothing is ever added to a text: a template writes its own beginning."""

    @property
    def control(self) -> Mapping[str, int]:
        """Control tokens: spelling to id."""
        ...

    def encode(self, text: str) -> Encoded:
        """Spellings of control tokens become control tokens."""
        ...

    def encode_parts(self, parts: Sequence[tuple[str, bool]]) -> Encoded:
        """`parts` make up one text; those flagged are the spelling of one control token each, and only those become
        one. Raises `TemplateError` if a control token arises all the same."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Control tokens are spelled out."""
        ...


class HFTokenizer:
    """A `tokenizers.Tokenizer`; of a transformers tokenizer it is the `backend_tokenizer`.

    Control tokens are all added tokens but those that are ordinary text (only space, letters and digits) and not
    special. That includes tags such as `<tool_call>`, which many models have as added, not special tokens.
    """

    def __init__(self, tokenizer: tokenizers.Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._added = {
            token.content: (id, token)
            for id, token in sorted(tokenizer.get_added_tokens_decoder().items())
            if token.special
            or (not token.content.replace("▁", "").replace(" ", "a").isalnum() and token.content.strip())
        }
        self.control: Mapping[str, int] = {spelling: id for spelling, (id, _) in self._added.items()}

    @classmethod
    def from_file(cls, file: Path) -> HFTokenizer:
        """The tokenizer in a tokenizer.json. Raises `ModelNotFound`, `CorruptWeights`, `MissingExtra`."""
        try:
            import tokenizers
        except ImportError:
            raise MissingExtra("Tokenizers need the package tokenizers: pip install 'ambidex[local]'.") from None
        if not file.is_file():
            raise ModelNotFound(f"{file.parent} has no {file.name}, so its text cannot be made into tokens.")
        try:
            return cls(tokenizers.Tokenizer.from_file(str(file)))
        except Exception as problem:  # the library raises plain Exception
            raise CorruptWeights(f"{file.name} in {file.parent} cannot be read: {problem}") from None

    def encode(self, text: str) -> Encoded:
        encoded = self._tokenizer.encode(text, add_special_tokens=False)
        return Encoded(encoded.ids, encoded.offsets)

    def encode_plain(self, text: str) -> list[int]:
        """Ids of a text in which spellings of control tokens stay text."""
        return self.encode_parts([(text, False)]).ids

    def encode_parts(self, parts: Sequence[tuple[str, bool]]) -> Encoded:
        ids: list[int] = []
        offsets: list[tuple[int, int]] = []
        at = 0
        strip_next = False
        for i, (text, is_control) in enumerate(parts):
            start, end = 0, len(text)
            if is_control:
                id, token = self._added[text]
                ids.append(id)
                offsets.append((at, at + end))
                strip_next = token.rstrip
            else:
                if strip_next:
                    start = end - len(text.lstrip())
                if i + 1 < len(parts) and parts[i + 1][1] and self._added[parts[i + 1][0]][1].lstrip:
                    end = max(start, len(text.rstrip()))
                piece = self._plain(text[start:end], begins=at == 0)
                ids += piece.ids
                offsets += [(at + start + a, at + start + b) for a, b in piece.offsets]
                strip_next = False
            at += len(text)
        return Encoded(ids, offsets)

    def decode(self, ids: Sequence[int]) -> str:
        return self._tokenizer.decode(list(ids), skip_special_tokens=False)

    def _plain(self, text: str, *, begins: bool) -> Encoded:
        """Without control tokens; `begins` where some tokenizers put a space before the text."""
        encoded = (self._without_control if begins else self._without_control_inside).encode(
            text, add_special_tokens=False
        )
        if not self._forbidden.isdisjoint(encoded.ids):
            return self._letter_by_letter(text, begins=begins)
        return Encoded(encoded.ids, encoded.offsets)

    def _letter_by_letter(self, text: str, *, begins: bool) -> Encoded:
        """For a model whose own vocabulary can spell a control token: such a spelling is cut after its first letter."""
        for spelling in self.control:
            at = text.find(spelling)
            if at >= 0 and len(spelling) > 1:
                cut = at + 1
                head = self._plain(text[:cut], begins=begins)
                tail = self._plain(text[cut:], begins=False)
                return Encoded(head.ids + tail.ids, head.offsets + [(a + cut, b + cut) for a, b in tail.offsets])
        raise TemplateError(
            "The tokenizer makes a control token of plain text, so this text cannot be kept apart from it."
        )

    @cached_property
    def _forbidden(self) -> frozenset[int]:
        unknown = getattr(self._tokenizer.model, "unk_token", None)
        return frozenset(id for spelling, id in self.control.items() if spelling != unknown)

    @cached_property
    def _without_control(self) -> Any:
        """The same model, without the added tokens that are control tokens."""
        import tokenizers

        plain = cast(Any, tokenizers).Tokenizer(self._tokenizer.model)
        if self._tokenizer.normalizer is not None:
            plain.normalizer = self._tokenizer.normalizer
        if self._tokenizer.pre_tokenizer is not None:
            plain.pre_tokenizer = self._tokenizer.pre_tokenizer
        added = self._tokenizer.get_added_tokens_decoder()
        plain.add_tokens([token for _, token in sorted(added.items()) if token.content not in self._added])
        return plain

    @cached_property
    def _without_control_inside(self) -> Any:
        """For text that follows other text: without the space that only the first piece of a text is given."""
        import tokenizers

        pre_tokenizer = self._tokenizer.pre_tokenizer
        if pre_tokenizer is None or b'"prepend_scheme":"first"' not in pre_tokenizer.__getstate__():
            return self._without_control
        spec = self._without_control.to_str().replace('"prepend_scheme": "first"', '"prepend_scheme":"first"')
        return cast(Any, tokenizers).Tokenizer.from_str(
            spec.replace('"prepend_scheme":"first"', '"prepend_scheme":"never"')
        )
