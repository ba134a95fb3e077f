"""Sample images and segments for tests: H.264 as Twitch sends it, of one color or of any image."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import cv2
import numpy as np

RED, GREEN, BLUE = (220, 30, 20), (30, 200, 40), (20, 40, 210)
# Null packets, ISO 13818-1 2.4.1: FFmpeg needs at least ten packets to recognise MPEG-TS.
_PADDING = (b"\x47\x1f\xff\x10" + b"\xff" * 184) * 10


def flat(colour: tuple[int, int, int], width: int = 128, height: int = 72) -> np.ndarray:
    """Return a uint8 RGB image (height, width, 3) of one color."""
    return np.full((height, width, 3), colour, np.uint8)


def resize_by_area(image: np.ndarray, size: int) -> np.ndarray:
    """Return a uint8 RGB image (height, width, 3) as (size, size, 3), by area averaging as the original did."""
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)


def ssim(one: np.ndarray, other: np.ndarray) -> float:
    """Return the structural similarity (SSIM) of two uint8 RGB images of one shape; 1 if they are equal.

    It compares their brightness. Wang et al., Image quality assessment, IEEE TIP 13(4), 2004: Gaussian window of
    11 pixels, sigma 1.5.
    """
    x, y = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float64) for image in (one, other))

    def mean(image: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(image, (11, 11), 1.5)

    mean_x, mean_y = mean(x), mean(y)
    variances = mean(x * x) - mean_x**2 + mean(y * y) - mean_y**2
    covariance = mean(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    ssim = (2 * mean_x * mean_y + c1) * (2 * covariance + c2) / ((mean_x**2 + mean_y**2 + c1) * (variances + c2))
    return float(ssim.mean())


def segment(*images: np.ndarray, container: str = "mpegts", preset: str = "ultrafast") -> bytes:
    """Encode images as H.264 that begins with an IDR frame: mpegts, or mp4 with its init section in front.

    `preset`: of x264; the fastest one makes no B-frames.
    """
    output, options = io.BytesIO(), {"movflags": "frag_keyframe+empty_moov"} if container == "mp4" else {}
    with av.open(output, "w", format=container, options=options) as file:
        stream = file.add_stream("libx264", rate=30, options={"preset": preset, "crf": "10", "threads": "1"})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for number, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, "rgb24").reformat(format="yuv420p", threads=1)
            frame.pts, frame.time_base = number, Fraction(1, 30)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return output.getvalue() + (_PADDING if container == "mpegts" else b"")


def without_key_frames(mpegts: bytes) -> bytes:
    """Return a segment without its key frame, on which the other frames depend."""
    output = io.BytesIO()
    with av.open(io.BytesIO(mpegts), format="mpegts") as source, av.open(output, "w", format="mpegts") as file:
        stream = file.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size and not packet.is_keyframe:
                packet.stream = stream
                file.mux(packet)
    return output.getvalue() + _PADDING


def split_init_section(mp4: bytes) -> tuple[bytes, bytes]:
    """Split a fragmented MP4 into its init section and the rest, before the first `moof` (ISO 14496-12, 8.8.4)."""
    cut = mp4.index(b"moof") - 4
    return mp4[:cut], mp4[cut:]


def sound_segment() -> bytes:
    """Return an MPEG-TS segment with only sound, as in the rendition audio_only."""
    output = io.BytesIO()
    with av.open(output, "w", format="mpegts") as file:
        stream = file.add_stream("aac", rate=48000)
        for number in range(94):  # two seconds
            frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = 48000, 1024 * number, Fraction(1, 48000)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return output.getvalue() + _PADDING
