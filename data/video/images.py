"""Images: JPEG to uint8 RGB arrays and back, scaled by area averaging. Owns cv2."""

from __future__ import annotations

import cv2
import numpy as np

from data.errors import UndecodableVideo

THUMBNAIL_SIZE = 30  # in each row and column of a thumbnail; a 240 x 240 JPEG, decoded to an eighth, has just so many


def encode_jpeg(image: np.ndarray, jpeg_quality: int) -> bytes:
    """A uint8 RGB image as JPEG bytes; `jpeg_quality` 1 to 100."""
    done, jpeg = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality])
    if not done:
        raise UndecodableVideo("the frame cannot be written as JPEG")
    return jpeg.tobytes()


def decode_jpeg(jpeg: bytes) -> np.ndarray:
    """JPEG bytes as a uint8 RGB image (height, width, 3). Raises UndecodableVideo when they are none."""
    return _read(jpeg, cv2.IMREAD_COLOR_RGB)  # in memory as it is seen: a reversed view is copied pixel by pixel, later


def decode_resized(picture: bytes, img_size: int) -> np.ndarray:
    """A JPEG, PNG or WebP as uint8 RGB (img_size, img_size, 3), by area averaging. Raises UndecodableVideo when it is none."""
    return cv2.resize(decode_jpeg(picture), (img_size, img_size), interpolation=cv2.INTER_AREA)


def decode_thumbnail(jpeg: bytes) -> np.ndarray:
    """What a JPEG looks like from afar: uint8 RGB (CELLS, CELLS, 3). Raises UndecodableVideo when the bytes are none.

    JPEG's blocks are decoded to their means alone, which takes half the time of `decode`.
    """
    image = _read(jpeg, cv2.IMREAD_REDUCED_COLOR_8)
    if min(image.shape[:2]) < THUMBNAIL_SIZE:
        image = _read(jpeg, cv2.IMREAD_COLOR)
    return to_thumbnail(image)[:, :, ::-1]


def to_thumbnail(image: np.ndarray) -> np.ndarray:
    """A uint8 image (height, width, 3) as (CELLS, CELLS, 3), by area averaging."""
    return cv2.resize(image, (THUMBNAIL_SIZE, THUMBNAIL_SIZE), interpolation=cv2.INTER_AREA)


def to_grayscale(image: np.ndarray) -> np.ndarray:
    """The brightness of a uint8 RGB image (height, width, 3), as uint8 (height, width)."""
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def area_average(plane: np.ndarray, target: np.ndarray) -> None:
    """Fill `target` with the area averages of `plane`."""
    (height, width), (rows, columns) = plane.shape, target.shape
    if width % columns == 0 and height % rows:  # 1080p: OpenCV is three times as fast by whole numbers
        plane = cv2.resize(plane, (columns, height), interpolation=cv2.INTER_AREA)
    cv2.resize(plane, (columns, rows), dst=target, interpolation=cv2.INTER_AREA)


def _read(jpeg: bytes, how: int) -> np.ndarray:
    """A uint8 image, BGR but for IMREAD_COLOR_RGB. `how`: one of cv2's IMREAD flags."""
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), how) if jpeg else None
    if image is None:
        raise UndecodableVideo("the bytes are no JPEG")
    return image
