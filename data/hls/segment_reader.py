"""Which rendition of a stream, and its segments, opened at their beginning.

How far a segment has to be read is learnt from those before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import requests

from data.hls.playlist import ByteRange, Segment
from data.http.range_reader import RangeReader
from data.readers import ChainedReader, Readable

_MIN_REQUEST_BYTES, _MAX_REQUEST_BYTES = 32 << 10, 1 << 20  # bytes to ask for at first
_FIRST_FRAME_FRACTION = 0.15  # of a two-second segment's bytes: what a first frame takes, or less
_HEADROOM = 1.5  # asked for, over the most that one took so far: a second request costs more than some kilobytes
_INIT_BYTES = 1 << 16  # of an init section, a read
_LIMIT_BYTES = 64 << 20  # two seconds at 250 Mbit/s

Request = Callable[[str, Mapping[str, str]], requests.Response]


class SegmentReader:
    """Opens segments of one rendition.

    `request(url, headers)` answers with a body still to be read. `bandwidth`: of the rendition, bit/s, 0 if unknown.
    """

    def __init__(self, request: Request, deadline_s: float, bandwidth: int) -> None:
        self._request = request
        self._deadline_s = deadline_s
        self._initial_bytes = min(max(_MIN_REQUEST_BYTES, int(bandwidth / 8 * 2 * _FIRST_FRAME_FRACTION)), _MAX_REQUEST_BYTES)
        self._init: tuple[ByteRange, bytes] | None = None

    @contextmanager
    def open(self, segment: Segment, *, whole: bool = False) -> Iterator[Readable]:
        """The segment as a file, fMP4 with its init section; `whole`: all of it will be read.

        What `request` and data.http.session.iter_body raise passes through `read`.
        """
        init = self._init_section(segment.init) if segment.init else b""
        with self._range_reader(segment.byte_range, _LIMIT_BYTES if whole else self._initial_bytes) as file:
            yield ChainedReader(init, file)
            if not whole:
                self._initial_bytes = max(self._initial_bytes, int(file.bytes_read * _HEADROOM))

    def _init_section(self, byte_range: ByteRange) -> bytes:
        """The init section's bytes: a fragment alone cannot be decoded. Fetched once, as long as it stays the same."""
        if self._init is None or self._init[0] != byte_range:
            with self._range_reader(byte_range, _LIMIT_BYTES if byte_range.end is None else byte_range.end - byte_range.start) as file:
                self._init = byte_range, b"".join(iter(partial(file.read, _INIT_BYTES), b""))
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
