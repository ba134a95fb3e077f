"""Which rendition of a stream, and its segments, opened at their beginning.

How far a segment has to be read is learnt from those before it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import requests

from data.hls.playlist import Part, Segment
from data.http.range_reader import Beginning, Joined, Readable

_LEAST, _MOST = 32 << 10, 1 << 20  # bytes to ask for at first
_SHARE = 0.15  # of a two-second segment's bytes: what a first frame takes, or less
_SLACK = 1.5  # asked for, over the most that one took so far: a second request costs more than some kilobytes
_INIT_BYTES = 1 << 16  # of an init section, a read
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
        self._init: tuple[Part, bytes] | None = None

    @contextmanager
    def opened(self, segment: Segment, *, whole: bool = False) -> Iterator[Readable]:
        """The segment as a file, fMP4 with its init section; `whole`: all of it will be read.

        What `request` and data.http.session.iter_body raise passes through `read`.
        """
        init = self._initial(segment.init) if segment.init else b""
        with self._beginning(segment.part, _LIMIT_BYTES if whole else self._guess) as file:
            yield Joined(init, file)
            if not whole:
                self._guess = max(self._guess, int(file.used * _SLACK))

    def _initial(self, part: Part) -> bytes:
        """The init section's bytes: a fragment alone cannot be decoded. Fetched once, as long as it stays the same."""
        if self._init is None or self._init[0] != part:
            with self._beginning(part, _LIMIT_BYTES if part.end is None else part.end - part.start) as file:
                self._init = part, b"".join(iter(partial(file.read, _INIT_BYTES), b""))
        return self._init[1]

    def _beginning(self, part: Part, guess_bytes: int) -> Beginning:
        return Beginning(
            partial(self._request, part.uri),
            guess_bytes=guess_bytes,
            deadline_s=self._deadline_s,
            limit_bytes=_LIMIT_BYTES,
            start=part.start,
            end=part.end,
        )


def smallest_covering(names: list[str], img_size: int) -> str:
    """Of renditions named like 720p60, the one with the fewest lines that are at least `img_size`; else the largest.

    `best` counts where no name tells a height.
    """
    heights = {name: int(match[1]) for name in names if (match := _HEIGHT.fullmatch(name))}
    if not heights:
        return "best"
    covering = {name: height for name, height in heights.items() if height >= img_size}
    return min(covering, key=covering.__getitem__) if covering else max(heights, key=heights.__getitem__)
