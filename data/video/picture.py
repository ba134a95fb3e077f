"""Picture: a decoded frame becomes a square RGB array, turned as a player shows it."""

from __future__ import annotations

import struct

import av
import numpy as np
from av.sidedata.sidedata import Type
from av.video.reformatter import VideoReformatter

from data.video.images import area_average

_PLANAR = {"yuv420p", "yuvj420p"}  # Twitch's formats: a brightness plane, and two color planes of half its size


def resize_frame(frame: av.VideoFrame, img_size: int) -> np.ndarray:
    """Return a decoded frame as uint8 RGB (img_size, img_size, 3), by area averaging.

    The YUV planes are averaged first and converted to RGB afterwards. This takes a third of the time of the
    other order and gives the same JPEG, which stores the color planes at half size anyway.
    The sample aspect ratio needs no step of its own, because any picture is fitted into the square.
    """
    matrix = _display_matrix(frame)
    if frame.format.name not in _PLANAR:
        frame = frame.reformat(format="yuv420p")
    small = av.VideoFrame(img_size, img_size, frame.format.name)
    for plane, target in zip(_planes(frame), _planes(small), strict=True):
        area_average(plane, target)  # Y (img_size, img_size), then U and V (img_size / 2, img_size / 2)
    small.colorspace, small.color_range = frame.colorspace, frame.color_range
    rgb = VideoReformatter().reformat(small, format="rgb24", threads=1).to_ndarray()
    return _turned(rgb, matrix) if matrix else rgb


def _display_matrix(frame: av.VideoFrame) -> tuple[int, int, int, int] | None:
    """Return (a, b, c, d) of the frame's display matrix: x' = a x + c y, y' = b x + d y. ISO 14496-12, 6.2.2."""
    data = frame.side_data.get(Type.DISPLAYMATRIX)
    if data is None or data.buffer_size < 36:
        return None
    a, b, _, c, d = struct.unpack_from("=5i", bytes(data))
    return a, b, c, d


def _turned(image: np.ndarray, matrix: tuple[int, int, int, int]) -> np.ndarray:
    """Return a square image turned by quarters and mirrored, as close to the display matrix as that comes."""
    a, b, c, d = matrix
    if abs(b) > abs(a):
        image, a, d = image.swapaxes(0, 1), c, b
    return np.ascontiguousarray(image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])


def _planes(frame: av.VideoFrame) -> list[np.ndarray]:
    """Return views of the frame's planes, each uint8 (height, width)."""
    # Lines are padded to line_size bytes.
    rows = [np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size) for plane in frame.planes]
    return [row[: plane.height, : plane.width] for row, plane in zip(rows, frame.planes, strict=True)]
