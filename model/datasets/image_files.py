"""Image files of a dataset or of a user, read alike in training, evaluation and export. No TensorFlow.

An unusable file costs that file, never the run.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np

from data.errors import UndecodableVideo
from data.readers import read_regular_file
from data.text import printable
from data.video.images import decode_jpeg, decode_resized

log = logging.getLogger(__name__)

_MAX_BYTES = 50 << 20
_MAX_WARNINGS = 10
_BATCH = 64
_THREADS = 4  # decoding releases the GIL; each thread may hold an image of the largest size that the codec accepts
_T = TypeVar("_T")


def image_size(path: Path) -> tuple[int, int]:
    """Return height and width of an image file, after decoding it. Raises UndecodableVideo."""
    height, width, _channels = decode_jpeg(_read(path)).shape
    return height, width


def read_image(path: Path, size: int) -> np.ndarray:
    """Return an image file as uint8 (size, size, 3), RGB, scaled by area averaging. Raises UndecodableVideo."""
    return decode_resized(_read(path), size)


def read_all(paths: Sequence[Path], read: Callable[[Path], _T]) -> Iterator[_T | None]:
    """Yield `read` of each path in order, None for a file that is unusable; in the end, log a warning for those."""
    unusable: list[tuple[Path, str]] = []

    def attempt(path: Path) -> _T | None:
        try:
            return read(path)
        except UndecodableVideo as error:
            unusable.append((path, str(error)))
            return None

    with ThreadPoolExecutor(_THREADS) as pool:
        for start in range(0, len(paths), _BATCH):  # map() starts on all of its input at once
            yield from pool.map(attempt, paths[start : start + _BATCH])
    for path, reason in sorted(unusable)[:_MAX_WARNINGS]:
        log.warning("%s cannot be decoded and is skipped: %s.", printable(str(path)), reason.rstrip("."))
    if len(unusable) > _MAX_WARNINGS:
        log.warning("%d more images cannot be decoded and are skipped.", len(unusable) - _MAX_WARNINGS)


def _read(path: Path) -> bytes:
    try:
        return read_regular_file(path, _MAX_BYTES)
    except OSError as error:
        raise UndecodableVideo(error.strerror or str(error)) from error
