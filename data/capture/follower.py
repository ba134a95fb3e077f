"""A source followed look by look: for who follows many of them, and waits for all at once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import requests

from data.entities import Frame
from data.errors import StreamUnavailable, UndecodableVideo
from data.hls.live_stream import LiveStream
from data.hls.playlist import Segment
from data.hls.rendition import Rendition, server_unreachable

_MAX_POLL_INTERVAL_S = 10.0  # looks are never further apart: a window holds half a minute

log = logging.getLogger(__name__)

OpenedSegments = Iterable[tuple[Rendition, Segment]]
DecodeSegment = Callable[[Rendition, Segment, Sequence[float]], Sequence[bytes]]


class Follower(Protocol):
    """What comes of a source. `over`: no more will. `live`: it comes as it is made; false for a recording.

    `pause_s`: seconds after a look at which the next one should come; later, segments may be lost, which `lost` counts.
    """

    @property
    def ended(self) -> bool: ...
    @property
    def live(self) -> bool: ...
    @property
    def poll_interval_s(self) -> float: ...
    @property
    def missed_segments(self) -> int: ...

    def poll(self) -> Iterator[Frame]:
        """The frames that are new. Numbers go on from look to look. Raises as data.capture.grabber.Grabber.follow does."""


class FrameSchedule:
    """One picture every `interval_s` seconds of the stream itself; 0: the first one of each segment."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._elapsed_s = 0.0
        self._due_s = 0.0

    def offsets(self, segment: Segment) -> list[float]:
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


class FrameExtractor:
    """Segments of one stream become frames. One that fails is left out."""

    def __init__(self, name: str, decode_segment: DecodeSegment, interval_s: float) -> None:
        """`pictures(rendition, segment, offsets)` gives the segment's JPEGs at these places, seconds from its start."""
        self._name = name
        self._decode_segment = decode_segment
        self._schedule = FrameSchedule(interval_s)
        self._count = 0
        self._failure: UndecodableVideo | StreamUnavailable | None = None

    def frames(self, segments: OpenedSegments) -> Iterator[Frame]:
        """The frames of these segments, oldest first."""
        for rendition, segment in segments:
            try:
                jpegs = self._decode_segment(rendition, segment, self._schedule.offsets(segment))
            except (UndecodableVideo, StreamUnavailable, requests.RequestException) as error:
                log.info("%s: segment %s left out: %s", self._name, segment.number, error)
                self._failure = server_unreachable(error) if isinstance(error, requests.RequestException) else error
                continue
            for jpeg in jpegs:
                self._count += 1
                yield Frame(self._count, jpeg, segment.date)

    def raise_if_empty(self) -> None:
        """Raise UndecodableVideo or StreamUnavailable where there were segments, and not one gave a picture."""
        if self._failure and not self._count:
            error_type = UndecodableVideo if isinstance(self._failure, UndecodableVideo) else StreamUnavailable
            raise error_type(f"{self._name}: not one segment gave a picture ({self._failure})") from self._failure


class LiveFollower:
    """A stream in segments, from now until it ends."""

    def __init__(
        self, live: LiveStream[Rendition], extractor: FrameExtractor, initial_frames: int, max_backlog: int | None, interval_s: float
    ) -> None:
        self.live = True
        self._stream = live
        self._extractor = extractor
        self._initial_frames = initial_frames
        self._max_backlog = max_backlog
        self._interval_s = interval_s
        self._polled = False

    @property
    def ended(self) -> bool:
        """Whether the stream has ended."""
        return self._stream.ended

    @property
    def poll_interval_s(self) -> float:
        """As short as its segments, or as long as the interval of its frames."""
        return max(self._stream.poll_interval_s, min(self._interval_s, _MAX_POLL_INTERVAL_S))

    @property
    def missed_segments(self) -> int:
        """Segments that had come and gone between two looks, or were too far behind."""
        return self._stream.missed_segments

    def poll(self) -> Iterator[Frame]:
        """See Tail."""
        segments = self._stream.poll(self._initial_frames, self._max_segments())
        self.live = self.live and (self._polled or not self.ended)
        self._polled = True
        yield from self._extractor.frames(segments)
        if self.ended:
            self._extractor.raise_if_empty()

    def _max_segments(self) -> int | None:
        """How many new segments a look may bring: those of a pause, and so many that were left behind."""
        return None if self._max_backlog is None else max(1, int(self.poll_interval_s / self._stream.poll_interval_s)) + self._max_backlog


class FileFollower:
    """A recording in one file: all of it in one look."""

    live = False
    poll_interval_s = 0.0
    missed_segments = 0

    def __init__(self, frames: Iterable[Frame]) -> None:
        self.ended = False
        self._frames = frames

    def poll(self) -> Iterator[Frame]:
        """See Tail."""
        yield from self._frames
        self.ended = True
