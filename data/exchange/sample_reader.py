"""Sample reader: frames of the dataset become samples, with pseudonyms for logins unless they are wanted."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from data.entities import StoredFrame
from data.errors import FolderError
from data.exchange.sample import Sample
from data.storage.features import THUMBNAILS, FeatureStore
from data.storage.frame_store import FrameStore
from data.text import printable

log = logging.getLogger(__name__)

_SAMPLED = 64  # frames whose sizes stand for those of all
_COLUMN_BYTES = 100  # of a sample without its picture
_JPEG_START = b"\xff\xd8\xff"
_NAMED = 20  # frames that were left out are named up to this number


class SampleReader:
    """Reads frames of a store. `seen` counts them, `left_out` those whose files are gone or no JPEG.

    Args:
        store: where the frames are.
        names: of the games by id.
        pseudonym: returns what stands for a login; None keeps logins, titles and origins.
        pictures: whether the samples have their pictures.
        features: vectors by the frames' hashes; None without vectors.
    """

    def __init__(
        self,
        store: FrameStore,
        names: Mapping[int, str],
        pseudonym: Callable[[str], str] | None,
        *,
        pictures: bool = True,
        features: FeatureStore | None = None,
    ) -> None:
        self._store = store
        self._names = names
        self._pseudonym = pseudonym
        self._pictures = pictures
        self._features = features
        self.feature_size = 0  # of a vector; known after `find_features`
        self.network = ""  # that computed the vectors, as well
        self.seen = 0
        self.left_out = 0

    def find_features(self, frames: Sequence[StoredFrame]) -> list[StoredFrame]:
        """Return the frames with the hashes that an export without pictures needs; leave out and count unreadable ones.

        Raises FolderError: the features cannot be read.
        """
        hashed = []
        for frame in frames:
            try:
                hashed.append(frame if frame.sha256 else replace(frame, sha256=self._store.sha256(frame)))
            except FolderError as error:
                self._leave_out(str(error))
        if self._features:
            _, vectors = next(self._features.batches([frame.sha256 for frame in hashed]), ((), np.zeros((0, 0))))
            self.feature_size = vectors.shape[1]
            self.network = printable(self._features.folder.name) if self.feature_size else ""
        return hashed

    def mean_bytes(self, frames: Sequence[StoredFrame]) -> float:
        """Return the mean size of a sample, by some of the frames."""
        if not self._pictures:
            return _COLUMN_BYTES + 2 * self.feature_size
        sizes = [len(jpeg) for frame in frames[:_SAMPLED] if (jpeg := self._read(frame)[0])]
        return _COLUMN_BYTES + sum(sizes) / max(1, len(sizes))

    def read(self, frames: Sequence[StoredFrame]) -> Iterator[Sample]:
        """Yield the frames' samples in order; leave out and count those without a JPEG file."""
        vectors = self._vectors(frames)
        for index, frame in enumerate(frames):
            self.seen += 1
            jpeg, cause = self._read(frame) if self._pictures else (b"", "")
            if cause:
                self._leave_out(cause)
                continue
            sha256 = hashlib.sha256(jpeg).digest() if self._pictures else frame.sha256
            features = vectors[index].tobytes() if self.feature_size else b""
            yield Sample(self._public(replace(frame, sha256=sha256)), self._names[frame.game_id], jpeg, features)

    def _leave_out(self, cause: str) -> None:
        self.left_out += 1
        level = logging.WARNING if self.left_out <= _NAMED else logging.INFO
        log.log(level, "left out: %s", printable(cause))

    def _public(self, frame: StoredFrame) -> StoredFrame:
        if not self._pseudonym:
            return frame
        details = replace(frame.details, title="", origin="")  # they may name people
        return replace(frame, login=self._pseudonym(frame.login), details=details)

    def _read(self, frame: StoredFrame) -> tuple[bytes, str]:
        """Return the frame's JPEG bytes, and why there are none."""
        try:
            jpeg = self._store.read(frame)
        except FolderError as error:
            return b"", str(error)
        return (jpeg, "") if jpeg.startswith(_JPEG_START) else (b"", f"{frame.path} is no JPEG file")

    def _vectors(self, frames: Sequence[StoredFrame]) -> np.ndarray:
        """Return a float16 vector for each frame; NaN where there is none."""
        if not (self._features and self.feature_size):
            return np.zeros((0, 0), np.float16)
        vectors, found = self._features.get([frame.sha256 for frame in frames])
        vectors = vectors.astype(np.float16)
        if vectors.shape[1] != self.feature_size:
            vectors = np.zeros((len(frames), self.feature_size), np.float16)
        vectors[~found] = np.nan
        return vectors


def newest_features(folder: Path) -> FeatureStore | None:
    """Return a network's features that were computed last, in a store's folder of features; None without any."""
    found = folder.iterdir() if folder.is_dir() else ()
    networks = [path for path in found if path.is_dir() and path.name != THUMBNAILS]
    return FeatureStore(max(networks, key=lambda path: path.stat().st_mtime)) if networks else None
