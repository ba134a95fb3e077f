"""What a media playlist says (RFC 8216), which of it is new, and when a picture is due. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes `start` to before `end` of the file at `uri`; None: to its end."""

    uri: str
    start: int = 0
    end: int | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment. `number`: its media sequence number. `init`: what an fMP4 fragment needs in front.

    `seconds`: its length. `date`: of its first frame, epoch seconds, None where the playlist has none.
    """

    number: int
    byte_range: ByteRange
    init: ByteRange | None
    seconds: float
    date: float | None
    ad: bool


@dataclass(frozen=True, slots=True)
class Playlist:
    """The segments listed now, oldest first. `target_s`: the longest one's seconds. `over`: no more will come."""

    segments: tuple[Segment, ...]
    target_s: float
    ended: bool


class SegmentTracker:
    """Tells which segments of a stream are new, look by look: none twice, none lost as long as looks come in time.

    `lost`: how many had come and gone between two looks, ads among them.
    """

    def __init__(self) -> None:
        self.missed_segments = 0
        self._newest_number = -1  # the newest seen
        self._oldest_listed = -1  # of the last look
        self._newest_date = 0.0
        self._by_date = False

    def new_segments(self, playlist: Playlist) -> list[Segment]:
        """The segments that no look showed before, oldest first; from now on they are seen."""
        segments = playlist.segments
        if segments and segments[-1].number < self._oldest_listed:  # not an old copy: numbered anew
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
        """The numbers begin anew (another address of the stream, an encoder's restart): dates tell from now on."""
        self._newest_number, self._by_date = -1, True

    def _is_dated_before(self, segment: Segment) -> bool:
        return self._by_date and segment.date is not None and segment.date <= self._newest_date
