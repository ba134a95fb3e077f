"""Media playlist (RFC 8216): frozen values, and the tracking of new segments."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from data.http.range_reader import ByteRange

_MAX_DURATION_S = 3600.0  # a longer segment or target duration is invalid
_MAX_NUMBER = (1 << 61) - 1  # of a segment or a byte; a playlist may have numbers of 4,300 digits
_MAX_MISSED = 100_000  # segments between two responses
_DEFAULT_TARGET_S = 2.0  # Twitch's target duration, where a playlist states an invalid one


@dataclass(frozen=True, slots=True)
class Segment:
    """One media segment of a playlist."""

    number: int  # media sequence number
    byte_range: ByteRange
    init: ByteRange | None  # init section of an fMP4 fragment (EXT-X-MAP); None for MPEG-TS
    seconds: float  # duration
    date: float | None  # of the first frame, epoch seconds (EXT-X-PROGRAM-DATE-TIME); None if not stated
    ad: bool
    encrypted: bool = False  # itself (EXT-X-KEY), or its init section
    gap: bool = False  # its bytes are missing (EXT-X-GAP)

    @property
    def usable(self) -> bool:
        """Whether it has frames of the stream."""
        return not (self.ad or self.encrypted or self.gap)


@dataclass(frozen=True, slots=True)
class Playlist:
    """The segments of one response, oldest first."""

    segments: tuple[Segment, ...]
    target_s: float  # target duration, seconds: the upper limit of a segment's duration
    ended: bool  # no segments will be added (EXT-X-ENDLIST)


class SegmentTracker:
    """Finds the new segments in each response, so that none is processed twice.

    `missed_segments` counts the segments, ads included, that entered and left the playlist between two responses.
    """

    def __init__(self) -> None:
        self.missed_segments = 0
        self._newest_number = -1  # of all responses
        self._oldest_listed = -1  # first number of the previous response
        self._newest_date = 0.0
        self._by_date = False

    def new_segments(self, playlist: Playlist) -> list[Segment]:
        """Return the segments that no earlier playlist contained, oldest first, and remember them."""
        segments = playlist.segments
        # An outdated copy still overlaps the previous response; lower numbers mean an encoder's restart.
        if segments and segments[-1].number < self._oldest_listed:
            self.reset_numbering()
        after = self._newest_date if self._by_date else -math.inf
        new = [s for s in segments if s.number > self._newest_number and (s.date is None or s.date > after)]
        if segments:
            if self._newest_number >= 0:
                self.missed_segments += min(max(0, segments[0].number - self._newest_number - 1), _MAX_MISSED)
            self._oldest_listed = segments[0].number
            self._newest_number = max(self._newest_number, segments[-1].number)
            self._newest_date = max([self._newest_date, *(s.date for s in segments if s.date is not None)])
        return new

    def reset_numbering(self) -> None:
        """Accept lower numbers from now on, as after a restart or at another address; compare dates instead."""
        self._newest_number, self._by_date = -1, True


def parse_playlist(found: Any, start_s: float) -> Playlist:
    """Return Streamlink's playlist as our own values; of a recording, drop the first `start_s` seconds.

    Segments to prefetch are dropped: the next poll finds them complete. Raises whatever invalid values cause.
    """
    target_s = _valid_duration(found.targetduration, _DEFAULT_TARGET_S)
    segments: list[Segment] = []
    ends: dict[str, int] = {}  # by URI, the end of the byte range before
    for segment in found.segments:
        media = _byte_range(segment.uri, segment.byterange, ends.get(segment.uri, 0))
        ends[segment.uri] = media.end or 0
        if not getattr(segment, "prefetch", False):
            init = _byte_range(segment.map.uri, segment.map.byterange, 0) if segment.map else None
            date = segment.date.timestamp() if segment.date else None
            # `ad` is an undocumented attribute of the Twitch plugin; other plugins' segments lack it.
            ad = bool(getattr(segment, "ad", False))
            number, seconds = segment.num % _MAX_NUMBER, _valid_duration(segment.duration, target_s)
            encrypted, gap = _is_encrypted(segment), bool(getattr(segment, "gap", False))
            segments.append(Segment(number, media, init, seconds, date, ad, encrypted, gap))
    ended = bool(found.is_endlist)
    ends_s = accumulate(segment.seconds for segment in segments)
    kept = tuple(s for s, end_s in zip(segments, ends_s, strict=True) if not ended or end_s > start_s)
    return Playlist(kept, target_s, ended)


def _byte_range(uri: str, byterange: Any, previous_end: int) -> ByteRange:
    """Return the bytes of a segment; a range without a start follows the previous one (RFC 8216, 4.3.2.2)."""
    if byterange is None:
        return ByteRange(uri)
    start = previous_end if byterange.offset is None else byterange.offset
    return ByteRange(uri, min(start, _MAX_NUMBER), min(start + byterange.range, _MAX_NUMBER))


def _is_encrypted(segment: Any) -> bool:
    """Return whether a segment cannot be decoded without a key."""
    # Of fMP4, SAMPLE-AES leaves the init section clear (RFC 8216, 4.3.2.4); AES-128 encrypts it, too.
    init_key = segment.map.key if segment.map else None
    return _method(segment.key) != "NONE" or _method(init_key) not in ("NONE", "SAMPLE-AES", "SAMPLE-AES-CTR")


def _method(key: Any) -> str:
    return str(key.method).upper() if key else "NONE"


def _valid_duration(value: Any, default: float) -> float:
    """Return a playlist's duration in seconds, or `default` where it is invalid, such as NaN or negative."""
    seconds = float(value or 0)
    return seconds if 0 < seconds < _MAX_DURATION_S else default
