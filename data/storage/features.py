"""Feature store: vectors of frames by one network, by the SHA-256 of each frame's JPEG.

A folder of immutable segments `<number>.npz` with the arrays `hashes` (n, 32) and `vectors` (n, d). A segment is
written beside its place and renamed, so a kill or a power cut loses the last call at most. Features can be computed
again: a damaged segment counts as missing.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from data.atomic import atomic_file, folder_lock, is_stale
from data.errors import FolderError
from data.readers import open_regular_file
from data.text import printable

log = logging.getLogger(__name__)

THUMBNAILS = "thumbnails"  # beside the networks' folders: small grey pictures, which no export may take for features
_SEGMENT_BYTES = 32 << 20  # a smaller last segment is merged with what is added
_HASH_BYTES = 32


class FeatureStore:
    """Vectors in one folder, which the first `add` creates. Several processes may use it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, hashes: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
        """Return (vectors (n, d), found (n,) bool); the vector of an unknown hash is 0, d is 0 without any.

        Raises FolderError.
        """
        vectors, found = np.zeros((len(hashes), 0), np.float16), np.zeros(len(hashes), bool)
        for rows, part in self.batches(hashes):
            if not vectors.shape[1]:
                vectors = np.zeros((len(hashes), part.shape[1]), part.dtype)
            vectors[rows], found[rows] = part, True
        return vectors, found

    def batches(self, hashes: Sequence[bytes]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield (positions in `hashes`, int64 (m,), their vectors (m, d)) by segment. Raises FolderError."""
        wanted: dict[bytes, list[int]] = {}
        for row, key in enumerate(hashes):
            wanted.setdefault(key, []).append(row)
        kind: tuple[object, ...] = ()
        for path in self._segments():
            keys, vectors = _read(path)
            pairs = [(row, index) for index, key in enumerate(keys) for row in wanted.pop(key, ())]
            if pairs:
                if kind not in ((), (vectors.shape[1], vectors.dtype)):
                    folder = printable(str(self.folder))
                    raise FolderError(f"{folder} has vectors of two networks: delete it; features are computed again.")
                kind = vectors.shape[1], vectors.dtype
                rows, indices = np.array(pairs).T
                yield rows, vectors[indices]

    def missing(self, hashes: Iterable[bytes]) -> set[bytes]:
        """Return the hashes without a vector, or with one that cannot be read. Raises FolderError."""
        wanted = set(hashes)
        for path in self._segments():
            if not wanted.isdisjoint(_read(path, with_vectors=False)[0]):
                wanted.difference_update(_read(path)[0])  # its checksum may be wrong
        return wanted

    def add(self, hashes: Sequence[bytes], vectors: np.ndarray) -> None:
        """Store the vectors (n, d), all of one dtype and d for all time; known hashes are left. Raises FolderError."""
        if len(hashes) != len(vectors) or any(len(key) != _HASH_BYTES for key in hashes):
            raise ValueError("one vector is needed for each SHA-256")
        with _folder_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            with folder_lock(self.folder):
                self._remove_stale_files()
                self._append(list(hashes), np.asarray(vectors))

    def remove(self, hashes: Iterable[bytes]) -> int:
        """Remove these vectors from the disk; return how many there were. Raises FolderError."""
        gone, removed = set(hashes), 0
        with _folder_errors(self.folder):
            if not self.folder.is_dir():
                return 0
        with _folder_errors(self.folder), folder_lock(self.folder):
            self._remove_stale_files()
            for path in self._segments():
                keys, vectors = _read(path, with_vectors=False)
                kept = [index for index, key in enumerate(keys) if key not in gone]
                if kept and len(kept) == len(keys):
                    continue
                removed += len(keys) - len(kept)
                keys, vectors = _read(path) if kept else ([], np.empty((0, 0)))
                if keys:
                    _write(path, [keys[index] for index in kept], vectors[kept])
                else:  # a damaged one too: who knows what it holds
                    path.unlink()
        return removed

    def _append(self, hashes: list[bytes], vectors: np.ndarray) -> None:
        """Write the unknown ones of `hashes`, in a new segment or merged with the last one."""
        unknown, segments = self.missing(hashes), self._segments()
        new = {key: index for index, key in reversed(list(enumerate(hashes))) if key in unknown}  # each once
        if not new:
            return
        hashes, vectors = list(new), vectors[list(new.values())]
        path = self.folder / f"{int(segments[-1].stem) + 1 if segments else 1:08}.npz"
        if segments and segments[-1].stat().st_size < _SEGMENT_BYTES:
            keys, old = _read(segments[-1])
            if keys and old.shape[1:] == vectors.shape[1:]:
                path, hashes, vectors = segments[-1], keys + hashes, np.concatenate([old, vectors.astype(old.dtype)])
        step = max(1, _SEGMENT_BYTES // max(1, vectors[0].nbytes))
        for start in range(0, len(hashes), step):
            _write(path, hashes[start : start + step], vectors[start : start + step])
            path = path.with_name(f"{int(path.stem) + 1:08}.npz")

    def _segments(self) -> list[Path]:
        with _folder_errors(self.folder), contextlib.suppress(FileNotFoundError):
            return sorted(path for path in self.folder.iterdir() if path.suffix == ".npz" and path.stem.isdigit())
        return []

    def _remove_stale_files(self) -> None:
        for path in self.folder.iterdir():
            if is_stale(path):
                path.unlink(missing_ok=True)


def _write(path: Path, keys: Sequence[bytes], vectors: np.ndarray) -> None:
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        hashes = np.frombuffer(b"".join(keys), np.uint8).reshape(-1, _HASH_BYTES)
        np.savez(file, hashes=hashes, vectors=vectors)


def _read(path: Path, *, with_vectors: bool = True) -> tuple[list[bytes], np.ndarray]:
    """Return the hashes and the vectors of a segment; nothing of a damaged one. Raises FolderError."""
    try:
        with _folder_errors(path), open_regular_file(path) as file:
            arrays = np.load(file, allow_pickle=False)
            hashes, vectors = arrays["hashes"], arrays["vectors"] if with_vectors else np.empty((0, 0))
        if hashes.dtype != np.uint8 or hashes.shape[1:] != (_HASH_BYTES,) or vectors.ndim != 2:
            raise ValueError("invalid arrays")
        if with_vectors and (len(vectors) != len(hashes) or vectors.dtype.kind not in "fiu"):
            raise ValueError("not a vector for each hash")
    except FileNotFoundError:  # `remove` emptied it meanwhile
        return [], np.empty((0, 0), np.float16)
    except FolderError:
        raise
    except Exception as error:  # noqa: BLE001 - zipfile, zlib and NumPy raise a dozen kinds for a damaged file
        log.warning("%s is damaged and its features are computed again: %s.", printable(str(path)), error)
        return [], np.empty((0, 0), np.float16)
    return [row.tobytes() for row in hashes], vectors


@contextlib.contextmanager
def _folder_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise FolderError(
            f"{printable(str(path))}: {error.strerror or error}: make it readable and writable, or delete it; features "
            "are computed again."
        ) from error
