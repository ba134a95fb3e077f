"""Range reader: the start of a remote file, fetched only as far as it is read, over kept connections.

A segment of two seconds holds 60 frames or more, and only one is needed. A Range header requests about
as many bytes as the first frame takes (RFC 9110, 14.2). If they are too few, another request follows.
If a server ignores the header and sends everything, the connection is closed after enough was read.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping

import requests

from data.http.session import iter_body

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")  # RFC 9110, 14.4


Get = Callable[[Mapping[str, str]], requests.Response]


class RangeReader:
    """A file-like object that demuxers can read. It cannot seek. `close` returns the connection to its pool.

    Args:
        get: `get(headers)` sends a request with stream=True, or raises. Its errors pass through `read`,
            as do those of `data.http.session.iter_body`.
        initial_bytes: size of the first request.
        deadline_s: seconds for all requests together.
        limit_bytes: the largest acceptable response.
        start: first byte of the file in the resource.
        end: byte after the last one of the file in the resource; None: to the end of the resource.
    """

    def __init__(
        self,
        get: Get,
        *,
        initial_bytes: int,
        deadline_s: float,
        limit_bytes: int,
        start: int = 0,
        end: int | None = None,
    ) -> None:
        self._get = get
        self._request_bytes = initial_bytes
        self._deadline = time.monotonic() + deadline_s
        self._limit = limit_bytes
        self._start = start
        self._next = start  # first byte that was not requested yet
        self._end = end
        self._response: requests.Response | None = None
        self._chunks: Iterator[bytes] = iter(())
        self._buffer = b""
        self._complete = False  # everything was requested
        self.bytes_read = 0

    def read(self, size: int, /) -> bytes:
        """Return 1 to `size` bytes; b"" at the end of the file, and after an error: demuxers continue to read then."""
        try:
            self._fill()
        except BaseException:
            self._release()
            raise
        part, self._buffer = self._buffer[:size], self._buffer[size:]
        self.bytes_read += len(part)
        return part

    def _fill(self) -> None:
        """Fill the buffer, unless the file has ended."""
        while not self._buffer:
            self._buffer = next(self._chunks, b"")
            if not self._buffer:
                if self._complete:
                    return
                self._request_more()

    def close(self) -> None:
        """Read the rest of the requested bytes, so that the connection can be reused, and end the reader."""
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
        """Close the response and drop it: demuxers are freed late, and would keep its connection alive."""
        if self._response is not None:
            self._response.close()
        self._response, self._chunks, self._buffer, self._complete = None, iter(()), b"", True

    def _request_more(self) -> None:
        """Request the next bytes: `initial_bytes` first, then as many as there are already."""
        last = self._next + self._request_bytes - 1
        if self._end is not None:
            last = min(last, self._end - 1)
        response = self._get({"Range": f"bytes={self._next}-{last}"})
        self._response = response
        chunks = iter_body(response, max(0.0, self._deadline - time.monotonic()), self._limit)
        if found := _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "")):
            total = int(found[3]) if found[3] != "*" else None
            end = self._end if self._end is not None else total
            self._chunks = chunks
            self._next = int(found[2]) + 1
            self._complete = self._next >= (end if end is not None else int(found[2]) + 1)
            self._request_bytes = self._next - self._start
        else:
            # Status 200: the whole resource. A 206 without Content-Range: take it for the requested bytes.
            self._chunks = chunks if response.status_code == 206 else _slice_stream(chunks, self._next, self._end)
            self._complete = True


def _slice_stream(chunks: Iterator[bytes], start: int, end: int | None) -> Iterator[bytes]:
    """Yield the bytes from `start` (included) to `end` (excluded; None: all) of the chunks' concatenation."""
    position = 0
    for chunk in chunks:
        part = chunk[max(0, start - position) : None if end is None else max(0, end - position)]
        position += len(chunk)
        if part:
            yield part
        if end is not None and position >= end:
            return
