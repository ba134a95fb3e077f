"""A source followed look by look: for who follows many of them, and waits for all at once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import requests

from data.entities import Frame
from data.errors import UndecodableVideo, StreamUnavailable
from data.hls.live_stream import Live
from data.hls.playlist import Pace, Segment
from data.hls.rendition import Rendition, no_answer

_REST_S = 10.0  # looks are never further apart: a window holds half a minute

log = logging.getLogger(__name__)

Opened = Iterable[tuple[Rendition, Segment]]
Pictures = Callable[[Rendition, Segment, Sequence[float]], Sequence[bytes]]


class Tail(Protocol):
    """What comes of a source. `over`: no more will. `live`: it comes as it is made; false for a recording.

    `pause_s`: seconds after a look at which the next one should come; later, segments may be lost, which `lost` counts.
    """

    @property
    def over(self) -> bool: ...
    @property
    def live(self) -> bool: ...
    @property
    def pause_s(self) -> float: ...
    @property
    def lost(self) -> int: ...

    def look(self) -> Iterator[Frame]:
        """The frames that are new. Numbers go on from look to look. Raises as data.capture.grabber.Grabber.follow does."""


class Taking:
    """Segments of one stream become frames. One that fails is left out."""

    def __init__(self, name: str, pictures: Pictures, interval_s: float) -> None:
        """`pictures(rendition, segment, offsets)` gives the segment's JPEGs at these places, seconds from its start."""
        self._name = name
        self._pictures = pictures
        self._pace = Pace(interval_s)
        self._count = 0
        self._failure: UndecodableVideo | StreamUnavailable | None = None

    def frames(self, segments: Opened) -> Iterator[Frame]:
        """The frames of these segments, oldest first."""
        for rendition, segment in segments:
            try:
                jpegs = self._pictures(rendition, segment, self._pace.due(segment))
            except (UndecodableVideo, StreamUnavailable, requests.RequestException) as error:
                log.info("%s: segment %s left out: %s", self._name, segment.number, error)
                self._failure = no_answer(error) if isinstance(error, requests.RequestException) else error
                continue
            for jpeg in jpegs:
                self._count += 1
                yield Frame(self._count, jpeg, segment.date)

    def end(self) -> None:
        """Raise UndecodableVideo or StreamUnavailable where there were segments, and not one gave a picture."""
        if self._failure and not self._count:
            kind = UndecodableVideo if isinstance(self._failure, UndecodableVideo) else StreamUnavailable
            raise kind(f"{self._name}: not one segment gave a picture ({self._failure})") from self._failure


class LiveTail:
    """A stream in segments, from now until it ends."""

    def __init__(
        self, live: Live[Rendition], taking: Taking, at_first: int, behind: int | None, interval_s: float
    ) -> None:
        self.live = True
        self._stream = live
        self._taking = taking
        self._at_first = at_first
        self._behind = behind
        self._interval_s = interval_s
        self._looked = False

    @property
    def over(self) -> bool:
        """Whether the stream has ended."""
        return self._stream.over

    @property
    def pause_s(self) -> float:
        """As short as its segments, or as long as the interval of its frames."""
        return max(self._stream.pause_s, min(self._interval_s, _REST_S))

    @property
    def lost(self) -> int:
        """Segments that had come and gone between two looks, or were too far behind."""
        return self._stream.lost

    def look(self) -> Iterator[Frame]:
        """See Tail."""
        segments = self._stream.look(self._at_first, self._at_most())
        self.live = self.live and (self._looked or not self.over)
        self._looked = True
        yield from self._taking.frames(segments)
        if self.over:
            self._taking.end()

    def _at_most(self) -> int | None:
        """How many new segments a look may bring: those of a pause, and so many that were left behind."""
        return None if self._behind is None else max(1, int(self.pause_s / self._stream.pause_s)) + self._behind


class FileTail:
    """A recording in one file: all of it in one look."""

    live = False
    pause_s = 0.0
    lost = 0

    def __init__(self, frames: Iterable[Frame]) -> None:
        self.over = False
        self._frames = frames

    def look(self) -> Iterator[Frame]:
        """See Tail."""
        yield from self._frames
        self.over = True
