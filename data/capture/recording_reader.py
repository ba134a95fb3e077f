"""Recording reader: frames at any times of a recording in segments (HLS), such as a VOD of Twitch.

A time's segment follows from the durations in the playlist. Its first frame, a key frame, takes one range request. For
a time within the segment, its bytes are read up to that frame and kept for the next request.
"""

from __future__ import annotations

import logging
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Protocol

from data.capture.follower import all_failed, requests_errors
from data.capture.pictures import PictureFiles
from data.capture.source_resolver import VideoFile
from data.errors import (
    OnlyAds,
    SourceNotFound,
    StreamError,
    StreamUnavailable,
    UndecodableVideo,
    translate_unexpected,
)
from data.hls.playlist import Segment
from data.hls.rendition import HttpStatusError, Rendition
from data.readers import ChainedReader, Readable
from data.video.sampling import FrameRequest, RecordedFrame

_MAX_FAILING_S = 60.0  # without a frame: each of thousands of segments may take the deadline
_MAX_KEPT_BYTES = 32 << 20  # of segments that were read in part
_BEYOND_THE_END = 416  # RFC 9110, 15.5.17
_TICK_S = 0.01  # the start of a segment, as durations are rounded

log = logging.getLogger(__name__)


class OpenRecording(Protocol):
    """Random access to a recording. `duration_s`: its length. `decoded_frames`: how many were decoded so far."""

    duration_s: float
    decoded_frames: int

    def frames(self, requests: Sequence[FrameRequest]) -> Iterator[tuple[FrameRequest, RecordedFrame]]:
        """Yield the frames of requests in ascending order; none for a request whose place cannot be decoded.

        Raises StreamError if the recording as a whole cannot be read.
        """


@contextmanager
def open_recording(
    source: str,
    found: Rendition | VideoFile | PictureFiles,
    img_size: int,
    jpeg_quality: int,
    stopped: Callable[[], bool],
) -> Iterator[OpenRecording]:
    """Yield random access to what the resolver found for a source. Raises StreamError.

    stopped: nothing more is read of a file once it returns true.
    """
    from data.video.random_access import FileRecording  # loads FFmpeg

    if isinstance(found, PictureFiles):
        raise UndecodableVideo(f"{source}: pictures have no times; name a video")
    if isinstance(found, Rendition):
        yield PlaylistRecording(found, img_size, jpeg_quality)
    else:
        with found.reading() as file:
            yield FileRecording(file, img_size, jpeg_quality, stopped)


class PlaylistRecording:
    """A recording in segments. Raises SourceNotFound for a live stream."""

    def __init__(self, rendition: Rendition, img_size: int, jpeg_quality: int) -> None:
        from data.video.decoder import Decoder

        self.decoded_frames = 0
        self._rendition, self._img_size, self._jpeg_quality = rendition, img_size, jpeg_quality
        playlist = rendition.playlist()
        # The playlist of a VOD whose broadcast still runs has no end, but its beginning.
        if not playlist.ended and (not playlist.segments or playlist.segments[0].number):
            raise SourceNotFound(f"{rendition.name} is a live stream; name a recording")
        self._segments = [_readable(segment) for segment in playlist.segments]
        *self._starts, self.duration_s = accumulate((s.seconds for s in self._segments), initial=0.0)
        if not any(segment.usable for segment in self._segments):
            raise OnlyAds(f"{rendition.name} has no segments with video")
        self._decoder = Decoder()
        self._kept: dict[int, _Beginning] = {}  # the first bytes of segments, by index
        self._failure: StreamError | None = None  # the latest
        self._failing_since: float | None = None  # without a frame, in one call of `frames` or in several

    def frames(self, requests: Sequence[FrameRequest]) -> Iterator[tuple[FrameRequest, RecordedFrame]]:
        """Yield the frames of requests, as OpenRecording says. Raises StreamError if there was none up to now."""
        for request in requests:
            started = time.monotonic()
            try:
                with translate_unexpected(self._rendition.name), requests_errors():
                    frame = self._frame(request)
            except StreamError as error:
                log.info("%s: nothing at %.1f s: %s", self._rendition.name, request.time_s, error)
                self._failure, self._failing_since = error, self._failing_since or started
                if time.monotonic() - self._failing_since > _MAX_FAILING_S:
                    raise StreamUnavailable(f"{self._rendition.name}: its segments fail ({error})") from error
            else:
                self._failing_since = None
                yield request, frame
        if self._failure and not self.decoded_frames:
            raise all_failed(self._rendition.name, self._failure) from self._failure

    def _frame(self, request: FrameRequest) -> RecordedFrame:
        from data.video.decoder import first_frame, frame_at

        index = max(0, bisect_right(self._starts, request.time_s + _TICK_S) - 1)
        segment, start_s = self._segments[index], self._starts[index]
        if not segment.usable:
            raise OnlyAds("its segment is missing, encrypted or an ad")
        if start_s > request.after_s:
            with self._rendition.open_segment(segment) as file:
                jpeg = first_frame(file, self._img_size, self._jpeg_quality, self._decoder)
            self.decoded_frames += 1
            return RecordedFrame(start_s, jpeg)
        with self._open_kept(index) as file:
            offset_s, jpeg, decoded = frame_at(
                file, request.time_s - start_s, request.after_s - start_s, self._img_size, self._jpeg_quality
            )
        self.decoded_frames += decoded
        return RecordedFrame(start_s + offset_s, jpeg)

    @contextmanager
    def _open_kept(self, index: int) -> Iterator[Readable]:
        """Open a segment as a file; bytes that were read before are not requested again."""
        segment = self._segments[index]
        while sum(len(kept.content) for kept in self._kept.values()) > _MAX_KEPT_BYTES:
            del self._kept[next(iter(self._kept))]  # the oldest
        kept = self._kept.setdefault(index, _Beginning())
        media = replace(segment.byte_range, start=segment.byte_range.start + len(kept.content))
        kept.ended = kept.ended or media.start == media.end
        init = self._rendition.init_section(segment)
        try:
            with self._rendition.open_bytes(media) as rest:  # requests nothing before it is read
                yield ChainedReader(init, _KeepingReader(kept, rest))
                kept.content.extend(rest.read_requested())
        except HttpStatusError:
            if not kept.ended:  # else it only said that all bytes are kept
                raise


@dataclass
class _Beginning:
    """The first bytes of a segment; `ended`: there are no more."""

    content: bytearray = field(default_factory=bytearray)
    ended: bool = False


class _KeepingReader:
    """Reads the bytes that were kept, then those of `rest`, which it keeps."""

    def __init__(self, kept: _Beginning, rest: Readable) -> None:
        self._kept, self._rest, self._position = kept, rest, 0

    def read(self, size: int, /) -> bytes:
        """Return 1 to `size` bytes; b"" only at the end of the file."""
        if self._position >= len(self._kept.content) and not self._kept.ended:
            self._read_on(size)
        part = bytes(self._kept.content[self._position : self._position + size])
        self._position += len(part)
        return part

    def _read_on(self, size: int) -> None:
        try:
            part = self._rest.read(size)
        except HttpStatusError as error:
            if error.status != _BEYOND_THE_END or not self._kept.content:
                raise
            part = b""
        self._kept.ended = not part
        self._kept.content.extend(part)


def _readable(segment: Segment) -> Segment:
    """Return the segment under the address at which Twitch serves it.

    A playlist may name files such as 7-unmuted.ts where music was muted. They are refused; 7-muted.ts has the video.
    """
    uri = segment.byte_range.uri
    return replace(segment, byte_range=replace(segment.byte_range, uri=uri.replace("-unmuted.ts", "-muted.ts")))
