"""Grabbing: a login, an address or a file becomes frames, the first one of each segment, ads left out."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice

from data.capture.follower import FileFollower, Follower, FrameExtractor, LiveFollower
from data.capture.source_resolver import SourceResolver, VideoFile
from data.entities import Frame
from data.errors import OnlyAds, StreamOffline, StreamUnavailable, UndecodableVideo
from data.hls.live_stream import LiveStream
from data.hls.playlist import Segment, SegmentTracker
from data.hls.rendition import Rendition
from data.video.decoder import Decoder, first_frame, frames_at, sample_recording
from data.video.sampling import bit_reversed, evenly_spaced

_MIN_FRAMES = 5  # ads are waited out only until this many frames are there

Sleep = Callable[[float], object]  # so many seconds; true when there is no more waiting

log = logging.getLogger(__name__)


class Grabber:
    """Takes frames from streams and recordings. One instance keeps one connection pool; `close` ends it.

    A source is a login of Twitch, an address that Streamlink knows (a channel, a recording, a clip, a playlist), or
    a video file on this disk. `frames` and `follow` may be called from several threads at once.
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
        sleep: Sleep = time.sleep,
    ) -> None:
        """Take the settings of the same names; no request is made yet.

        `quality`: auto, best, worst or a rendition's name; a channel without it gives what auto would choose.
        `pool_size`: connections kept open.
        `sleep`: how to wait for the next segments; true when there is no more waiting, as a stop event's `wait` is.
        """
        self._img_size = img_size
        self._jpeg_quality = jpeg_quality
        self._interval_s = frame_interval_s
        self._deadline_s = deadline_s
        self._sleep = sleep
        self._decoders: deque[Decoder] = deque()
        self._resolver = SourceResolver(
            img_size=img_size,
            quality=quality,
            timeout_s=timeout_s,
            deadline_s=deadline_s,
            standin=standin,
            pool_size=pool_size,
        )

    def close(self) -> None:
        """Close the connections; safe to call twice."""
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
        """What `source` shows now, in up to `at_most` frames, oldest first.

        `scatter`: in another order, the first few from all parts of it already; where an interval is set, oldest first.
        Of a live stream: of its window's newest segments; where ads have taken the window, it waits up to `ad_wait_s`
        seconds for more, by `sleep` if one is given. Of a recording: spread over all of it, or from its start where
        frames come in an interval. A segment that fails is left out. Raises, at the first frame at the latest:
        SourceNotFound, StreamOffline, OnlyAds, StreamUnavailable, or UndecodableVideo when no segment could be decoded.
        """
        found = self._resolver.open(source)
        if isinstance(found, VideoFile):
            yield from islice(self._file_frames(found, max_frames, spread_first), max_frames)
            return
        extractor = self._extractor(found)
        window = self._live_segments(found, max_frames, ad_wait_s, spread_first, sleep or self._sleep)
        yield from islice(extractor.frames(window), max_frames)
        extractor.raise_if_empty()

    def follow(self, source: str, initial_frames: int = 1) -> Iterator[Frame]:
        """Each new segment's frame from now until the stream ends, no segment twice and none lost.

        `at_first`: of the live window's newest segments, so many to begin with. A recording is gone through from its
        start. Ads and segments that fail are left out; an address that dies is renewed; servers that fail are tried
        again for a minute. Raises as `frames` does, but OnlyAds; StreamUnavailable also later.
        """
        open_follower = self.open_follower(source, initial_frames)
        while not open_follower.ended:
            looked_at = time.monotonic()
            yield from open_follower.poll()
            if not open_follower.ended and self._sleep(max(0.0, looked_at + open_follower.poll_interval_s - time.monotonic())):
                return

    def open_follower(self, source: str, initial_frames: int = 1, max_backlog: int | None = None) -> Follower:
        """The same look by look, for who follows many sources: whoever asks does the waiting.

        `behind`: segments of a live stream that are more than so many behind are passed over, when looks come late.
        """
        found = self._resolver.open(source)
        if isinstance(found, VideoFile):
            return FileFollower(self._file_frames(found, None))
        live = LiveStream(found, lambda: self._resolver.open_stream(source), self._sleep)
        return LiveFollower(live, self._extractor(found), initial_frames, max_backlog, self._interval_s)

    def _live_segments(
        self, rendition: Rendition, max_frames: int, ad_wait_s: float, spread_first: bool, sleep: Sleep
    ) -> Iterator[tuple[Rendition, Segment]]:
        """Segments of the stream itself: the window's, and while ads hide too many, those to come."""
        end = time.monotonic() + ad_wait_s
        seen, count, ads = SegmentTracker(), 0, False
        while True:
            playlist = rendition.playlist()
            new = seen.new_segments(playlist)
            ads = ads or any(segment.ad for segment in new)
            chosen = self._select(new, max_frames - count, playlist.ended)
            for segment in bit_reversed(chosen) if spread_first and not self._interval_s else chosen:
                count += 1
                yield rendition, segment
            pause = max(1.0, playlist.target_s)
            if count >= min(max_frames, _MIN_FRAMES) or not ads or playlist.ended or time.monotonic() + pause > end:
                break
            log.info("%s: ads; waiting for the stream", rendition.name)
            if sleep(pause):
                break
        if not count:
            name = rendition.name
            raise OnlyAds(f"{name} shows nothing but ads") if ads else StreamOffline(f"{name} has no segments")

    def _select(self, segments: Sequence[Segment], wanted: int, over: bool) -> Sequence[Segment]:
        """Of a live window the newest, of a recording some of all its parts; all, where an interval does the choice."""
        content = [segment for segment in segments if not segment.ad]
        if self._interval_s:
            return content
        return evenly_spaced(content, wanted) if over else content[max(0, len(content) - wanted) :]

    def _extractor(self, rendition: Rendition) -> FrameExtractor:
        return FrameExtractor(rendition.name, self._decode_segment, self._interval_s)

    def _decode_segment(self, rendition: Rendition, segment: Segment, offsets_s: Sequence[float]) -> list[bytes]:
        """The segment's pictures at these places. More is fetched of it than its start only where one is further on."""
        if not offsets_s:
            return []
        first_only = list(offsets_s) == [0.0]
        with rendition.open_segment(segment, whole=not first_only) as file:
            if first_only:
                with self._decoder() as decoder:
                    return [first_frame(file, self._img_size, self._jpeg_quality, decoder)]
            return list(frames_at(file, offsets_s, self._img_size, self._jpeg_quality))

    @contextmanager
    def _decoder(self) -> Iterator[Decoder]:
        """A decoder that nobody else uses meanwhile. They are kept: those of streams before serve those that come."""
        try:
            decoder = self._decoders.pop()
        except IndexError:
            decoder = Decoder()
        try:
            yield decoder
        finally:
            self._decoders.append(decoder)

    def _file_frames(self, file: VideoFile, max_frames: int | None, spread_first: bool = False) -> Iterator[Frame]:
        """Frames of a recording in one file: `at_most` spread over it, or one each interval."""
        try:
            with file.open() as video:
                jpegs = sample_recording(video, self._interval_s, max_frames, self._img_size, self._jpeg_quality, spread_first=spread_first)
                yield from (Frame(number, jpeg) for number, jpeg in enumerate(jpegs, 1))
        except UndecodableVideo as error:
            raise UndecodableVideo(f"{file.name}: {error}") from error
        except (OSError, StreamUnavailable) as error:
            raise StreamUnavailable(f"{file.name}: {error}") from error
