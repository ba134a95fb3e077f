"""Segments made for a test: H.264 as Twitch sends it, but of one colour, or of whatever a test paints."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import cv2
import numpy as np

RED, GREEN, BLUE = (220, 30, 20), (30, 200, 40), (20, 40, 210)
# Null packets, ISO 13818-1 2.4.1: FFmpeg takes fewer than ten packets for something else.
_PADDING = (b"\x47\x1f\xff\x10" + b"\xff" * 184) * 10


def flat(colour: tuple[int, int, int], width: int = 128, height: int = 72) -> np.ndarray:
    """A uint8 RGB image (height, width, 3) of one colour."""
    return np.full((height, width, 3), colour, np.uint8)


def by_area(image: np.ndarray, size: int) -> np.ndarray:
    """A uint8 RGB image (height, width, 3) as (size, size, 3), as the original scaled it: by area averaging."""
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)


def segment(*images: np.ndarray, container: str = "mpegts") -> bytes:
    """The images as H.264, the first of them an IDR frame: mpegts, or mp4 with its init section in front."""
    output, options = io.BytesIO(), {"movflags": "frag_keyframe+empty_moov"} if container == "mp4" else {}
    with av.open(output, "w", format=container, options=options) as file:
        stream = file.add_stream("libx264", rate=30, options={"preset": "ultrafast", "crf": "10", "threads": "1"})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for number, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, "rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 30)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return output.getvalue() + (_PADDING if container == "mpegts" else b"")


def split(mp4: bytes) -> tuple[bytes, bytes]:
    """A fragmented MP4 as its init section and the rest: cut before the first `moof` (ISO 14496-12, 8.8.4)."""
    cut = mp4.index(b"moof") - 4
    return mp4[:cut], mp4[cut:]


def silence() -> bytes:
    """An MPEG-TS segment with sound alone: what the rendition audio_only is made of."""
    output = io.BytesIO()
    with av.open(output, "w", format="mpegts") as file:
        stream = file.add_stream("aac", rate=48000)
        for number in range(94):  # two seconds
            frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = 48000, 1024 * number, Fraction(1, 48000)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return output.getvalue() + _PADDING
