"""A response's body as it comes: decompressed in bounded pieces, counted, refused beyond its limit. No I/O."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from ambidex.errors import LimitExceeded, MalformedResponse, ProtocolError

MAX_ERROR_BYTES = 1024 * 1024
MAX_PLAIN_BYTES = 32 * 1024 * 1024
MAX_STREAM_BYTES = 256 * 1024 * 1024
"""Of one streamed answer in all; one event of it is limited in `sse.py`."""

_PIECE = 64 * 1024


class Content:
    """`feed` each chunk of the raw body; gives the plain bytes. Limits count what comes out, not what came in."""

    def __init__(self, encoding: str, limit: int) -> None:
        encoding = encoding.strip().lower()
        if encoding not in ("", "identity", "gzip"):
            raise ProtocolError(f"The server compressed its answer as {encoding[:40]!r}, which was not asked for.")
        self._inflater = zlib.decompressobj(16 + zlib.MAX_WBITS) if encoding == "gzip" else None
        self._limit = limit
        self._size = 0

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The next plain pieces. Raises `LimitExceeded`, `MalformedResponse`."""
        for piece in self._plain(chunk):
            self._size += len(piece)
            if self._size > self._limit:
                raise LimitExceeded(
                    f"The answer is larger than {self._limit} bytes; reading stopped.",
                    name="body_bytes",
                    limit=self._limit,
                )
            yield piece

    def _plain(self, chunk: bytes) -> Iterator[bytes]:
        if self._inflater is None:
            yield chunk
            return
        while not self._inflater.eof:
            try:
                piece = self._inflater.decompress(chunk, _PIECE)
            except zlib.error:
                raise MalformedResponse("The answer says that it is gzip, but it is not.") from None
            if not piece:  # there was room for more, so all of the chunk is used up
                return
            yield piece
            chunk = self._inflater.unconsumed_tail
