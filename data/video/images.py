"""Image codec: pictures to uint8 RGB arrays, scaled by area averaging, and back to JPEG. Owns cv2.

Every picture of a server, a dataset or a user is decoded here: its size is read from the header before OpenCV
allocates memory, its EXIF orientation is applied, and whatever the libraries raise becomes UndecodableVideo.
Every array of this module is uint8, with RGB channels: (height, width, 3).
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np
from PIL import Image

from data.errors import UndecodableVideo

_MAX_PIXELS = 64_000_000  # 192 MB decoded: above the largest phone photos (48 million) and 8K (33 million)
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
_JPEG_START = b"\xff\xd8"
THUMBNAIL_SIZE = 30  # a 240 x 240 JPEG decoded at an eighth of its size has exactly 30 x 30 pixels


def encode_jpeg(image: np.ndarray, jpeg_quality: int) -> bytes:
    """Return an image as JPEG bytes. `jpeg_quality`: 1 to 100. Raises UndecodableVideo if OpenCV fails."""
    with _image_errors():
        bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        done, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality])
    if not done:
        raise UndecodableVideo("the frame cannot be written as JPEG")
    return jpeg.tobytes()


def decode_jpeg(jpeg: bytes) -> np.ndarray:
    """Return a JPEG or another picture as an image (height, width, 3). Raises UndecodableVideo."""
    return _imdecode(jpeg, cv2.IMREAD_COLOR_RGB)  # not BGR reversed: NumPy would copy that pixel by pixel later


def decode_resized(picture: bytes, img_size: int) -> np.ndarray:
    """Return a picture of one of `_FORMATS` as an image (img_size, img_size, 3). Raises UndecodableVideo."""
    return resize_image(decode_jpeg(picture), img_size)


def picture_to_frame(picture: bytes, img_size: int, jpeg_quality: int) -> bytes:
    """Return a picture of one of `_FORMATS` as a frame: JPEG bytes of img_size x img_size pixels.

    A JPEG of that size is returned unchanged: models are trained on these bytes. Raises UndecodableVideo.
    """
    image = decode_jpeg(picture)
    if picture.startswith(_JPEG_START) and image.shape[:2] == (img_size, img_size):
        return picture
    return encode_jpeg(resize_image(image, img_size), jpeg_quality)


def resize_image(image: np.ndarray, size: int) -> np.ndarray:
    """Return an image of any size as (size, size, 3), by area averaging. Raises UndecodableVideo if OpenCV fails."""
    with _image_errors():
        return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)


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
    return resize_image(image, THUMBNAIL_SIZE)


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


def picture_size(picture: bytes) -> tuple[int, int]:
    """Return width and height that the header of a picture of one of `_FORMATS` states. Raises UndecodableVideo."""
    with _image_errors(), Image.open(io.BytesIO(picture), formats=_FORMATS) as header:  # reads no pixels
        return header.size


def _imdecode(picture: bytes, flag: int) -> np.ndarray:
    """Return the decoded image, BGR except for IMREAD_COLOR_RGB. `flag`: one of cv2's IMREAD constants."""
    with _image_errors():
        with Image.open(io.BytesIO(picture), formats=_FORMATS) as header:  # reads no pixels
            width, height = header.size
            if width * height > _MAX_PIXELS:
                raise UndecodableVideo(f"the image has {width}x{height} pixels")
            header.verify()  # of PNG: libpng would print damage to stderr
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # our error says what is wrong
        image = cv2.imdecode(np.frombuffer(picture, np.uint8), flag)  # turned as its EXIF orientation says
    if image is None:
        raise UndecodableVideo("invalid image")
    return image


@contextmanager
def _image_errors() -> Iterator[None]:
    """Raise UndecodableVideo for whatever the libraries raise: a damaged picture causes exceptions of many types."""
    try:
        yield
    except UndecodableVideo:
        raise
    except Image.DecompressionBombError as error:  # raised by Pillow before our own check
        raise UndecodableVideo("the image has too many pixels") from error
    except Exception as error:  # its text may hold addresses of objects or the path of a source file
        raise UndecodableVideo(f"the image cannot be decoded: {type(error).__name__}") from error
