"""Frame cache: decoded frames in memory, or in an unnamed file that disappears with the process. No TensorFlow."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.entities import StoredFrame

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CacheLimits:
    """Maximum size in memory, bytes; beyond it, in a file in `folder`, bytes and at most half of the free disk."""

    memory_bytes: int
    disk_bytes: int
    folder: Path | None = None


class FrameCache:
    """Decoded pixels of `frames`: uint8 RGB (n, img_size, img_size, 3), in the same order."""

    def __init__(self, pixels: np.ndarray, frames: Sequence[StoredFrame]) -> None:
        self._pixels = pixels
        self._rows = {frame: row for row, frame in enumerate(frames)}

    def rows(self, frames: Sequence[StoredFrame]) -> np.ndarray:
        """Return the rows of these frames, int64 (n,). Raises KeyError: a frame is not cached."""
        return np.array([self._rows[frame] for frame in frames], np.int64)

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Return the pixels at `rows`, uint8 (n, img_size, img_size, 3)."""
        return self._pixels[rows]


def build_cache(
    frames: Sequence[StoredFrame], img_size: int, batches: Iterable[np.ndarray], limits: CacheLimits
) -> FrameCache | None:
    """Cache `frames` from `batches` of their pixels, in the same order; return None beyond the limits."""
    pixels = allocate_array((len(frames), img_size, img_size, 3), np.dtype(np.uint8), limits)
    if pixels is None:
        return None
    start = 0
    for batch in batches:
        pixels[start : start + len(batch)] = batch  # (B, img_size, img_size, 3)
        start += len(batch)
    return FrameCache(pixels, frames)


def allocate_array(shape: tuple[int, ...], dtype: np.dtype, limits: CacheLimits) -> np.ndarray | None:
    """Allocate an uninitialised array in memory, or else in a file; return None beyond the limits."""
    size = int(np.prod(shape)) * dtype.itemsize
    if size <= limits.memory_bytes:
        return np.empty(shape, dtype)
    folder = limits.folder
    if folder is None or size > limits.disk_bytes or size > shutil.disk_usage(folder).free / 2:
        return None
    try:
        with tempfile.TemporaryFile(dir=folder) as file:  # the mapping outlives the file's name and descriptor
            if hasattr(os, "posix_fallocate"):
                # Reserve the space now: a write to mapped memory on a full disk kills the process with SIGBUS.
                os.posix_fallocate(file.fileno(), 0, size)
            return np.memmap(file, dtype, "r+", shape=shape)  # extends the file
    except OSError as error:
        log.warning("The frame cache cannot use %s: %s.", folder, error.strerror)
        return None
