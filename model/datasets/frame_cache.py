"""Decoded frames, kept in memory or in a file that vanishes with the process. No TensorFlow."""

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
class Limits:
    """How much may be kept: bytes in memory, and else bytes in a file in `folder`, half of the free disk at most."""

    memory_bytes: int
    disk_bytes: int
    folder: Path | None = None


class Cache:
    """uint8 pixels of `frames`, img_size x img_size x 3 each, RGB."""

    def __init__(self, pixels: np.ndarray, frames: Sequence[StoredFrame]) -> None:
        self._pixels = pixels
        self._rows = {frame: row for row, frame in enumerate(frames)}

    def rows(self, frames: Sequence[StoredFrame]) -> np.ndarray:
        """int64 (n,): where these frames lie. Raises KeyError: one is not kept."""
        return np.array([self._rows[frame] for frame in frames], np.int64)

    def take(self, rows: np.ndarray) -> np.ndarray:
        """uint8 (n, img_size, img_size, 3): the pixels at `rows`."""
        return self._pixels[rows]


def filled(frames: Sequence[StoredFrame], img_size: int, batches: Iterable[np.ndarray], limits: Limits) -> Cache | None:
    """A cache of `frames`, whose pixels `batches` gives in their order; None where it would exceed the limits."""
    pixels = room((len(frames), img_size, img_size, 3), np.dtype(np.uint8), limits)
    if pixels is None:
        return None
    start = 0
    for batch in batches:
        pixels[start : start + len(batch)] = batch
        start += len(batch)
    return Cache(pixels, frames)


def room(shape: tuple[int, ...], kind: np.dtype, limits: Limits) -> np.ndarray | None:
    """An array that may be filled, in memory or in a file; None where it would exceed the limits."""
    size = int(np.prod(shape)) * kind.itemsize
    if size <= limits.memory_bytes:
        return np.empty(shape, kind)
    folder = limits.folder
    if folder is None or size > limits.disk_bytes or size > shutil.disk_usage(folder).free / 2:
        return None
    try:
        with tempfile.TemporaryFile(dir=folder) as file:  # the map outlives the name, and the bytes the map
            _reserve(file.fileno(), size)
            return np.memmap(file, kind, "r+", shape=shape)
    except OSError as error:
        log.warning("No cache in %s: %s.", folder, error.strerror)
        return None


def _reserve(descriptor: int, size: int) -> None:
    """Take the disk's space now: a disk that is full when mapped bytes are written kills the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:
        os.ftruncate(descriptor, size)
