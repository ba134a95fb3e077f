"""Pictures: the first frame of a video segment, scaled, as JPEG. The only importer of av and cv2."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from data.errors import UndecodableVideo
from data.readers import ChainedReader, Readable
from data.video.images import area_average, encode_jpeg
from data.video.sampling import sample_times

_MAX_PIXELS = 4096 * 2304  # what Twitch can send at most; more is a bomb, not a stream
_READ_BYTES = 8192  # FFmpeg reads in steps of it: what is fetched beyond the first frame is less than that
_FAST_OPEN_OPTIONS = {
    # Without these FFmpeg reads on, up to 5 MB, to learn of frame rates and further tracks.
    "probesize": "32",
    "analyzeduration": "0",
    "fpsprobesize": "0",
    # No decoder for the demuxer: it would decode the first frame to describe the stream, and we again to have it.
    "codec_whitelist": "none",
}
_DECODER = {"max_pixels": str(_MAX_PIXELS)}  # the container may have lied
_CONTAINERS = "mov,matroska,webm,mpegts,flv,avi,ogg,asf"  # none that names other files to open, as playlists do
_SEEK_S = 2.0  # a jump of so much is worth a seek, to the key frame before it
_NEAR_S = 0.001  # times are fractions of a tick
_PLANAR = {"yuv420p", "yuvj420p"}  # what Twitch sends: brightness, and two planes of colour at half its size


class Decoder:
    """FFmpeg's decoder, kept from one segment to the next, of any stream: making one takes a tenth of a frame's time.

    For one thread at a time.
    """

    def __init__(self) -> None:
        self._kind: tuple[str, bytes | None] | None = None
        self._context: av.VideoCodecContext | None = None

    def first_keyframe(self, container: av.container.InputContainer, stream: av.VideoStream) -> av.VideoFrame:
        """The first key frame, without the two frames or so that a decoder wants to see before it gives one out.

        It keeps back what B-frames may still have to come before; at the end of its input it gives out all. So each
        key frame is its end.
        """
        context = self._context_for(stream)
        for packet in container.demux(stream):
            if packet.is_keyframe:
                if frames := context.decode(packet) or context.decode(None):
                    self._context = context  # it has proved its worth
                    return frames[0]
                context.flush_buffers()
        raise UndecodableVideo("the segment holds no key frame")

    def _context_for(self, stream: av.VideoStream) -> av.VideoCodecContext:
        """The kept one if it is of this stream's kind; it is let go of until it has decoded this frame, too."""
        context, self._context = self._context, None
        kind = (stream.codec_context.name, stream.codec_context.extradata)
        if context is None or kind != self._kind:
            self._kind = kind
            return stream.codec_context
        context.flush_buffers()
        return context


def first_frame(segment: Readable, img_size: int, jpeg_quality: int, decoder: Decoder | None = None) -> bytes:
    """The first frame of an MPEG-TS segment, or of an fMP4 one with its init section in front, as JPEG.

    Reads no further than that frame. Scaled by area averaging to `img_size` x `img_size` pixels, whatever the
    aspect, as the original did. Raises UndecodableVideo when the bytes hold no decodable video; what `read` raises
    passes through. `decoder`: kept by who asks for many segments.
    """
    with _opened_segment(segment) as (container, stream):
        return encode_jpeg(resize_frame((decoder or Decoder()).first_keyframe(container, stream), img_size), jpeg_quality)


def frames_at(segment: Readable, offsets_s: Iterable[float], img_size: int, jpeg_quality: int) -> Iterator[bytes]:
    """The same for the frames shown so many seconds after the first one, in order; reads on to the last of them."""
    with _opened_segment(segment) as (container, stream):
        frames = container.decode(stream)
        frame = next(frames, None)
        start = frame.time if frame else 0.0
        for offset in offsets_s:
            while frame and frame.time - start < offset - _NEAR_S:
                frame = next(frames, None)
            if frame is None:
                raise UndecodableVideo("the segment holds no frame there")
            yield encode_jpeg(resize_frame(frame, img_size), jpeg_quality)


def sample_recording(
    file: IO[bytes], interval_s: float, max_frames: int | None, img_size: int, jpeg_quality: int, *, spread_first: bool = False
) -> Iterator[bytes]:
    """Frames of a recording in a file, as JPEGs, at the `data.video.sampling.sample_times` of these arguments.

    `file`: open for reading and seeking, MP4, Matroska or another usual container. Raises UndecodableVideo.
    """
    with _decode_errors(), av.open(file, options={"format_whitelist": _CONTAINERS}) as container:
        stream = _video_stream(container)
        seconds = (container.duration or 0) / av.time_base
        frames: Iterator[av.VideoFrame] = iter(())
        position = -math.inf
        for offset in sample_times(seconds, interval_s, max_frames, spread_first=spread_first):
            if not position <= offset < position + _SEEK_S:
                container.seek(int(offset * av.time_base) + (container.start_time or 0))
                frames = container.decode(stream)
            start = (stream.start_time or 0) * stream.time_base
            frame = next((f for f in frames if f.time - start >= offset - _NEAR_S), None)
            if frame is None and spread_first:  # it is shorter than it says; others may be there
                position = -math.inf
                continue
            if frame is None:
                return
            position = frame.time - start
            yield encode_jpeg(resize_frame(frame, img_size), jpeg_quality)


@contextmanager
def _decode_errors() -> Iterator[None]:
    try:
        yield
    except (av.FFmpegError, ValueError, EOFError) as error:
        raise UndecodableVideo(f"the video cannot be decoded: {error}") from error


@contextmanager
def _opened_segment(segment: Readable) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    start = segment.read(_READ_BYTES)
    # The container is told, not guessed: FFmpeg would open playlists and lists of files too, and what these name.
    container = "mpegts" if start[:1] == b"\x47" else "mp4"
    joined = ChainedReader(start, segment)
    with (
        _decode_errors(),
        av.open(joined, format=container, options=_FAST_OPEN_OPTIONS, buffer_size=_READ_BYTES) as opened,
    ):
        yield opened, _video_stream(opened)


def _video_stream(container: av.container.InputContainer) -> av.VideoStream:
    """The video in it, set up to be decoded."""
    if not container.streams.video:
        raise UndecodableVideo("there is no video in it")
    stream = container.streams.video[0]
    if stream.codec_context is None:  # damage can turn its codec into one that FFmpeg does not know
        raise UndecodableVideo("the video's codec is unknown")
    if stream.width * stream.height > _MAX_PIXELS:
        raise UndecodableVideo(f"the video has {stream.width}x{stream.height} pixels")
    stream.codec_context.thread_count = 1  # for one frame: a second thread only delays it
    stream.codec_context.options = _DECODER
    return stream


def resize_frame(frame: av.VideoFrame, img_size: int) -> np.ndarray:
    """A decoded frame as uint8 RGB (img_size, img_size, 3), by area averaging.

    The planes are averaged as they were decoded and become RGB in the small: a third of the work of the other
    order, and the same JPEG, which halves the colour planes anyway.
    """
    if frame.format.name not in _PLANAR:
        frame = frame.reformat(format="yuv420p")
    small = av.VideoFrame(img_size, img_size, frame.format.name)
    for plane, target in zip(_planes(frame), _planes(small), strict=True):
        area_average(plane, target)
    small.colorspace, small.color_range = frame.colorspace, frame.color_range
    return VideoReformatter().reformat(small, format="rgb24", threads=1).to_ndarray()


def _planes(frame: av.VideoFrame) -> list[np.ndarray]:
    """The pixels of each plane, uint8 (height, width), in the frame's own memory."""
    rows = [np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size) for plane in frame.planes]
    return [row[: plane.height, : plane.width] for row, plane in zip(rows, frame.planes, strict=True)]


def generate_test_pattern(source: str) -> np.ndarray:
    """The first picture of one of FFmpeg's video sources, such as smptebars: uint8 RGB (180, 320, 3).

    https://ffmpeg.org/ffmpeg-filters.html#Video-Sources
    """
    graph = av.filter.Graph()
    graph.link_nodes(graph.add(source, "size=320x180"), graph.add("buffersink")).configure()
    return graph.vpull().to_ndarray(format="rgb24")
