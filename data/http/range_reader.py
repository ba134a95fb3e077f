"""The beginning of a remote file: fetched as far as it is read, over a connection that is kept.

A segment of two seconds holds 60 frames or more, and one is wanted. A Range header asks for about as much as the
first frame takes (RFC 9110, 14.2); where that was too little, more follows; where a server ignores the header and
sends all, the answer is cut off when enough was read.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

import requests

from data.http import session

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


class Readable(Protocol):
    """A file open for reading, in order: less than asked for may come, nothing at its end alone."""

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes."""


Get = Callable[[Mapping[str, str]], requests.Response]


class Beginning:
    """A file-like object that demuxers can `read`; `close` gives the connection back.

    `get(headers)` makes a request with stream=True, or raises; its errors pass through `read`, as those of
    data.http.session.iter_body do. `guess_bytes`: to ask for first. `start`, `end`: where the file lies in the resource,
    for byte ranges. `deadline_s` for all of it together.
    """

    def __init__(
        self, get: Get, *, guess_bytes: int, deadline_s: float, limit_bytes: int, start: int = 0, end: int | None = None
    ) -> None:
        self._get = get
        self._guess = guess_bytes
        self._until = time.monotonic() + deadline_s
        self._limit = limit_bytes
        self._start = start
        self._next = start  # the first byte not asked for yet
        self._end = end
        self._response: requests.Response | None = None
        self._pieces: Iterator[bytes] = iter(())
        self._buffer = b""
        self._whole = False  # all that there is was asked for
        self.used = 0  # bytes read so far

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes, at least one; b"" at the file's end, and after an error: demuxers read on then."""
        try:
            self._fill()
        except BaseException:
            self._let_go()
            raise
        part, self._buffer = self._buffer[:size], self._buffer[size:]
        self.used += len(part)
        return part

    def _fill(self) -> None:
        """Have something in the buffer, unless the file is at its end."""
        while not self._buffer:
            self._buffer = next(self._pieces, b"")
            if not self._buffer:
                if self._whole:
                    return
                self._ask()

    def close(self) -> None:
        """End it. What was asked for and is on its way is read, so that the connection can serve again."""
        if self._response is not None and self._response.status_code == 206:
            for _ in self._pieces:
                pass
        self._let_go()

    def __enter__(self) -> Beginning:
        return self

    def __exit__(self, failed: type | None, *_: object) -> None:
        if failed:
            self._let_go()
        else:
            self.close()

    def _let_go(self) -> None:
        """Close the answer, and forget it: demuxers are freed late, and would keep it and its connection alive."""
        if self._response is not None:
            self._response.close()
        self._response, self._pieces, self._buffer, self._whole = None, iter(()), b"", True

    def _ask(self) -> None:
        """Ask for the next bytes: the guess at first, then twice as many as there are."""
        last = self._next + self._guess - 1
        if self._end is not None:
            last = min(last, self._end - 1)
        response = self._get({"Range": f"bytes={self._next}-{last}"})
        self._response = response
        pieces = session.iter_body(response, max(0.0, self._until - time.monotonic()), self._limit)
        if found := _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "")):
            total = int(found[3]) if found[3] != "*" else None
            end = self._end if self._end is not None else total
            self._pieces = pieces
            self._next = int(found[2]) + 1
            self._whole = self._next >= (end if end is not None else int(found[2]) + 1)
            self._guess = self._next - self._start
        else:  # the whole resource, or, by a server that says 206 and not what of, just what was asked for
            self._pieces = pieces if response.status_code == 206 else _cut(pieces, self._next, self._end)
            self._whole = True


class Joined:
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


def _cut(pieces: Iterator[bytes], start: int, end: int | None) -> Iterator[bytes]:
    """The bytes from `start` to before `end` of what `pieces` make together."""
    place = 0
    for piece in pieces:
        part = piece[max(0, start - place) : None if end is None else max(0, end - place)]
        place += len(piece)
        if part:
            yield part
        if end is not None and place >= end:
            return
