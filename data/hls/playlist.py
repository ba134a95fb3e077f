"""What a media playlist says (RFC 8216), which of it is new, and when a picture is due. Standard library only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TypeVar

_T = TypeVar("_T")

_SEGMENT_S = 2.0


@dataclass(frozen=True, slots=True)
class Part:
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
    part: Part
    init: Part | None
    seconds: float
    date: float | None
    ad: bool


@dataclass(frozen=True, slots=True)
class Playlist:
    """The segments listed now, oldest first. `target_s`: the longest one's seconds. `over`: no more will come."""

    segments: tuple[Segment, ...]
    target_s: float
    over: bool


class Seen:
    """Tells which segments of a stream are new, look by look: none twice, none lost as long as looks come in time.

    `lost`: how many had come and gone between two looks, ads among them.
    """

    def __init__(self) -> None:
        self.lost = 0
        self._number = -1  # the newest seen
        self._oldest = -1  # of the last look
        self._date = 0.0
        self._by_date = False

    def fresh(self, playlist: Playlist) -> list[Segment]:
        """The segments that no look showed before, oldest first; from now on they are seen."""
        segments = playlist.segments
        if segments and segments[-1].number < self._oldest:  # not an old copy: numbered anew
            self.renumbered()
        new = [s for s in segments if s.number > self._number and not self._dated_before(s)]
        if segments:
            if self._number >= 0:
                self.lost += max(0, segments[0].number - self._number - 1)
            self._oldest = segments[0].number
            self._number = max(self._number, segments[-1].number)
            self._date = max([self._date, *(s.date for s in segments if s.date is not None)])
        return new

    def renumbered(self) -> None:
        """The numbers begin anew (another address of the stream, an encoder's restart): dates tell from now on."""
        self._number, self._by_date = -1, True

    def _dated_before(self, segment: Segment) -> bool:
        return self._by_date and segment.date is not None and segment.date <= self._date


class Pace:
    """One picture every `interval_s` seconds of the stream itself; 0: the first one of each segment."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._elapsed_s = 0.0
        self._due_s = 0.0

    def due(self, segment: Segment) -> list[float]:
        """The pictures to take of the next segment, seconds from its start; 0 alone where one of it is enough."""
        start = self._elapsed_s
        self._elapsed_s += segment.seconds
        if not self._interval_s:
            return [0.0]
        offsets = []
        while self._due_s < self._elapsed_s:
            offsets.append(max(0.0, self._due_s - start))
            self._due_s += self._interval_s
        # The first picture costs a tenth of any other, which needs all of those before it.
        return offsets if self._interval_s < segment.seconds else [0.0] * bool(offsets)


def evenly(items: Sequence[_T], at_most: int) -> list[_T]:
    """At most so many of them, spread over all, as segments over a recording."""
    kept = min(at_most, len(items))
    return [items[index * len(items) // kept] for index in range(kept)]


def scattered(items: Sequence[_T]) -> list[_T]:
    """All of them, in an order whose every beginning is spread over all: van der Corput's, by the bits in reverse."""
    bits = max(1, (len(items) - 1).bit_length())
    return [items[index] for index in sorted(range(len(items)), key=lambda index: int(f"{index:0{bits}b}"[::-1], 2))]


def places(seconds: float, interval_s: float, at_most: int | None, *, scatter: bool = False) -> Iterator[float]:
    """Where in a recording of so many seconds pictures are taken: one each `interval_s`, or with 0 `at_most` of all.

    With neither interval nor number one every two seconds. `scatter`: those of all in the order of `scattered`.
    """
    if not interval_s and at_most and seconds:
        spread = [index * seconds / at_most for index in range(at_most)]
        yield from scattered(spread) if scatter else spread
    else:
        yield from (index * (interval_s or _SEGMENT_S) for index in (range(at_most) if at_most else count()))
