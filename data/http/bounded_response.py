"""Bounded response: an HTTP response that must arrive by a deadline, within a number of bytes.

The bounds are those of the socket's file, so that they hold for whatever arrives (interim responses, headers, bodies,
sizes of chunks, trailers) and for every reader: our own code, requests, urllib3 and Streamlink. A socket's timeout
is no bound: it starts again at each byte.
"""

from __future__ import annotations

import functools
import http.client
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, BinaryIO

from urllib3.exceptions import ConnectTimeoutError

from data.http import traffic

_CHUNK_BYTES = 1 << 16
_MAX_LINE_BYTES = 4 << 20  # of all headers, sizes of chunks and trailers together
_MAX_BYTES = 320 << 20  # on the wire; a clip has up to 256 MB
_MAX_COMPRESSED_BYTES = 16 << 20  # on the wire: compressed data may decompress to nothing for ever

_deadline: ContextVar[float] = ContextVar("deadline", default=math.inf)  # monotonic seconds


@contextmanager
def response_deadline(deadline: float) -> Iterator[None]:
    """Let the responses to requests that this block sends end by `deadline`, monotonic seconds."""
    token = _deadline.set(deadline)
    try:
        yield
    finally:
        _deadline.reset(token)


@functools.cache
def with_bounded_responses(connection: Any) -> Any:
    """Return a subclass of a connection class of urllib3 that connects, and whose responses arrive, within bounds."""

    class Response(http.client.HTTPResponse):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.fp: Any = BoundedReader(self.fp, _deadline.get())
            traffic.COUNTER.add(1, 0)

        def begin(self) -> None:
            super().begin()
            while 101 < self.status < 200:  # interim (RFC 9110, 15.2); http.client skips 100 only
                self.headers = self.msg = None  # type: ignore[assignment]  # begins again
                super().begin()
            if self.fp is not None and self.headers.get("content-encoding"):
                self.fp.bytes_left = _MAX_COMPRESSED_BYTES

    class Connection(connection):
        response_class = Response

        def connect(self) -> None:
            if time.monotonic() > _deadline.get():  # the attempts before took all the time
                raise ConnectTimeoutError(self, f"no connection to {self.host} in time")
            super().connect()

    Connection.__name__ = connection.__name__
    return Connection


class DeadlineExceeded(TimeoutError):
    """The response kept arriving, but not until its deadline."""


class BoundedReader:
    """A socket's file with every method that http.client and urllib3 use.

    Each method raises DeadlineExceeded after `deadline`, monotonic seconds, and HTTPException beyond `bytes_left`.
    """

    def __init__(self, file: BinaryIO, deadline: float) -> None:
        self.bytes_left = _MAX_BYTES
        self._file: Any = file
        self._deadline = deadline
        self._line_bytes_left = _MAX_LINE_BYTES

    def read1(self, size: int = -1) -> bytes:
        """Return up to `size` bytes (-1: any number) of one read of the socket; b"" at the end."""
        if time.monotonic() > self._deadline:
            raise DeadlineExceeded("the response did not arrive in time")
        data: bytes = self._file.read1(min(size, _CHUNK_BYTES) if size >= 0 else _CHUNK_BYTES)
        traffic.COUNTER.add(0, len(data))
        self.bytes_left -= len(data)
        if self.bytes_left < 0:
            raise http.client.HTTPException("the response is too large")
        return data

    def read(self, size: int = -1) -> bytes:
        """Return `size` bytes (-1: all), fewer only at the end."""
        parts, left = [], math.inf if size < 0 else size
        while left > 0 and (part := self.read1(int(min(left, _CHUNK_BYTES)))):
            parts.append(part)
            left -= len(part)
        return b"".join(parts)

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer; return the number of bytes, which is lower only at the end."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def readline(self, limit: int = -1) -> bytes:
        """Return a line with its end, or the first `limit` bytes of it."""
        line = b""
        while not line.endswith(b"\n") and len(line) != limit and (available := self._file.peek(1)):
            size = available.find(b"\n") + 1 or len(available)
            line += self.read1(size if limit < 0 else min(size, limit - len(line)))
        self._line_bytes_left -= len(line)
        if self._line_bytes_left < 0:
            raise http.client.HTTPException("the response has too many headers, chunks or trailers")
        return line

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
