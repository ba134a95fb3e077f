"""Follower: a source that is polled for new frames, so that one caller can follow many sources and wait for all."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import requests

from data.entities import Frame
from data.errors import StreamError, StreamUnavailable, UndecodableVideo, UnexpectedStreamError, translate_unexpected
from data.hls.live_stream import LiveStream
from data.hls.playlist import Segment
from data.hls.rendition import Rendition, server_unreachable

_MAX_POLL_INTERVAL_S = 10.0  # a playlist lists about 30 s: with longer pauses segments would be missed
_MAX_FAILING_S = 60.0  # without a frame: a recording may list 100,000 segments, each of which takes the deadline

log = logging.getLogger(__name__)

# (rendition, segment, offsets in seconds) → JPEGs
DecodeSegment = Callable[[Rendition, Segment, Sequence[float]], Sequence[bytes]]


class Follower(Protocol):
    """A followed source."""

    ended: bool  # no more frames will come
    live: bool  # false for a recording
    poll_interval_s: float  # from the start of a poll to the next one
    missed_segments: int  # lost to late polls or to a backlog

    def poll(self) -> Iterator[Frame]:
        """Yield the new frames, numbered on from poll to poll. Raises StreamError."""


class FrameSchedule:
    """The times of one stream's frames: one each `interval_s` seconds of its video; 0: the first of each segment."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._elapsed_s = self._next_s = 0.0

    def offsets(self, segment: Segment) -> list[float]:
        """Return the frames to take of the next segment, in seconds from its start, ascending."""
        start = self._elapsed_s
        self._elapsed_s += segment.seconds
        if not self._interval_s:
            return [0.0]
        offsets = []
        while self._next_s < self._elapsed_s:
            offsets.append(max(0.0, self._next_s - start))
            self._next_s += self._interval_s
        # A first frame costs a tenth of any later one, which needs all frames before it: so round down to it.
        return offsets if self._interval_s < segment.seconds else [0.0] * bool(offsets)


class FrameExtractor:
    """Decodes the segments of the stream `name` to frames, one each `interval_s` seconds, and skips failures."""

    def __init__(self, name: str, decode_segment: DecodeSegment, interval_s: float) -> None:
        self.name = name
        self._decode_segment = decode_segment
        self._schedule = FrameSchedule(interval_s)
        self._count = 0
        self._failure: StreamError | None = None

    def frames(self, segments: Iterable[tuple[Rendition, Segment]]) -> Iterator[Frame]:
        """Yield the frames of these segments, oldest first. Stop after a minute of failures in a row."""
        failing_s = 0.0
        for rendition, segment in segments:
            start = time.monotonic()
            jpegs = self._decode(rendition, segment)
            failing_s = 0.0 if jpegs else failing_s + time.monotonic() - start
            for jpeg in jpegs:
                self._count += 1
                yield Frame(self._count, jpeg, segment.date)
            if failing_s > _MAX_FAILING_S:
                log.info("%s: no frames for %.0f s; the other segments are skipped", self.name, failing_s)
                return

    def raise_if_empty(self) -> None:
        """Raise the last failure, as an error of the stream, if all segments failed."""
        if self._failure and not self._count:
            raise all_failed(self.name, self._failure) from self._failure

    def _decode(self, rendition: Rendition, segment: Segment) -> Sequence[bytes]:
        """Return the segment's frames; none if it fails."""
        try:
            with translate_unexpected(self.name), requests_errors():
                return self._decode_segment(rendition, segment, self._schedule.offsets(segment))
        except StreamError as error:
            self._failure = error
        log.info("%s: segment %s skipped: %s", self.name, segment.number, self._failure)
        return ()


def all_failed(name: str, failure: StreamError) -> StreamError:
    """Return the failure of the last segment as an error of the stream, of which all segments failed."""
    types = (UndecodableVideo, UnexpectedStreamError)
    error_type = next((kind for kind in types if isinstance(failure, kind)), StreamUnavailable)
    return error_type(f"{name}: no segment could be decoded ({failure})")


@contextmanager
def requests_errors() -> Iterator[None]:
    """Raise StreamUnavailable for the errors of requests."""
    try:
        yield
    except requests.RequestException as error:
        raise server_unreachable(error) from error


class LiveFollower:
    """Follower of a stream in segments, from now until it ends. For the parameters see `Grabber.open_follower`."""

    def __init__(
        self,
        stream: LiveStream,
        extractor: FrameExtractor,
        initial_frames: int,
        max_backlog: int | None,
        interval_s: float,
    ) -> None:
        self.ended, self.live = False, True
        self.missed_segments = 0
        self._stream = stream
        self._extractor = extractor
        self._initial_frames = initial_frames
        self._max_backlog = max_backlog
        self._min_interval_s = min(interval_s, _MAX_POLL_INTERVAL_S)
        self.poll_interval_s = max(stream.poll_interval_s, self._min_interval_s)
        self._polled = False

    def poll(self) -> Iterator[Frame]:
        """Yield the new frames. Raises StreamError."""
        with translate_unexpected(self._extractor.name):
            yield from self._poll()

    def _poll(self) -> Iterator[Frame]:
        max_segments = None
        if self._max_backlog is not None:  # in addition to the segments of one interval
            max_segments = max(1, int(self.poll_interval_s / self._stream.poll_interval_s)) + self._max_backlog
        segments = self._stream.poll(self._initial_frames, max_segments)
        self.ended, self.missed_segments = self._stream.ended, self._stream.missed_segments
        self.poll_interval_s = max(self._stream.poll_interval_s, self._min_interval_s)
        # A playlist that has ended at its first poll is a recording.
        self.live = self.live and (self._polled or not self.ended)
        self._polled = True
        yield from self._extractor.frames(segments)
        if self.ended:
            self._extractor.raise_if_empty()


class FileFollower:
    """Follower of a recording in one file: the first poll yields all its frames."""

    live = False
    poll_interval_s = 0.0
    missed_segments = 0

    def __init__(self, name: str, frames: Iterable[Frame]) -> None:
        self.ended = False
        self._name = name
        self._frames = frames

    def poll(self) -> Iterator[Frame]:
        """Yield all frames of the file."""
        with translate_unexpected(self._name):
            yield from self._frames
        self.ended = True
