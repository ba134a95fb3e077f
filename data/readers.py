"""File-like objects that demuxers read in order: a Protocol, and bytes in front of a file."""

from __future__ import annotations

from typing import Protocol


class Readable(Protocol):
    """A file open for reading, in order: less than asked for may come, nothing at its end alone."""

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes."""


class ChainedReader:
    """Bytes that are there already, then a file: to be read, not sought in."""

    def __init__(self, start: bytes, rest: Readable) -> None:
        self._start = start
        self._rest = rest

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes; b"" at the end."""
        if not self._start:
            return self._rest.read(size)
        part, self._start = self._start[:size], self._start[size:]
        return part
