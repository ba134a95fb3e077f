"""Range reader: the start of a remote file, fetched only as far as it is read, over kept connections.

A Range header requests some bytes (RFC 9110, 14.2). If they are too few, another request follows.
If a server ignores the header and sends everything, the connection is closed after enough was read.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import requests

from data.http.session import InvalidResponse, iter_body

_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")  # RFC 9110, 14.4

Request = Callable[[str, Mapping[str, str]], requests.Response]


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes `start` (included) to `end` (excluded) of the resource at `uri`; `end` None: to its end."""

    uri: str
    start: int = 0
    end: int | None = None


class RangeReader:
    """A byte range as a file-like object that demuxers can read. It cannot seek.

    A context manager: after the block, the connection can be reused, and the reader is at its end.

    request: `request(uri, headers)` sends a request with stream=True. `read` raises its errors, and those of
        `data.http.session.iter_body`.
    initial_bytes: size of the first request. limit_bytes, deadline_s: limits of all responses together, in bytes and
        in seconds.
    """

    def __init__(
        self, request: Request, byte_range: ByteRange, *, initial_bytes: int, deadline_s: float, limit_bytes: int
    ) -> None:
        self.bytes_read = 0
        self._request = request
        self._deadline = time.monotonic() + deadline_s
        self._limit_bytes = limit_bytes
        self._response: requests.Response | None = None
        self._error: BaseException | None = None  # of `read`
        self._body: Iterator[bytes] = iter(())  # of `_response`
        self._file = self._iter_file(byte_range.uri, byte_range.start, byte_range.end, initial_bytes)
        self._buffer = b""

    def read(self, size: int, /) -> bytes:
        """Return 1 to `size` bytes; b"" at the end of the file, and after an error: demuxers continue to read then."""
        try:
            self._buffer = self._buffer or next(self._file, b"")
        except BaseException as error:
            self._error = error
            self._release()
            raise
        part, self._buffer = self._buffer[:size], self._buffer[size:]
        self.bytes_read += len(part)
        return part

    def read_requested(self) -> bytes:
        """Return the rest of the bytes that were requested, and that arrive whether they are read or not."""
        rest, self._buffer = self._buffer, b""
        if self._response is not None and self._response.status_code == 206:
            rest += b"".join(self._body)
        self.bytes_read += len(rest)
        return rest

    def __enter__(self) -> RangeReader:
        return self

    def __exit__(self, failed: type | None, *_: object) -> None:
        try:
            if not failed and self._error:  # a demuxer may go on with what it has, but the response was cut off
                raise self._error
            # A connection can be reused only when all requested bytes were read.
            if not failed and self._response is not None and self._response.status_code == 206:
                deque(self._body, maxlen=0)
        finally:
            self._release()

    def _release(self) -> None:
        """Close the response and drop it: demuxers are freed late, and would keep its connection alive."""
        if self._response is not None:
            self._response.close()
        self._response, self._body, self._file, self._buffer = None, iter(()), iter(()), b""

    def _iter_file(self, uri: str, start: int, end: int | None, size: int) -> Iterator[bytes]:
        """Yield the file in chunks. Request `size` bytes first, then as many as there are already."""
        position = start
        while True:
            last = position + size - 1 if end is None else min(position + size, end) - 1
            response = self._response = self._request(uri, {"Range": f"bytes={position}-{last}"})
            limit_bytes = self._limit_bytes - (position - start)
            self._body = iter_body(response, max(0.0, self._deadline - time.monotonic()), limit_bytes)
            found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
            if not found:
                # Status 200: the whole resource. A 206 without Content-Range: take it for the requested bytes.
                yield from self._body if response.status_code == 206 else _slice_stream(self._body, position, end)
                return
            first, position = position, int(found[2]) + 1
            if int(found[1]) != first or position <= first:
                raise InvalidResponse(f"requested bytes from {first}, received Content-Range: {found[0]}")
            yield from _exactly(self._body, position - first)
            total = position if found[3] == "*" else int(found[3])
            if position >= (total if end is None else end):
                return
            size = position - start


def _exactly(chunks: Iterator[bytes], size: int) -> Iterator[bytes]:
    """Yield the chunks, which must have `size` bytes together: a server that sends fewer would be asked for ever."""
    for chunk in chunks:
        size -= len(chunk)
        yield chunk
    if size:
        raise InvalidResponse(f"Content-Range differs from the body by {size} bytes")


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
