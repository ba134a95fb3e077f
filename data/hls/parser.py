"""Playlist parser: Streamlink's, with limits, because it takes quadratic time and memory for some playlists.

Streamlink's parser knows how Twitch marks ads. What it lacks is added: EXT-X-GAP, dates without a time zone, and
tolerance for lines that are invalid.
"""

from __future__ import annotations

import functools
import logging
import re
from collections import Counter
from datetime import datetime, timezone
from typing import Any

from streamlink.stream.hls.m3u8 import parse_tag

from data.text import printable

_MAX_LINES = 400_000
_MAX_LINE_CHARS = 100_000
_MAX_SEGMENTS = 100_000  # a recording of two days has 86,400 of two seconds
_MAX_SEARCHES = 2_000_000  # of ads: each segment is compared with each of them
_MAX_ADDRESS_CHARS = 64 << 20  # of all segments' addresses, for the part that the playlist's address adds
_MAX_TAGS = {
    "EXT-X-STREAM-INF": 500,  # each rendition is compared with each EXT-X-MEDIA
    "EXT-X-I-FRAME-STREAM-INF": 500,
    "EXT-X-MEDIA": 500,
    "EXT-X-DATERANGE": 10_000,
}
_TAG = re.compile(r"#([\w-]+)")  # as Streamlink finds tags

log = logging.getLogger(__name__)


def parse(text: str, url: str, parser: type) -> Any:
    """Return a playlist as an object of Streamlink. Raises ValueError and whatever else that parser lets pass.

    url: of the response, after redirects: relative addresses are relative to it (RFC 3986, 5.1.3).
    parser: Streamlink's class for the site.
    """
    check_size(text, url)
    return _extended(parser)(url).parse(text)


def check_response(body: bytes, url: str) -> None:
    """Raise ValueError if a response is a playlist that Streamlink must not parse."""
    text = body.decode("utf-8", "replace")
    if text.lstrip().startswith("#EXTM3U"):  # Streamlink skips empty lines, which U+2028 and others end, too
        check_size(text, url)


def check_size(text: str, url: str) -> None:
    """Raise ValueError for a playlist that takes seconds or hundreds of megabytes to parse."""
    lines = text.splitlines()
    if len(lines) > _MAX_LINES:
        raise ValueError("too many lines")
    tags = Counter(match[1] for line in lines if (match := _TAG.match(line)))
    prefetched = tags["EXT-X-TWITCH-PREFETCH"]
    segments = tags["EXTINF"] + tags["EXT-X-BYTERANGE"] + prefetched
    counts = {
        "characters in a line": (max(map(len, lines), default=0), _MAX_LINE_CHARS),
        "segments": (segments, _MAX_SEGMENTS),
        "ads": (segments * (tags["EXT-X-DATERANGE"] + prefetched), _MAX_SEARCHES),
        "characters in addresses": (segments * len(url.rpartition("/")[0]), _MAX_ADDRESS_CHARS),
        **{tag: (tags[tag], limit) for tag, limit in _MAX_TAGS.items()},
    }
    for what, (count, limit) in counts.items():
        if count > limit:
            raise ValueError(f"too many {what}")


@functools.cache
def _extended(parser: Any) -> Any:
    """Return a subclass of one of Streamlink's parsers."""

    class Parser(parser):
        _gap = False

        @parse_tag("EXT-X-GAP")
        def parse_tag_ext_x_gap(self, _: str) -> None:
            """Note that the next segment is missing (RFC 8216bis, 4.4.4.7)."""
            self._gap = True

        def parse_line(self, line: str) -> None:
            try:
                super().parse_line(line)
            except Exception as error:  # noqa: BLE001 - the parser lets many types pass; one tag is not the playlist
                log.debug("invalid line of a playlist (%s): %s", type(error).__name__, printable(line[:200]))

        def get_segment(self, *args: Any, **kwargs: Any) -> Any:
            segment = super().get_segment(*args, **kwargs)
            segment.gap, self._gap = self._gap, False
            return segment

        @staticmethod
        def parse_iso8601(value: str | None) -> datetime | None:
            date: datetime | None = parser.parse_iso8601(value)
            return date.replace(tzinfo=date.tzinfo or timezone.utc) if date else None  # to compare it with others

    return Parser
