"""The beginning of a remote file: fetched as far as it is read, over a connection that is kept.

A segment of two seconds holds 60 frames or more, and one is wanted. A Range header asks for about as much as the
first frame takes (RFC 9110, 14.2); where that was too little, more follows; where a server ignores the header and
sends all, the answer is cut off when enough was read.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping

import requests

from data.http.session import iter_body

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


Get = Callable[[Mapping[str, str]], requests.Response]


class RangeReader:
    """A file-like object that demuxers can `read`; `close` gives the connection back.

    `get(headers)` makes a request with stream=True, or raises; its errors pass through `read`, as those of
    data.http.session.iter_body do. `guess_bytes`: to ask for first. `start`, `end`: where the file lies in the resource,
    for byte ranges. `deadline_s` for all of it together.
    """

    def __init__(
        self, get: Get, *, initial_bytes: int, deadline_s: float, limit_bytes: int, start: int = 0, end: int | None = None
    ) -> None:
        self._get = get
        self._request_bytes = initial_bytes
        self._deadline = time.monotonic() + deadline_s
        self._limit = limit_bytes
        self._start = start
        self._next = start  # the first byte not asked for yet
        self._end = end
        self._response: requests.Response | None = None
        self._chunks: Iterator[bytes] = iter(())
        self._buffer = b""
        self._complete = False  # all that there is was asked for
        self.bytes_read = 0  # bytes read so far

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes, at least one; b"" at the file's end, and after an error: demuxers read on then."""
        try:
            self._fill()
        except BaseException:
            self._release()
            raise
        part, self._buffer = self._buffer[:size], self._buffer[size:]
        self.bytes_read += len(part)
        return part

    def _fill(self) -> None:
        """Have something in the buffer, unless the file is at its end."""
        while not self._buffer:
            self._buffer = next(self._chunks, b"")
            if not self._buffer:
                if self._complete:
                    return
                self._request_more()

    def close(self) -> None:
        """End it. What was asked for and is on its way is read, so that the connection can serve again."""
        if self._response is not None and self._response.status_code == 206:
            for _ in self._chunks:
                pass
        self._release()

    def __enter__(self) -> RangeReader:
        return self

    def __exit__(self, failed: type | None, *_: object) -> None:
        if failed:
            self._release()
        else:
            self.close()

    def _release(self) -> None:
        """Close the answer, and forget it: demuxers are freed late, and would keep it and its connection alive."""
        if self._response is not None:
            self._response.close()
        self._response, self._chunks, self._buffer, self._complete = None, iter(()), b"", True

    def _request_more(self) -> None:
        """Ask for the next bytes: the guess at first, then twice as many as there are."""
        last = self._next + self._request_bytes - 1
        if self._end is not None:
            last = min(last, self._end - 1)
        response = self._get({"Range": f"bytes={self._next}-{last}"})
        self._response = response
        pieces = iter_body(response, max(0.0, self._deadline - time.monotonic()), self._limit)
        if found := _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "")):
            total = int(found[3]) if found[3] != "*" else None
            end = self._end if self._end is not None else total
            self._chunks = pieces
            self._next = int(found[2]) + 1
            self._complete = self._next >= (end if end is not None else int(found[2]) + 1)
            self._request_bytes = self._next - self._start
        else:  # the whole resource, or, by a server that says 206 and not what of, just what was asked for
            self._chunks = pieces if response.status_code == 206 else _slice_stream(pieces, self._next, self._end)
            self._complete = True


def _slice_stream(pieces: Iterator[bytes], start: int, end: int | None) -> Iterator[bytes]:
    """The bytes from `start` to before `end` of what `pieces` make together."""
    place = 0
    for piece in pieces:
        part = piece[max(0, start - place) : None if end is None else max(0, end - place)]
        place += len(piece)
        if part:
            yield part
        if end is not None and place >= end:
            return
