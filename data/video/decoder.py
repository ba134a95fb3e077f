"""Pictures: the first frame of a video segment, scaled, as JPEG. The only importer of av and cv2."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter

from data.errors import UndecodableVideo
from data.hls.playlist import places
from data.http.range_reader import Joined, Readable

CELLS = 30  # in each row and column of a thumbnail; a 240 x 240 JPEG, decoded to an eighth, has just so many

_MAX_PIXELS = 4096 * 2304  # what Twitch can send at most; more is a bomb, not a stream
_READ_BYTES = 8192  # FFmpeg reads in steps of it: what is fetched beyond the first frame is less than that
_FIRST_ONLY = {
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

    def first(self, container: av.container.InputContainer, stream: av.VideoStream) -> av.VideoFrame:
        """The first key frame, without the two frames or so that a decoder wants to see before it gives one out.

        It keeps back what B-frames may still have to come before; at the end of its input it gives out all. So each
        key frame is its end.
        """
        context = self._for(stream)
        for packet in container.demux(stream):
            if packet.is_keyframe:
                if frames := context.decode(packet) or context.decode(None):
                    self._context = context  # it has proved its worth
                    return frames[0]
                context.flush_buffers()
        raise UndecodableVideo("the segment holds no key frame")

    def _for(self, stream: av.VideoStream) -> av.VideoCodecContext:
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
        return encode(scaled((decoder or Decoder()).first(container, stream), img_size), jpeg_quality)


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
            yield encode(scaled(frame, img_size), jpeg_quality)


def recorded(
    file: IO[bytes], interval_s: float, at_most: int | None, img_size: int, jpeg_quality: int, *, scatter: bool = False
) -> Iterator[bytes]:
    """Frames of a recording in a file, as JPEGs, at the `data.hls.playlist.places` of these arguments.

    `file`: open for reading and seeking, MP4, Matroska or another usual container. Raises UndecodableVideo.
    """
    with _translated(), av.open(file, options={"format_whitelist": _CONTAINERS}) as container:
        stream = _checked(container)
        seconds = (container.duration or 0) / av.time_base
        frames: Iterator[av.VideoFrame] = iter(())
        position = -math.inf
        for offset in places(seconds, interval_s, at_most, scatter=scatter):
            if not position <= offset < position + _SEEK_S:
                container.seek(int(offset * av.time_base) + (container.start_time or 0))
                frames = container.decode(stream)
            start = (stream.start_time or 0) * stream.time_base
            frame = next((f for f in frames if f.time - start >= offset - _NEAR_S), None)
            if frame is None and scatter:  # it is shorter than it says; others may be there
                position = -math.inf
                continue
            if frame is None:
                return
            position = frame.time - start
            yield encode(scaled(frame, img_size), jpeg_quality)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (av.FFmpegError, ValueError, EOFError) as error:
        raise UndecodableVideo(f"the video cannot be decoded: {error}") from error


@contextmanager
def _opened_segment(segment: Readable) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    start = segment.read(_READ_BYTES)
    # The container is told, not guessed: FFmpeg would open playlists and lists of files too, and what these name.
    container = "mpegts" if start[:1] == b"\x47" else "mp4"
    joined = Joined(start, segment)
    with (
        _translated(),
        av.open(joined, format=container, options=_FIRST_ONLY, buffer_size=_READ_BYTES) as opened,
    ):
        yield opened, _checked(opened)


def _checked(container: av.container.InputContainer) -> av.VideoStream:
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


def scaled(picture: av.VideoFrame, img_size: int) -> np.ndarray:
    """A decoded frame as uint8 RGB (img_size, img_size, 3), by area averaging.

    The planes are averaged as they were decoded and become RGB in the small: a third of the work of the other
    order, and the same JPEG, which halves the colour planes anyway.
    """
    if picture.format.name not in _PLANAR:
        picture = picture.reformat(format="yuv420p")
    small = av.VideoFrame(img_size, img_size, picture.format.name)
    for plane, target in zip(_planes(picture), _planes(small), strict=True):
        _average(plane, target)
    small.colorspace, small.color_range = picture.colorspace, picture.color_range
    return VideoReformatter().reformat(small, format="rgb24", threads=1).to_ndarray()


def _planes(picture: av.VideoFrame) -> list[np.ndarray]:
    """The pixels of each plane, uint8 (height, width), in the frame's own memory."""
    rows = [np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size) for plane in picture.planes]
    return [row[: plane.height, : plane.width] for row, plane in zip(rows, picture.planes, strict=True)]


def _average(plane: np.ndarray, target: np.ndarray) -> None:
    """Fill `target` with the area averages of `plane`."""
    (height, width), (rows, columns) = plane.shape, target.shape
    if width % columns == 0 and height % rows:  # 1080p: OpenCV is three times as fast by whole numbers
        plane = cv2.resize(plane, (columns, height), interpolation=cv2.INTER_AREA)
    cv2.resize(plane, (columns, rows), dst=target, interpolation=cv2.INTER_AREA)


def encode(image: np.ndarray, jpeg_quality: int) -> bytes:
    """A uint8 RGB image as JPEG bytes; `jpeg_quality` 1 to 100."""
    done, jpeg = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality])
    if not done:
        raise UndecodableVideo("the frame cannot be written as JPEG")
    return jpeg.tobytes()


def decode(jpeg: bytes) -> np.ndarray:
    """JPEG bytes as a uint8 RGB image (height, width, 3). Raises UndecodableVideo when they are none."""
    return _read(jpeg, cv2.IMREAD_COLOR_RGB)  # in memory as it is seen: a reversed view is copied pixel by pixel, later


def fitted(picture: bytes, img_size: int) -> np.ndarray:
    """A JPEG, PNG or WebP as uint8 RGB (img_size, img_size, 3), by area averaging. Raises UndecodableVideo when it is none."""
    return cv2.resize(decode(picture), (img_size, img_size), interpolation=cv2.INTER_AREA)


def thumbnail(jpeg: bytes) -> np.ndarray:
    """What a JPEG looks like from afar: uint8 RGB (CELLS, CELLS, 3). Raises UndecodableVideo when the bytes are none.

    JPEG's blocks are decoded to their means alone, which takes half the time of `decode`.
    """
    image = _read(jpeg, cv2.IMREAD_REDUCED_COLOR_8)
    if min(image.shape[:2]) < CELLS:
        image = _read(jpeg, cv2.IMREAD_COLOR)
    return shrunk(image)[:, :, ::-1]


def shrunk(image: np.ndarray) -> np.ndarray:
    """A uint8 image (height, width, 3) as (CELLS, CELLS, 3), by area averaging."""
    return cv2.resize(image, (CELLS, CELLS), interpolation=cv2.INTER_AREA)


def grey(image: np.ndarray) -> np.ndarray:
    """The brightness of a uint8 RGB image (height, width, 3), as uint8 (height, width)."""
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def generated(source: str) -> np.ndarray:
    """The first picture of one of FFmpeg's video sources, such as smptebars: uint8 RGB (180, 320, 3).

    https://ffmpeg.org/ffmpeg-filters.html#Video-Sources
    """
    graph = av.filter.Graph()
    graph.link_nodes(graph.add(source, "size=320x180"), graph.add("buffersink")).configure()
    return graph.vpull().to_ndarray(format="rgb24")


def _read(jpeg: bytes, how: int) -> np.ndarray:
    """A uint8 image, BGR but for IMREAD_COLOR_RGB. `how`: one of cv2's IMREAD flags."""
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), how) if jpeg else None
    if image is None:
        raise UndecodableVideo("the bytes are no JPEG")
    return image
