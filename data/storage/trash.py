"""Trash of a dataset: `<root>/.trash/<id of the change>/<path of the frame>`, filled by data.storage.changes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from data.entities import StoredFrame
from data.readers import file_sha256
from data.storage.folder_errors import folder_errors
from data.storage.folder_scan import CHANGES_FOLDER, TRASH_FOLDER


@dataclass(frozen=True, slots=True)
class TrashedFrame:
    """A file in the trash."""

    path: str  # below the root
    frame: StoredFrame  # as it was before


def trashed_frames(root: Path) -> Iterator[TrashedFrame]:
    """Yield the frames in the trash; skip files with other names. Raises FolderError."""
    trash = root / TRASH_FOLDER
    with folder_errors(trash):
        for folder, _, names in os.walk(trash, onerror=_raise_unless_missing):
            for name in names:
                path = Path(folder, name).relative_to(root)
                with contextlib.suppress(ValueError):  # not a frame's name
                    yield TrashedFrame(path.as_posix(), StoredFrame.parse("/".join(path.parts[-2:])))


class TrashedHashes(Container[bytes]):
    """The SHA-256 of each frame in the trash, as it is at that moment. Asking raises FolderError."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._state: tuple[int, ...] | None = None
        self._hashes: dict[str, bytes] = {}  # by path
        self._found: frozenset[bytes] = frozenset()

    def __contains__(self, sha256: object) -> bool:
        """Return whether the trash has a frame with this hash. Files that are new there are read."""
        state = tuple(map(self._modified_ns, (TRASH_FOLDER, CHANGES_FOLDER)))  # a change ends with a renaming there
        if state != self._state:
            before, self._hashes = self._hashes, {}
            for path in (trashed.path for trashed in trashed_frames(self._root)):
                with folder_errors(self._root / path), contextlib.suppress(FileNotFoundError):
                    self._hashes[path] = before.get(path) or file_sha256(self._root / path)
            self._found, self._state = frozenset(self._hashes.values()), state
        return sha256 in self._found

    def _modified_ns(self, name: str) -> int:
        with folder_errors(self._root / name), contextlib.suppress(FileNotFoundError):
            return (self._root / name).stat().st_mtime_ns
        return 0


def remove_empty_folders(paths: Iterable[Path]) -> None:
    """Remove the folders that these files left, up to the trash itself, as far as they are empty."""
    for folder in {path.parent for path in paths}:
        for each in (folder, *folder.parents[:2]):
            with contextlib.suppress(OSError):  # not empty
                each.rmdir()


def _raise_unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
