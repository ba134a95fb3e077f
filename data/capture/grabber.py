"""Grabber: frames of a login, a URL or a file, one for each segment, without ads."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING

from data.capture.follower import FileFollower, Follower, FrameExtractor, LiveFollower
from data.capture.pictures import PictureFiles
from data.capture.source_resolver import SourceResolver, VideoFile
from data.entities import Frame
from data.errors import OnlyAds, StreamOffline, translate_unexpected
from data.hls.live_stream import LiveStream
from data.hls.playlist import Segment, SegmentTracker
from data.hls.rendition import Rendition
from data.twitch.addresses import without_start
from data.video.sampling import bit_reversed, evenly_spaced

if TYPE_CHECKING:
    from data.capture.recording_reader import OpenRecording
    from data.video.decoder import Decoder

_MIN_FRAMES = 5  # wait for the end of ads only while there are fewer frames than this

Sleep = Callable[[float], object]  # waits the given seconds; a true result means: stop waiting

log = logging.getLogger(__name__)


class Grabber:
    """Takes frames from live streams and recordings. Several threads may share a grabber; `close` ends it.

    A source is a Twitch login, a URL that Streamlink supports (a channel, a recording, a clip, a
    playlist), or the path of a video file.

    Args:
        img_size: width and height of a frame, pixels; the aspect ratio is not kept.
        jpeg_quality: 1 to 100.
        quality: auto (the smallest rendition that covers img_size), best, worst, or a rendition's name.
            A channel without that rendition gives the one of auto.
        frame_interval_s: seconds of video between two frames; 0: one frame of each segment.
        timeout_s: seconds to connect to a server, and between two bytes.
        deadline_s: seconds for one response.
        standin: loopback URL of a stand-in for Twitch; "": the real Twitch.
        pool_size: number of connections kept open.
        public_only: for sources that strangers name: no files, and connections to public addresses only.
        sleep: waits while ads fill the playlist; it returns true to stop waiting, as `threading.Event.wait` does.
        clock: monotonic clock, in seconds; `sleep` must advance it.

    Raises:
        SourceNotFound: no such channel, URL or file.
        StreamOffline: the stream has ended or not started.
        OnlyAds: every segment was an ad.
        UndecodableVideo: no segment could be decoded.
        StreamUnavailable: the servers failed.

    Example:
        with Grabber(img_size=240, jpeg_quality=95) as grabber:
            for frame in grabber.frames("some_login", max_frames=15):
                Path(f"{frame.number}.jpg").write_bytes(frame.jpeg)
    """

    def __init__(
        self,
        *,
        img_size: int,
        jpeg_quality: int,
        quality: str = "auto",
        frame_interval_s: float = 0.0,
        timeout_s: float = 10.0,
        deadline_s: float = 30.0,
        standin: str = "",
        pool_size: int = 16,
        public_only: bool = False,
        sleep: Sleep = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._img_size, self._jpeg_quality = img_size, jpeg_quality
        self._interval_s = frame_interval_s
        self._sleep, self._clock = sleep, clock
        self._closed = threading.Event()
        self._resolver = SourceResolver(
            img_size=img_size,
            quality=quality,
            timeout_s=timeout_s,
            deadline_s=deadline_s,
            standin=standin,
            pool_size=pool_size,
            public_only=public_only,
        )

    def close(self) -> None:
        """Close the connections, and end the reading of files. Calling it again does nothing."""
        self._closed.set()
        self._resolver.close()

    def __enter__(self) -> Grabber:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def frames(
        self,
        source: str,
        max_frames: int,
        ad_wait_s: float = 0.0,
        spread_first: bool = False,
        sleep: Sleep | None = None,
    ) -> Iterator[Frame]:
        """Yield up to `max_frames` frames of what `source` shows now, oldest first. Segments that fail are skipped.

        A live stream gives the newest segments of its playlist. A recording gives frames spread over its
        length; with a frame interval, frames from its start. Raises StreamError before the first frame.

        Args:
            source: login, URL or path.
            max_frames: 1 or more.
            ad_wait_s: seconds to wait for the end of ads that fill the playlist.
            spread_first: yield frames in bit-reversal order, so that the first few represent the whole; it
                has no effect with a frame interval.
            sleep: waits instead of the grabber's own `sleep`.
        """
        with translate_unexpected(source):
            found = self._resolver.open(source)
            if isinstance(found, (VideoFile, PictureFiles)):
                yield from islice(self._file_frames(found, max_frames, spread_first), max_frames)
                return
            extractor = FrameExtractor(found.name, self._decode_segment, self._interval_s)
            segments = self._live_segments(found, max_frames, ad_wait_s, spread_first, sleep or self._sleep)
            yield from islice(extractor.frames(segments), max_frames)
            extractor.raise_if_empty()

    def open_follower(self, source: str, initial_frames: int = 1, max_backlog: int | None = None) -> Follower:
        """Return a follower, which yields new frames whenever it is polled, until the stream ends.

        Ads and segments that fail are skipped, expired addresses reopened, server errors tolerated for 60 s.
        `initial_frames`: number of newest segments to begin with. `max_backlog`: number of unread segments
        that a late poll still returns; None: no limit. Raises StreamError, as do the polls.
        """
        with translate_unexpected(source):
            found = self._resolver.open(source)
            if isinstance(found, (VideoFile, PictureFiles)):
                return FileFollower(source, self._file_frames(found, None))
            live = LiveStream(found, lambda: self._resolver.open_stream(source), self._clock)
            extractor = FrameExtractor(found.name, self._decode_segment, self._interval_s)
            return LiveFollower(live, extractor, initial_frames, max_backlog, self._interval_s)

    def open_recording(self, source: str) -> AbstractContextManager[OpenRecording]:
        """Open random access to a recording: a VOD, a clip or a file. Raises StreamError, also for a channel."""
        from data.capture.recording_reader import open_recording

        found = self._resolver.open(without_start(source))
        return open_recording(source, found, self._img_size, self._jpeg_quality, self._closed.is_set)

    def _live_segments(
        self, rendition: Rendition, max_frames: int, ad_wait_s: float, spread_first: bool, sleep: Sleep
    ) -> Iterator[tuple[Rendition, Segment]]:
        """Yield segments without ads. If ads leave too few segments, poll again for up to `ad_wait_s`."""
        end = self._clock() + ad_wait_s
        tracker, count, ads = SegmentTracker(), 0, False
        while True:
            playlist = rendition.playlist()
            new = tracker.new_segments(playlist)
            ads = ads or any(segment.ad for segment in new)
            selected = self._select(new, max_frames - count, playlist.ended)
            for segment in bit_reversed(selected) if spread_first and not self._interval_s else selected:
                count += 1
                yield rendition, segment
            pause_s = max(1.0, playlist.target_s)
            if count >= min(max_frames, _MIN_FRAMES) or not ads or playlist.ended or self._clock() + pause_s > end:
                break
            log.info("%s: ads; waiting for the stream", rendition.name)
            if sleep(pause_s):
                break
        if not count:
            name = rendition.name
            raise OnlyAds(f"{name} shows nothing but ads") if ads else StreamOffline(f"{name} has no segments")

    def _select(self, segments: Sequence[Segment], wanted: int, ended: bool) -> Sequence[Segment]:
        """Return the usable segments to decode: of a live stream the newest, of a recording evenly spaced ones."""
        content = [segment for segment in segments if segment.usable]
        if self._interval_s:  # the schedule of the extractor selects
            return content
        return evenly_spaced(content, wanted) if ended else content[max(0, len(content) - wanted) :]

    @cached_property
    def _decoder(self) -> Decoder:
        from data.video.decoder import Decoder  # FFmpeg loads while the first request is under way

        return Decoder()

    def _decode_segment(self, rendition: Rendition, segment: Segment, offsets_s: Sequence[float]) -> list[bytes]:
        """Return the segment's frames at these offsets as JPEGs."""
        from data.video.decoder import first_frame, frames_at

        if not offsets_s:
            return []
        # Only the start of a segment is fetched, unless a frame further on is wanted.
        if list(offsets_s) == [0.0]:
            with rendition.open_segment(segment) as file:
                return [first_frame(file, self._img_size, self._jpeg_quality, self._decoder)]
        jpegs: list[bytes] = []
        try:
            with rendition.open_segment(segment, whole=True) as file:
                jpegs.extend(frames_at(file, offsets_s, self._img_size, self._jpeg_quality))
        except Exception:
            if not jpegs:
                raise
            log.debug("%s: segment %s breaks off", rendition.name, segment.number, exc_info=True)
        return jpegs

    def _file_frames(
        self, file: VideoFile | PictureFiles, max_frames: int | None, spread_first: bool = False
    ) -> Iterator[Frame]:
        """Yield the frames of a video file, at the times of `data.video.sampling.sample_times`, or pictures."""
        if isinstance(file, PictureFiles):
            jpegs = file.jpegs(max_frames, self._img_size, self._jpeg_quality, spread_first=spread_first)
        else:
            jpegs = self._video_jpegs(file, max_frames, spread_first)
        yield from (Frame(number, jpeg) for number, jpeg in enumerate(jpegs, 1))

    def _video_jpegs(self, file: VideoFile, max_frames: int | None, spread_first: bool) -> Iterator[bytes]:
        from data.video.recording import sample_recording

        with file.reading() as video:
            yield from sample_recording(
                video,
                self._interval_s,
                max_frames,
                self._img_size,
                self._jpeg_quality,
                spread_first=spread_first,
                stopped=self._closed.is_set,
            )
