"""Trash of a dataset: `.trash/<id of the change>/<path of the frame>`, filled by data.storage.changes."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Container, Iterator
from dataclasses import dataclass

from data.entities import StoredFrame
from data.storage.layout import CHANGES_FOLDER, TRASH_FOLDER
from data.storage.store_files import StoreFiles


@dataclass(frozen=True, slots=True)
class TrashedFrame:
    """A file in the trash."""

    path: str  # below the root
    frame: StoredFrame  # as it was before


def trashed_frames(files: StoreFiles) -> Iterator[TrashedFrame]:
    """Yield the frames in the trash; skip files with other names. Raises FolderError."""
    for path in files.walk(TRASH_FOLDER):
        with contextlib.suppress(ValueError):  # not a frame's name
            yield TrashedFrame(path, StoredFrame.parse("/".join(path.split("/")[-2:])))


def trash_version(files: StoreFiles) -> object:
    """Return another value after each change of the trash. Raises FolderError."""
    return tuple(map(files.folder_version, (TRASH_FOLDER, CHANGES_FOLDER)))  # a change ends with a renaming there


class TrashedHashes(Container[bytes]):
    """The SHA-256 of each frame in the trash. Asking raises FolderError.

    trusted_s: seconds for which what was seen there counts; 0: it is as at the moment of the question.
    """

    def __init__(self, files: StoreFiles, trusted_s: float = 0.0) -> None:
        self._files = files
        self._trusted_s = trusted_s
        self._asked_at = -math.inf  # of time.monotonic
        self._version: object = None
        self._hashes: dict[str, bytes] = {}  # by path
        self._found: frozenset[bytes] = frozenset()

    def __contains__(self, sha256: object) -> bool:
        """Return whether the trash has a frame with this hash. Files that are new there are read."""
        now = time.monotonic()
        if now < self._asked_at + self._trusted_s:
            return sha256 in self._found
        version = trash_version(self._files)
        if version != self._version:
            paths = [trashed.path for trashed in trashed_frames(self._files)]
            self._hashes = dict(zip(paths, self._files.each(self._hash, paths), strict=True))
            self._found, self._version = frozenset(filter(None, self._hashes.values())), version
        self._asked_at = now
        return sha256 in self._found

    def _hash(self, path: str) -> bytes:
        """Return the hash of a file, which does not change there; b"" if it is gone by now."""
        with contextlib.suppress(FileNotFoundError):
            return self._hashes.get(path) or self._files.sha256(path)
        return b""
