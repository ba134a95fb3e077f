"""Which rendition of a stream, and its segments, opened at their beginning.

How far a segment has to be read is learnt from those before it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import requests

from data import web
from data.partial import Beginning, Joined, Readable

_LEAST, _MOST = 32 << 10, 1 << 20  # bytes to ask for at first
_SHARE = 0.15  # of a two-second segment's bytes: what a first frame takes, or less
_SLACK = 1.5  # asked for, over the most that one took so far: a second request costs more than some kilobytes
_LIMIT_BYTES = 64 << 20  # two seconds at 250 Mbit/s
_HEIGHT = re.compile(r"(\d+)p\d*")

Request = Callable[[str, Mapping[str, str]], requests.Response]


class Segments:
    """Opens segments of one rendition.

    `request(url, headers)` answers with a body still to be read. `bandwidth`: of the rendition, bit/s, 0 if unknown.
    """

    def __init__(self, request: Request, deadline_s: float, bandwidth: int) -> None:
        self._request = request
        self._deadline_s = deadline_s
        self._guess = min(max(_LEAST, int(bandwidth / 8 * 2 * _SHARE)), _MOST)
        self._inits: dict[tuple[str, Any], bytes] = {}

    @contextmanager
    def opened(self, segment: Any) -> Iterator[Readable]:
        """The segment (`uri`, `map`, `byterange` as Streamlink parses them) as a file, fMP4 with its init section.

        What `request` and data.web.iter_body raise passes through `read`.
        """
        init = self._init(segment.map) if segment.map else b""
        start, end = _place(segment.byterange)
        with Beginning(
            partial(self._request, segment.uri),
            guess_bytes=self._guess,
            deadline_s=self._deadline_s,
            limit_bytes=_LIMIT_BYTES,
            start=start,
            end=end,
        ) as file:
            yield Joined(init, file)
            self._guess = max(self._guess, int(file.used * _SLACK))

    def _init(self, section: Any) -> bytes:
        """The init section's bytes: a fragment alone cannot be decoded. Fetched once, for all segments share it."""
        key = (section.uri, section.byterange)
        if key not in self._inits:
            start, end = _place(section.byterange)
            headers = {"Range": f"bytes={start}-{end - 1}"} if end else {}
            response = self._request(section.uri, headers)
            body = web.read_body(response, self._deadline_s, _LIMIT_BYTES)
            # A server may send the whole file all the same.
            self._inits[key] = body if response.status_code == 206 else body[start:end]
        return self._inits[key]


def _place(byterange: Any) -> tuple[int, int | None]:
    """Where a byte range starts, and where it ends (exclusive; None: with the file)."""
    if byterange is None:
        return 0, None
    start = byterange.offset or 0
    return start, start + byterange.range


def smallest_covering(names: list[str], img_size: int) -> str:
    """Of renditions named like 720p60, the one with the fewest lines that are at least `img_size`; else the largest.

    `best` counts where no name tells a height.
    """
    heights = {name: int(match[1]) for name in names if (match := _HEIGHT.fullmatch(name))}
    if not heights:
        return "best"
    covering = {name: height for name, height in heights.items() if height >= img_size}
    return min(covering, key=covering.__getitem__) if covering else max(heights, key=heights.__getitem__)
