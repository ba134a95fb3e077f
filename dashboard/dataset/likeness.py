"""Likeness of frames by the features of the last check, projected on few axes. Read on the first request only.

100,000 frames of the default network take about 5 s on one core, and 26 MB.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dashboard.dataset.index import DatasetIndex, sha256_of
from data.errors import DatasetError, ToolkitError
from data.exchange.sample_reader import newest_features
from data.storage.features import FeatureStore
from data.storage.folder_errors import folder_errors
from data.storage.frame_store import FrameStore
from model.cleaning import space

_NO_FEATURES = "There are no features of these frames: check the dataset first (python -m model.check)."


@dataclass(frozen=True, slots=True, eq=False)
class _Space:
    """Frames as points: the cosine of two rows is the similarity of their frames."""

    state: tuple[object, ...]
    hashes: np.ndarray  # S32 (n,), sorted
    points: np.ndarray  # float16 (n, k), rows of length 1


class Likeness:
    """Similarities of a store's frames."""

    def __init__(self, store: FrameStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._space: _Space | None = None
        self._reader: threading.Thread | None = None

    def similarities(self, index: DatasetIndex, sha256: bytes) -> np.ndarray:
        """Return the similarity of each frame to the one with this hash, -1 to 1, float32 (n,); NaN: unknown.

        Raises DatasetError: there are no features. FolderError.
        """
        with self._lock:
            found = self._current(index)
        own = np.searchsorted(found.hashes, sha256)
        if own == len(found.hashes) or found.hashes[own] != sha256.rstrip(b"\0"):
            raise DatasetError(_NO_FEATURES)
        cosines = _product(found.points, found.points[own].astype(np.float32))
        wanted = index.rows["sha256"]
        places = np.minimum(np.searchsorted(found.hashes, wanted), len(found.hashes) - 1)
        return np.where(found.hashes[places] == wanted, cosines[places], np.float32(np.nan))

    def neighbours(
        self, index: DatasetIndex, position: int, count: int, wait_s: float
    ) -> list[tuple[int, float]] | None:
        """Return the positions of the most similar frames with their similarities, best first.

        Without features there are none. None: they are still being read after `wait_s` seconds.
        """
        sha256 = sha256_of(index.rows[position])
        if not self._is_current():
            if self._reader is None or not self._reader.is_alive():
                self._reader = threading.Thread(target=self._read_quietly, args=(index,), daemon=True)
                self._reader.start()
            self._reader.join(wait_s)
            if self._reader.is_alive():
                return None
        try:
            values = self.similarities(index, sha256)
        except ToolkitError:
            return []
        values[position] = np.nan
        values = np.where(np.isnan(values), -2, values)
        best = np.argsort(-values, kind="stable")[:count]
        return [(int(place), float(values[place])) for place in best if values[place] > -2]

    def _is_current(self) -> bool:
        with contextlib.suppress(ToolkitError):
            return self._space is not None and self._space.state == self._state()[1]
        return False

    def _read_quietly(self, index: DatasetIndex) -> None:
        with self._lock, contextlib.suppress(ToolkitError):
            self._current(index)

    def _state(self) -> tuple[FeatureStore | None, tuple[object, ...]]:
        with folder_errors(self._store.features):
            features = newest_features(self._store.features)
            return features, (features.folder, features.folder.stat().st_mtime_ns) if features else ()

    def _current(self, index: DatasetIndex) -> _Space:
        features, state = self._state()
        if self._space is None or self._space.state != state:
            if features is None:
                raise DatasetError(_NO_FEATURES)
            self._space = _read(features, state, np.unique(index.rows["sha256"]))
        return self._space


def _read(features: FeatureStore, state: tuple[object, ...], hashes: np.ndarray) -> _Space:
    """Project the features of the frames with these hashes, sorted. Raises FolderError."""
    keys = [each.ljust(32, b"\0") for each in hashes.tolist()]
    known = np.zeros(len(keys), bool)

    def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for rows, vectors in features.batches(keys):
            known[rows] = True
            yield rows, vectors

    try:
        points, _ = space.project(batches, len(keys))
    except ValueError:  # no frame has features: they are not read again before they change
        return _Space(state, hashes[:0], np.empty((0, 1), np.float16))
    return _Space(state, hashes[known], space.unit_rows(points[known]).astype(np.float16))


def _product(points: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Return the products of the rows with a vector, float32 (n,), in blocks: a copy in float32 takes 50 MB."""
    blocks = (points[start : start + 10_000].astype(np.float32) @ vector for start in range(0, len(points), 10_000))
    return np.concatenate(list(blocks))
