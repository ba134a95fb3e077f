"""File-like objects for demuxers: a Protocol for sequential reading, and bytes chained in front of a file."""

from __future__ import annotations

from typing import Protocol


class Readable(Protocol):
    """A file that is open for sequential reading."""

    def read(self, size: int, /) -> bytes:
        """Return 1 to `size` bytes; b"" only at the end of the file."""


class ChainedReader:
    """Bytes that were read already, then the rest of their file. It cannot seek."""

    def __init__(self, start: bytes, rest: Readable) -> None:
        self._start = start
        self._rest = rest

    def read(self, size: int, /) -> bytes:
        """Return 1 to `size` bytes; b"" only at the end of the file."""
        # A short read is allowed, so the two parts are never joined: that would copy the rest.
        if not self._start:
            return self._rest.read(size)
        part, self._start = self._start[:size], self._start[size:]
        return part
