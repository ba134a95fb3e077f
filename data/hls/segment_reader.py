"""Segment reader: opens segments with range requests for about as many bytes as their first frame takes.

The size of the first request is learnt from the segments before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import requests

from data.hls.playlist import ByteRange, Segment
from data.http.range_reader import RangeReader
from data.readers import ChainedReader, Readable

_MIN_REQUEST_BYTES, _MAX_REQUEST_BYTES = 32 << 10, 1 << 20  # limits of the first request's size before any was read
_FIRST_FRAME_FRACTION = 0.15  # upper limit of the first frame's fraction of a two-second segment
_HEADROOM = 1.5  # of the first request, over the largest first frame so far: a second request costs more than bytes
_INIT_READ_BYTES = 1 << 16
_LIMIT_BYTES = 64 << 20  # two seconds at 250 Mbit/s

Request = Callable[[str, Mapping[str, str]], requests.Response]


class SegmentReader:
    """Opens the segments of one rendition, within `deadline_s` seconds each.

    `request(url, headers)` returns a response whose body is not read yet. `bandwidth`: bit/s; 0 if unknown.
    """

    def __init__(self, request: Request, deadline_s: float, bandwidth: int) -> None:
        self._request = request
        self._deadline_s = deadline_s
        first_frame_bytes = int(bandwidth / 8 * 2 * _FIRST_FRAME_FRACTION)
        self._initial_bytes = min(max(_MIN_REQUEST_BYTES, first_frame_bytes), _MAX_REQUEST_BYTES)
        self._init: tuple[ByteRange, bytes] | None = None

    @contextmanager
    def open(self, segment: Segment, *, whole: bool = False) -> Iterator[Readable]:
        """Open a segment as a file, fMP4 with its init section in front. `whole`: request all of it at once.

        Errors of `request` and of data.http.session.iter_body pass through `read`.
        """
        init = self._init_section(segment.init) if segment.init else b""
        with self._range_reader(segment.byte_range, _LIMIT_BYTES if whole else self._initial_bytes) as file:
            yield ChainedReader(init, file)
            if not whole:
                self._initial_bytes = max(self._initial_bytes, int(file.bytes_read * _HEADROOM))

    def _init_section(self, byte_range: ByteRange) -> bytes:
        """Return the init section, which fragments need for decoding; fetch it again only when it changes."""
        if self._init is None or self._init[0] != byte_range:
            size = _LIMIT_BYTES if byte_range.end is None else byte_range.end - byte_range.start
            with self._range_reader(byte_range, size) as file:
                self._init = byte_range, b"".join(iter(partial(file.read, _INIT_READ_BYTES), b""))
        return self._init[1]

    def _range_reader(self, byte_range: ByteRange, initial_bytes: int) -> RangeReader:
        return RangeReader(
            partial(self._request, byte_range.uri),
            initial_bytes=initial_bytes,
            deadline_s=self._deadline_s,
            limit_bytes=_LIMIT_BYTES,
            start=byte_range.start,
            end=byte_range.end,
        )
