"""A response's body as it comes: decompressed in bounded pieces, counted, refused beyond its limit. No I/O."""

from __future__ import annotations

import codecs
import zlib
from collections.abc import Iterable, Iterator

from ambidex.errors import LimitExceeded, MalformedResponse, ProtocolError

MAX_RATIO = 200
"""Plain bytes per compressed byte. Server-sent events compress to about a fiftieth; a bomb, to a thousandth."""

_RATIO_COUNTS_FROM = 1024 * 1024
_PIECE = 64 * 1024


class Content:
    """`feed` each chunk of the raw body; gives the plain bytes. Limits count what comes out, not what came in."""

    def __init__(self, encoding: str, limit: int) -> None:
        encoding = encoding.strip().lower()
        if encoding not in ("", "identity", "gzip"):
            raise ProtocolError(f"The server compressed its answer as {encoding[:40]!r}, which was not asked for.")
        self._inflater = zlib.decompressobj(16 + zlib.MAX_WBITS) if encoding == "gzip" else None
        self._limit = limit
        self._arrived = 0
        self._size = 0

    def feed(self, chunk: bytes) -> Iterable[bytes]:
        """The next plain pieces. Raises `LimitExceeded`, `MalformedResponse`, at the latest when they are read."""
        if self._inflater is not None:
            return self._inflated(chunk)
        self._count(len(chunk))
        return (chunk,)

    def _count(self, size: int) -> None:
        self._size += size
        if self._size > self._limit:
            raise LimitExceeded(
                f"The answer is larger than {self._limit} bytes; reading stopped.",
                name="body_bytes",
                limit=self._limit,
            )

    def _inflated(self, chunk: bytes) -> Iterator[bytes]:
        self._arrived += len(chunk)
        for piece in self._pieces(chunk):
            self._count(len(piece))
            if self._size > _RATIO_COUNTS_FROM and self._size > MAX_RATIO * self._arrived:
                raise LimitExceeded(
                    f"The answer is compressed to less than a {MAX_RATIO}th, as no real answer is; reading stopped.",
                    name="body_bytes",
                    limit=MAX_RATIO * self._arrived,
                )
            yield piece

    def _pieces(self, chunk: bytes) -> Iterator[bytes]:
        inflater = self._inflater
        assert inflater is not None
        while not inflater.eof:
            try:
                piece = inflater.decompress(chunk, _PIECE)
            except zlib.error:
                raise MalformedResponse("The answer says that it is gzip, but it is not.") from None
            if not piece:  # there was room for more, so all of the chunk is used up
                return
            yield piece
            chunk = inflater.unconsumed_tail


class Utf8:
    """`feed` pieces of bytes; `end` gives the text. Raises `MalformedResponse` for bytes that are no UTF-8."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._pieces: list[str] = []

    def feed(self, piece: bytes, *, final: bool = False) -> None:
        try:
            self._pieces.append(self._decoder.decode(piece, final))
        except UnicodeDecodeError:
            raise MalformedResponse("The answer is no UTF-8 text.") from None

    def end(self) -> str:
        self.feed(b"", final=True)
        return "".join(self._pieces)
