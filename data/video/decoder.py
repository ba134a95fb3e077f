"""Video decoder: frames of segments, scaled to JPEG."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from itertools import chain

import av
import numpy as np

from data.errors import UndecodableVideo
from data.readers import Readable
from data.video.container import decode, open_segment, read_packets
from data.video.groups import FramePicker, decode_packets
from data.video.images import encode_jpeg
from data.video.picture import resize_frame
from data.video.seeking import frame_shown_at, packet_time

_MAX_DECODE_S = 30.0  # for one segment: two seconds of 4K at 60 frames a second take about 5 s of CPU
_MAX_FRAME_S = 1.0  # a segment's last frame is shown up to its end, but for no longer than this


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
        for packet in _in_time(read_packets(container, stream)):
            if packet.is_keyframe:
                frames = decode(context, packet) or decode(context, None)
                context.flush_buffers()
                if frames:
                    # Others may be displayed turned, which a decoder learns from its own container only.
                    if container.format.name == "mpegts":
                        self._context, self._codec = context, codec
                    return frames[0]
        raise UndecodableVideo("the segment holds no key frame")


def first_frame(segment: Readable, img_size: int, jpeg_quality: int, decoder: Decoder | None = None) -> bytes:
    """Return the first frame of a segment as JPEG, `img_size` pixels wide and high whatever its aspect ratio.

    Nothing beyond that frame is read. Raises UndecodableVideo; errors of `segment.read` pass through.
    segment: MPEG-TS, or fMP4 with its init section in front. jpeg_quality: 1 to 100.
    """
    with open_segment(segment) as (container, stream):
        frame = (decoder or Decoder()).first_keyframe(container, stream)
        return encode_jpeg(resize_frame(frame, img_size), jpeg_quality)


def frames_at(segment: Readable, offsets_s: Iterable[float], img_size: int, jpeg_quality: int) -> Iterator[bytes]:
    """Yield the frames of a segment at ascending offsets, in seconds after its first frame, as `first_frame` does.

    A segment that ends early gives fewer frames; one without any of them raises UndecodableVideo.
    """
    with open_segment(segment) as (container, stream):
        picker = FramePicker(decode_packets(chain(_in_time(read_packets(container, stream)), [None]), stream))
        is_first = True
        for offset_s in offsets_s:
            found = picker.frame_at(offset_s)
            if found is None or found.time_s < offset_s - _MAX_FRAME_S:
                if is_first:
                    raise UndecodableVideo(f"the segment shows nothing {offset_s:.1f} s after its start")
                return
            is_first = False
            yield encode_jpeg(resize_frame(found.frame, img_size), jpeg_quality)


def frame_at(
    segment: Readable, offset_s: float, after_s: float, img_size: int, jpeg_quality: int
) -> tuple[float, bytes, int]:
    """Return a frame that is shown after `after_s` and at `offset_s` at the latest, in seconds from the first frame.

    Also return its offset and how many frames were decoded. Hardly more is read than up to that frame. Raises
    UndecodableVideo; errors of `segment.read` pass through. The other arguments are those of `first_frame`.
    """
    with open_segment(segment) as (container, stream):
        packets = _in_time(read_packets(container, stream))
        first = next((packet for packet in packets if packet.is_keyframe), None)
        start_s = packet_time(first, stream) if first else None
        if first is None or start_s is None:
            raise UndecodableVideo("the segment holds no key frame")
        shown = frame_shown_at(chain([first], packets), stream, start_s + offset_s, start_s + after_s)
        if shown is None:
            raise UndecodableVideo(f"the segment shows nothing {offset_s:.1f} s after its start")
        return shown.at_s - start_s, encode_jpeg(resize_frame(shown.frame, img_size), jpeg_quality), shown.decoded


def _in_time(packets: Iterator[av.Packet]) -> Iterator[av.Packet]:
    """Yield the packets; raise UndecodableVideo after `_MAX_DECODE_S`, because some bytes make decoders work long."""
    end = time.monotonic() + _MAX_DECODE_S
    for packet in packets:
        if time.monotonic() > end:
            raise UndecodableVideo(f"decoding takes longer than {_MAX_DECODE_S:.0f} s")
        yield packet


def generate_test_pattern(source: str) -> np.ndarray:
    """Return the first frame of an FFmpeg video source such as smptebars, as uint8 RGB (180, 320, 3).

    https://ffmpeg.org/ffmpeg-filters.html#Video-Sources
    """
    graph = av.filter.Graph()
    graph.link_nodes(graph.add(source, "size=320x180"), graph.add("buffersink")).configure()
    return graph.vpull().to_ndarray(format="rgb24")
