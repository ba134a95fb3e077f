"""Container: opens videos and reads their packets with FFmpeg's libraries (PyAV).

Whatever FFmpeg raises about a video is UndecodableVideo here: damaged bytes cause exceptions of many types. An error of
the file that FFmpeg reads from is raised as it is.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import IO, Any

import av
from av.stream import Disposition

from data.errors import StopRequested, ToolkitError, UndecodableVideo
from data.readers import ChainedReader, Readable

# PyAV before 19 decodes metadata, which nothing here reads, when it opens a file: it need not be UTF-8.
_METADATA: Mapping[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}
_MAX_PIXELS = 4096 * 2304  # the largest frame that Twitch sends; a larger one is a decompression bomb
_MAX_READ_ERRORS = 20  # in a row; then the rest of the file is taken for lost
_SEGMENT_READ_BYTES = 8192  # FFmpeg reads in steps of this size, so less than one step beyond the first frame

# Without this the demuxer decodes frames to describe the stream: twice the work, and without our limit of pixels.
_NO_DECODING = {"codec_whitelist": "none"}
# Without these FFmpeg reads up to 5 MB to learn of frame rates and further tracks.
_SEGMENT_OPTIONS = {**_NO_DECODING, "probesize": "32", "analyzeduration": "0", "fpsprobesize": "0"}
# Only formats that cannot name other files to open. Those of the last line are here to be named in the error.
_FORMATS = (
    "mov,matroska,webm,mpegts,mpeg,mpegvideo,flv,avi,ogg,asf,h264,hevc,m4v,mjpeg,obu,ivf,gif,apng,"
    "nut,mxf,wtv,rm,dv,yuv4mpegpipe,"
    "mp3,wav,flac,aac,ac3,eac3,aiff,amr,srt,webvtt,ass"
)
_RECORDING_OPTIONS = {**_NO_DECODING, "format_whitelist": _FORMATS}
_MP4_BOXES = {b"ftyp", b"mdat", b"moov", b"moof", b"styp", b"sidx", b"wide", b"free", b"skip"}  # that files begin with
_NO_VIDEO = Disposition.attached_pic | Disposition.timed_thumbnails  # covers of music, previews of chapters

log = logging.getLogger(__name__)


@contextmanager
def open_segment(segment: Readable) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """Open a segment and its video stream, for reading only as far as frames are decoded. Raises UndecodableVideo."""
    start = segment.read(_SEGMENT_READ_BYTES)
    # State the format: while guessing, FFmpeg would also open playlists, and the files that they name.
    name = "mpegts" if start[:1] == b"\x47" else "mp4"
    options = {"format": name, "options": _SEGMENT_OPTIONS, "buffer_size": _SEGMENT_READ_BYTES}
    with _open(_Input(ChainedReader(start, segment)), options) as container:
        yield container, _video_stream(container)


@contextmanager
def open_recording(
    file: IO[bytes], stopped: Callable[[], bool]
) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """Open a recording from its beginning, and its video stream. Raises UndecodableVideo.

    file: seekable; of any of `_FORMATS`. stopped: the file ends as soon as it returns true.
    """
    file.seek(0)
    if not (start := file.read(64)):
        raise UndecodableVideo("the file is empty")
    file.seek(0)
    with ExitStack() as stack:
        try:
            container = stack.enter_context(_open(_SeekableInput(file, stopped), {"options": _RECORDING_OPTIONS}))
        except UndecodableVideo:
            file.seek(0)
            try:  # a fragmented MP4 that was cut off can be read up to there, but only in order
                container = stack.enter_context(_open(_Input(file, stopped), {"options": _RECORDING_OPTIONS}))
            except UndecodableVideo as error:
                raise UndecodableVideo(_unreadable_reason(start)) from error
        yield container, _video_stream(container)


def read_packets(container: av.container.InputContainer, stream: av.VideoStream) -> Iterator[av.Packet]:
    """Yield the packets of a stream up to the end of the file.

    Damaged places and encrypted packets are left out. Raises UndecodableVideo if nothing but encrypted packets came.
    """
    encrypted = None
    for packet in _read_packets(container, stream):
        is_encrypted = packet.has_sidedata("encryption_info")  # a decoder would make a picture of it: noise
        encrypted = is_encrypted and encrypted is not False
        if not is_encrypted:
            yield packet
    if encrypted:
        raise UndecodableVideo("the video is encrypted")


def _read_packets(container: av.container.InputContainer, stream: av.VideoStream) -> Iterator[av.Packet]:
    errors = 0
    while errors < _MAX_READ_ERRORS:
        try:
            for packet in container.demux(stream):
                if packet.size:  # else it is PyAV's mark of the end
                    errors = 0
                    yield packet
            return
        except Exception:
            errors += 1
            log.debug("damaged container", exc_info=True)


def decode(context: av.VideoCodecContext, packet: av.Packet | None) -> list[av.VideoFrame]:
    """Return the frames that a packet completes, or at None those that the decoder holds. A damaged packet has none."""
    try:
        return context.decode(packet)
    except Exception:
        log.debug("damaged packet", exc_info=True)
        return []


class _Input:
    """A file as FFmpeg reads it: an error of the file looks like its end, and is kept in `failure`.

    PyAV would raise it at any later call, even one of another container.
    """

    def __init__(self, file: Readable, stopped: Callable[[], bool] = lambda: False) -> None:
        self.failure: Exception | None = None
        self._file, self._stopped = file, stopped

    def read(self, size: int, /) -> bytes:
        """Return 1 to `size` bytes; b"" at the end of the file, from an error on, and once it is stopped."""
        try:
            return b"" if self.failure or self._stopped() else self._file.read(size)
        except Exception as error:  # noqa: BLE001 - `_open` raises it
            self.failure = error
            return b""


class _SeekableInput(_Input):
    """An `_Input` of a file that can seek."""

    def __init__(self, file: IO[bytes], stopped: Callable[[], bool]) -> None:
        super().__init__(file, stopped)
        self._seek, self.tell = file.seek, file.tell

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Return the new position; -1 if there is no such place, because damaged files name some."""
        try:
            return self._seek(offset, whence)
        except (OSError, ValueError, OverflowError):
            return -1


@contextmanager
def _open(file: _Input, options: Mapping[str, Any]) -> Iterator[av.container.InputContainer]:
    """Open a container, and translate the errors of the block."""
    try:
        with av.open(file, "r", **_METADATA, **options) as container:
            yield container
    except Exception as error:
        if file.failure:
            raise file.failure from error
        if isinstance(error, (ToolkitError, StopRequested)):
            raise
        log.debug("FFmpeg failed", exc_info=True)
        raise UndecodableVideo(f"the video cannot be decoded: {getattr(error, 'strerror', None) or error}") from error
    if file.failure:
        raise file.failure


def _video_stream(container: av.container.InputContainer) -> av.VideoStream:
    """Return the container's largest moving video stream, set up for decoding. Raises UndecodableVideo."""
    streams = [stream for stream in container.streams.video if not stream.disposition & _NO_VIDEO]
    if not streams:
        kinds = sorted({stream.type or "unknown" for stream in container.streams if stream.type != "video"})
        raise UndecodableVideo(f"it holds no video{', only ' + ' and '.join(kinds) if kinds else ''}")
    streams = [stream for stream in streams if stream.codec_context]  # damage can name a codec that FFmpeg has not
    if not streams:
        raise UndecodableVideo("the video's codec is unknown")
    # The first one of equal streams. One frame alone is a cover that is not marked as such.
    stream = max(streams, key=lambda stream: (_pixels(stream) <= _MAX_PIXELS, stream.frames != 1, _pixels(stream)))
    if _pixels(stream) > _MAX_PIXELS:
        raise UndecodableVideo(f"the video has {stream.width}x{stream.height} pixels")
    stream.codec_context.thread_count = 1  # a second thread delays the first frame
    stream.codec_context.options = {"max_pixels": str(_MAX_PIXELS)}  # the container's header may state a wrong size
    return stream


def _pixels(stream: av.VideoStream) -> int:
    return stream.width * stream.height


def _unreadable_reason(start: bytes) -> str:
    """Return what is wrong with a file that FFmpeg cannot open. `start`: its first 64 bytes."""
    if start[4:8] in _MP4_BOXES:
        return "its index (the moov box) is missing or damaged; repair it, for example with untrunc"
    return "it is not a video of a known format; convert it, for example with ffmpeg -i FILE out.mp4"
