"""Media playlist (RFC 8216): frozen values, and the tracking of new segments. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes `start` (included) to `end` (excluded) of the resource at `uri`; `end` None: to its end."""

    uri: str
    start: int = 0
    end: int | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """One media segment of a playlist."""

    number: int  # media sequence number
    byte_range: ByteRange
    init: ByteRange | None  # init section of an fMP4 fragment (EXT-X-MAP); None for MPEG-TS
    seconds: float  # duration
    date: float | None  # of the first frame, epoch seconds (EXT-X-PROGRAM-DATE-TIME); None if not stated
    ad: bool


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
        new = [s for s in segments if s.number > self._newest_number and not self._is_dated_before(s)]
        if segments:
            if self._newest_number >= 0:
                self.missed_segments += max(0, segments[0].number - self._newest_number - 1)
            self._oldest_listed = segments[0].number
            self._newest_number = max(self._newest_number, segments[-1].number)
            self._newest_date = max([self._newest_date, *(s.date for s in segments if s.date is not None)])
        return new

    def reset_numbering(self) -> None:
        """Accept lower numbers from now on, as after a restart or at another address; compare dates instead."""
        self._newest_number, self._by_date = -1, True

    def _is_dated_before(self, segment: Segment) -> bool:
        return self._by_date and segment.date is not None and segment.date <= self._newest_date
