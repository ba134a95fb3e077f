"""Pictures: the first frame of a video segment, scaled, as JPEG. The only importer of av and cv2."""

from __future__ import annotations

import av
import cv2
import numpy as np

from data.errors import NoPicture
from data.partial import Joined, Readable

_MAX_PIXELS = 4096 * 2304  # what Twitch can send at most; more is a bomb, not a stream
_READ_BYTES = 8192  # FFmpeg reads in steps of it: what is fetched beyond the first frame is less than that
# Without these FFmpeg reads on, up to 5 MB, to learn of frame rates and further tracks.
_FIRST_ONLY = {"probesize": "32", "analyzeduration": "0", "fpsprobesize": "0"}


def first_frame(segment: Readable, img_size: int, jpeg_quality: int) -> bytes:
    """The first frame of an MPEG-TS segment, or of an fMP4 one with its init section in front, as JPEG.

    Reads no further than that frame. Scaled by area averaging to `img_size` x `img_size` pixels, whatever the
    aspect, as the original did. Raises NoPicture when the bytes hold no decodable video; what `read` raises
    passes through.
    """
    try:
        image = _decoded(segment).to_ndarray(format="rgb24")
    except (av.FFmpegError, ValueError, EOFError) as error:
        raise NoPicture(f"the segment cannot be decoded: {error}") from error
    return encode(scale(image, img_size), jpeg_quality)


def _decoded(segment: Readable) -> av.VideoFrame:
    start = segment.read(_READ_BYTES)
    # The container is told, not guessed: FFmpeg would open playlists and lists of files too, and what these name.
    container = "mpegts" if start[:1] == b"\x47" else "mp4"
    joined = Joined(start, segment)
    with av.open(joined, format=container, options=_FIRST_ONLY, buffer_size=_READ_BYTES) as opened:
        if not opened.streams.video:
            raise NoPicture("the segment holds no video")
        stream = opened.streams.video[0]
        if stream.codec_context is None:  # damage can turn its codec into one that FFmpeg does not know
            raise NoPicture("the video's codec is unknown")
        if stream.width * stream.height > _MAX_PIXELS:
            raise NoPicture(f"the video has {stream.width}x{stream.height} pixels")
        stream.codec_context.thread_count = 1  # one frame: a second thread only delays it
        picture = next(opened.decode(stream), None)
    if picture is None:
        raise NoPicture("the segment holds no frame")
    if picture.width * picture.height > _MAX_PIXELS:
        raise NoPicture(f"the video has {picture.width}x{picture.height} pixels")
    return picture


def scale(image: np.ndarray, img_size: int) -> np.ndarray:
    """A uint8 RGB image (height, width, 3) as (img_size, img_size, 3), by area averaging."""
    return cv2.resize(image, (img_size, img_size), interpolation=cv2.INTER_AREA)


def encode(image: np.ndarray, jpeg_quality: int) -> bytes:
    """A uint8 RGB image as JPEG bytes; `jpeg_quality` 1 to 100."""
    done, jpeg = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality])
    if not done:
        raise NoPicture("the frame cannot be written as JPEG")
    return jpeg.tobytes()


def decode(jpeg: bytes) -> np.ndarray:
    """JPEG bytes as a uint8 RGB image (height, width, 3). Raises NoPicture when they are none."""
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR) if jpeg else None
    if image is None:
        raise NoPicture("the bytes are no JPEG")
    return image[:, :, ::-1]
