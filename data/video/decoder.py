"""Video decoder: frames of segments and recordings, scaled to JPEG. Owns av (FFmpeg's libraries)."""

from __future__ import annotations

import math
import threading
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

_MAX_PIXELS = 4096 * 2304  # the largest frame that Twitch sends; a larger one is a decompression bomb
_READ_BYTES = 8192  # FFmpeg reads in steps of this size, so it fetches less than one step beyond the first frame
_FAST_OPTIONS = {
    # Without these FFmpeg reads up to 5 MB to learn of frame rates and further tracks.
    "probesize": "32",
    "analyzeduration": "0",
    "fpsprobesize": "0",
    # Without this the demuxer decodes the first frame to describe the stream, and we decode it again.
    "codec_whitelist": "none",
}
_CONTAINERS = "mov,matroska,webm,mpegts,flv,avi,ogg,asf"  # only formats that cannot name other files to open
_SEEK_S = 2.0  # a jump of at least this length is worth a seek, to the key frame before it
_TICK_S = 0.001  # times are rounded to ticks of the stream's time base
_PLANAR = {"yuv420p", "yuvj420p"}  # Twitch's formats: a brightness plane, and two color planes of half its size


class Decoder(threading.local):
    """FFmpeg's video decoder, reused for segments of any stream: a new one costs a tenth of a frame's decoding.

    Several threads may share a decoder: each has a codec context of its own in it.
    """

    def __init__(self) -> None:
        self._context: av.VideoCodecContext | None = None
        self._codec: tuple[str, bytes | None] = "", None  # name and extradata of `_context`

    def first_keyframe(self, container: av.container.InputContainer, stream: av.VideoStream) -> av.VideoFrame:
        """Return the first key frame without reading the frames after it. Raises UndecodableVideo.

        A decoder holds frames back, because B-frames may have to come before them. It releases them at
        the end of its input, so each key frame is followed by an end of input.
        """
        codec = (stream.codec_context.name, stream.codec_context.extradata)
        context = self._context if self._context and self._codec == codec else stream.codec_context
        self._context = None  # until it has succeeded again: damage may break it
        for packet in container.demux(stream):
            if packet.is_keyframe:
                frames = context.decode(packet) or context.decode(None)
                context.flush_buffers()
                if frames:
                    self._context, self._codec = context, codec
                    return frames[0]
        raise UndecodableVideo("the segment holds no key frame")


def first_frame(segment: Readable, img_size: int, jpeg_quality: int, decoder: Decoder | None = None) -> bytes:
    """Return the first frame of a segment as JPEG, `img_size` pixels wide and high whatever its aspect ratio.

    Nothing beyond that frame is read. Raises UndecodableVideo; errors of `segment.read` pass through.
    segment: MPEG-TS, or fMP4 with its init section in front. jpeg_quality: 1 to 100.
    """
    with _open_segment(segment) as (container, stream):
        frame = (decoder or Decoder()).first_keyframe(container, stream)
        return encode_jpeg(resize_frame(frame, img_size), jpeg_quality)


def frames_at(segment: Readable, offsets_s: Iterable[float], img_size: int, jpeg_quality: int) -> Iterator[bytes]:
    """Yield the frames of a segment at ascending offsets, in seconds after its first frame, as `first_frame` does."""
    with _open_segment(segment) as (container, stream):
        frames = container.decode(stream)
        frame = next(frames, None)
        start = frame.time if frame else 0.0
        for offset in offsets_s:
            while frame and frame.time - start < offset - _TICK_S:
                frame = next(frames, None)
            if frame is None:
                raise UndecodableVideo("the segment is shorter than its playlist says")
            yield encode_jpeg(resize_frame(frame, img_size), jpeg_quality)


def sample_recording(
    file: IO[bytes], interval_s: float, max_frames: int | None, img_size: int, jpeg_quality: int, *, spread_first: bool
) -> Iterator[bytes]:
    """Yield frames of a recording as JPEGs, at the times of `data.video.sampling.sample_times`.

    `file`: a seekable MP4, Matroska or other common container. Raises UndecodableVideo.
    """
    with _decode_errors(), av.open(file, options={"format_whitelist": _CONTAINERS}) as container:
        stream = _video_stream(container)
        duration_s = (container.duration or 0) / av.time_base
        frames: Iterator[av.VideoFrame] = iter(())
        position_s = -math.inf
        for time_s in sample_times(duration_s, interval_s, max_frames, spread_first=spread_first):
            if not position_s <= time_s < position_s + _SEEK_S:
                container.seek(int(time_s * av.time_base) + (container.start_time or 0))
                frames = container.decode(stream)
            start_s = (stream.start_time or 0) * stream.time_base
            frame = next((f for f in frames if f.time - start_s >= time_s - _TICK_S), None)
            if frame is None and spread_first:  # the recording ends early, but other times come before its end
                position_s = -math.inf
                continue
            if frame is None:
                return
            position_s = frame.time - start_s
            yield encode_jpeg(resize_frame(frame, img_size), jpeg_quality)


@contextmanager
def _decode_errors() -> Iterator[None]:
    try:
        yield
    except (av.FFmpegError, ValueError, EOFError) as error:
        raise UndecodableVideo(f"the video cannot be decoded: {error}") from error


@contextmanager
def _open_segment(segment: Readable) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """Open a segment and its video stream, for reading only as far as frames are decoded."""
    start = segment.read(_READ_BYTES)
    # State the format: while guessing, FFmpeg would also open playlists, and the files that they name.
    name = "mpegts" if start[:1] == b"\x47" else "mp4"
    file = ChainedReader(start, segment)
    with _decode_errors(), av.open(file, format=name, options=_FAST_OPTIONS, buffer_size=_READ_BYTES) as container:
        yield container, _video_stream(container)


def _video_stream(container: av.container.InputContainer) -> av.VideoStream:
    """Return the container's first video stream, set up for decoding. Raises UndecodableVideo."""
    if not container.streams.video:
        raise UndecodableVideo("it holds no video")
    stream = container.streams.video[0]
    if stream.codec_context is None:  # damaged bytes can name a codec that FFmpeg does not have
        raise UndecodableVideo("the video's codec is unknown")
    if stream.width * stream.height > _MAX_PIXELS:
        raise UndecodableVideo(f"the video has {stream.width}x{stream.height} pixels")
    stream.codec_context.thread_count = 1  # a second thread delays the first frame
    stream.codec_context.options = {"max_pixels": str(_MAX_PIXELS)}  # the container's header may state a wrong size
    return stream


def resize_frame(frame: av.VideoFrame, img_size: int) -> np.ndarray:
    """Return a decoded frame as uint8 RGB (img_size, img_size, 3), by area averaging.

    The YUV planes are averaged first and converted to RGB afterwards. This takes a third of the time of the
    other order and gives the same JPEG, which stores the color planes at half size anyway.
    """
    if frame.format.name not in _PLANAR:
        frame = frame.reformat(format="yuv420p")
    small = av.VideoFrame(img_size, img_size, frame.format.name)
    for plane, target in zip(_planes(frame), _planes(small), strict=True):
        area_average(plane, target)  # Y (img_size, img_size), then U and V (img_size / 2, img_size / 2)
    small.colorspace, small.color_range = frame.colorspace, frame.color_range
    return VideoReformatter().reformat(small, format="rgb24", threads=1).to_ndarray()


def _planes(frame: av.VideoFrame) -> list[np.ndarray]:
    """Return views of the frame's planes, each uint8 (height, width)."""
    # Lines are padded to line_size bytes.
    rows = [np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size) for plane in frame.planes]
    return [row[: plane.height, : plane.width] for row, plane in zip(rows, frame.planes, strict=True)]


def generate_test_pattern(source: str) -> np.ndarray:
    """Return the first frame of an FFmpeg video source such as smptebars, as uint8 RGB (180, 320, 3).

    https://ffmpeg.org/ffmpeg-filters.html#Video-Sources
    """
    graph = av.filter.Graph()
    graph.link_nodes(graph.add(source, "size=320x180"), graph.add("buffersink")).configure()
    return graph.vpull().to_ndarray(format="rgb24")
