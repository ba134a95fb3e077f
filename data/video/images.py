"""Image codec: JPEG to uint8 RGB arrays and back, scaled by area averaging. Owns cv2.

Every array of this module is uint8, with RGB channels: (height, width, 3).
"""

from __future__ import annotations

import cv2
import numpy as np

from data.errors import UndecodableVideo

THUMBNAIL_SIZE = 30  # a 240 x 240 JPEG decoded at an eighth of its size has exactly 30 x 30 pixels


def encode_jpeg(image: np.ndarray, jpeg_quality: int) -> bytes:
    """Return an image as JPEG bytes. `jpeg_quality`: 1 to 100. Raises UndecodableVideo if OpenCV fails."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    done, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality])
    if not done:
        raise UndecodableVideo("the frame cannot be written as JPEG")
    return jpeg.tobytes()


def decode_jpeg(jpeg: bytes) -> np.ndarray:
    """Return JPEG bytes as an image (height, width, 3). Raises UndecodableVideo for anything else."""
    return _imdecode(jpeg, cv2.IMREAD_COLOR_RGB)  # not BGR reversed: NumPy would copy that pixel by pixel later


def decode_resized(picture: bytes, img_size: int) -> np.ndarray:
    """Return a JPEG, PNG or WebP as an image (img_size, img_size, 3). Raises UndecodableVideo for anything else."""
    return cv2.resize(decode_jpeg(picture), (img_size, img_size), interpolation=cv2.INTER_AREA)


def decode_thumbnail(jpeg: bytes) -> np.ndarray:
    """Return JPEG bytes as an image (THUMBNAIL_SIZE, THUMBNAIL_SIZE, 3). Raises UndecodableVideo for anything else.

    Only the mean of each 8 x 8 block is decoded, in half the time of `decode_jpeg`.
    """
    image = _imdecode(jpeg, cv2.IMREAD_REDUCED_COLOR_8)
    if min(image.shape[:2]) < THUMBNAIL_SIZE:
        image = _imdecode(jpeg, cv2.IMREAD_COLOR)
    return to_thumbnail(image)[:, :, ::-1]  # BGR to RGB: (30, 30, 3)


def to_thumbnail(image: np.ndarray) -> np.ndarray:
    """Return an image of any size as (THUMBNAIL_SIZE, THUMBNAIL_SIZE, 3), by area averaging."""
    return cv2.resize(image, (THUMBNAIL_SIZE, THUMBNAIL_SIZE), interpolation=cv2.INTER_AREA)


def to_grayscale(image: np.ndarray) -> np.ndarray:
    """Return the brightness of an image, uint8 (height, width)."""
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def area_average(plane: np.ndarray, target: np.ndarray) -> None:
    """Fill `target`, uint8 (rows, columns), with the area averages of `plane`, uint8 (height, width)."""
    (height, width), (rows, columns) = plane.shape, target.shape
    # 1080p to 240: OpenCV is three times as fast where the ratio of both sides is a whole number.
    if width % columns == 0 and height % rows:
        plane = cv2.resize(plane, (columns, height), interpolation=cv2.INTER_AREA)
    cv2.resize(plane, (columns, rows), dst=target, interpolation=cv2.INTER_AREA)


def _imdecode(jpeg: bytes, flag: int) -> np.ndarray:
    """Return the decoded image, BGR except for IMREAD_COLOR_RGB. `flag`: one of cv2's IMREAD constants."""
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), flag) if jpeg else None
    if image is None:
        raise UndecodableVideo("invalid JPEG")
    return image
