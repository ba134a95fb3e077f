"""Frame sources: what the stand-in's channels show, as frames that an encoder takes: clips, stills, ads, one colour."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from tests.standin.transcode import SEGMENT_S, Rendition

AD_COLOUR, FLAT_COLOUR = (255, 0, 200), (30, 90, 160)  # RGB


def clip_frames(file: Path, rendition: Rendition, first: int, last: int) -> Iterator[av.VideoFrame]:
    """Yield a clip's frames of the segments `first` … `last` - 1 in the rendition's size and frame rate."""
    number, end = (segment * rendition.fps * SEGMENT_S for segment in (first, last))
    with av.open(str(file)) as clip:
        video = clip.streams.video[0]
        video.thread_type = "AUTO"
        repeats = rendition.fps / Fraction(video.average_rate or rendition.fps)
        for index, source in enumerate(clip.decode(video)):
            until = min(Fraction(end), (index + 1) * repeats)
            if number < until:
                frame = source.reformat(rendition.width, rendition.height, "yuv420p", threads=1)
            while number < until:
                yield _at(frame, number, rendition.fps)
                number += 1


def still_frames(still: str, file: Path, rendition: Rendition, first: int, last: int) -> Iterator[av.VideoFrame]:
    """Yield one image repeatedly: black, the clip's first frame, or a test card with a logo and a running clock."""
    base = _still(still, file, rendition)
    for second in range(first * SEGMENT_S, last * SEGMENT_S):
        image = base.copy()
        if still == "test_card":
            _draw_clock(image, second)
        frame = av.VideoFrame.from_ndarray(image, "rgb24").reformat(format="yuv420p", threads=1)
        for number in range(second * rendition.fps, (second + 1) * rendition.fps):
            yield _at(frame, number, rendition.fps)


def _still(still: str, file: Path, rendition: Rendition) -> np.ndarray:
    """Return the image without the clock: uint8 RGB (height, width, 3)."""
    width, height = rendition.width, rendition.height
    if still == "black":
        return np.zeros((height, width, 3), np.uint8)
    if still == "frozen":
        with av.open(str(file)) as clip:
            return next(clip.decode(video=0)).reformat(width, height, threads=1).to_ndarray(format="rgb24")
    graph = av.filter.Graph()
    nodes = graph.add("smptebars", f"size={width}x{height}"), graph.add("format", "pix_fmts=rgb24")
    graph.link_nodes(*nodes, graph.add("buffersink")).configure()
    image = graph.vpull().to_ndarray(format="rgb24")
    image[height // 8 : height // 4, width // 16 : width // 4] = (90, 20, 160)  # the channel's logo
    return image


def _draw_clock(image: np.ndarray, seconds: int) -> None:
    """Draw the seconds as eight binary digits, white on black, across the middle."""
    height, width = image.shape[:2]
    image[height // 3 : height // 2, width // 4 : 3 * width // 4] = 0
    for digit in range(8):
        left = width // 4 + digit * width // 16
        if seconds >> digit & 1:
            image[height // 3 + 4 : height // 2 - 4, left + 4 : left + width // 16 - 4] = 255


def ad_frames(rendition: Rendition) -> Iterator[av.VideoFrame]:
    """Yield two seconds of magenta with a moving grey bar."""
    for number in range(rendition.fps * SEGMENT_S):
        image = np.full((rendition.height, rendition.width, 3), AD_COLOUR, np.uint8)
        left = number * rendition.width // (rendition.fps * SEGMENT_S)
        image[-rendition.height // 20 :, left : left + rendition.width // 20] = 128
        yield _at(
            av.VideoFrame.from_ndarray(image, "rgb24").reformat(format="yuv420p", threads=1), number, rendition.fps
        )


def flat_frames(rendition: Rendition) -> Iterator[av.VideoFrame]:
    """Yield two seconds of one colour, which compress well."""
    small = av.VideoFrame.from_ndarray(np.full((16, 16, 3), FLAT_COLOUR, np.uint8), "rgb24")
    frame = small.reformat(rendition.width, rendition.height, "yuv420p", threads=1)
    for number in range(rendition.fps * SEGMENT_S):
        yield _at(frame, number, rendition.fps)


def _at(frame: av.VideoFrame, number: int, fps: int) -> av.VideoFrame:
    """Return the frame with the time of position `number`. The encoder takes a frame before it is used again."""
    frame.pts, frame.time_base, frame.pict_type = number, Fraction(1, fps), av.video.frame.PictureType.NONE
    return frame
