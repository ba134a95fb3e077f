"""History: the latest changes of the dataset, and what is in its trash. Files are read again when they have changed."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass
from functools import lru_cache

from data.entities import StoredFrame
from data.errors import FolderError
from data.storage import journal
from data.storage.journal import ChangeSummary, FileMove
from data.storage.layout import CHANGES_FOLDER
from data.storage.store_files import StoreFiles
from data.storage.trash import trash_version, trashed_frames

_KEPT_CHANGES = 4  # with all their moves: a thousand moves take 1 MB


@dataclass(frozen=True, slots=True)
class TrashedFile:
    """A frame in the trash, as it was before."""

    frame: StoredFrame  # with its hash and details, if the change is known
    change_id: str
    reason: str


class ChangeHistory:
    """Changes and trash of the dataset with these files. Every method raises FolderError."""

    def __init__(self, files: StoreFiles) -> None:
        self._files = files
        self._summaries: dict[str, tuple[object, ChangeSummary]] = {}  # by id, with the version of the journal
        self._trash: list[str] = []
        self._trash_version: object = None
        self._lock = threading.Lock()
        self._moves = lru_cache(_KEPT_CHANGES)(self._read_moves)

    def changes(self, limit: int) -> list[ChangeSummary]:
        """Return the latest changes, newest first."""
        return [self._summary(each) for each in journal.change_ids(self._files)[::-1][:limit]]

    def trash(self, offset: int, limit: int) -> list[TrashedFile]:
        """Return a window of the trash, newest change first."""
        return [self._trashed(path) for path in self._trash_paths()[offset : offset + limit]]

    def trash_size(self) -> int:
        """Return the number of frames in the trash."""
        return len(self._trash_paths())

    def _summary(self, change_id: str) -> ChangeSummary:
        version = self._version(change_id)
        kept = self._summaries.get(change_id)
        if kept and kept[0] == version:
            return kept[1]
        summary = journal.read_summary(self._files, change_id)
        self._summaries[change_id] = version, summary
        return summary

    def _trash_paths(self) -> list[str]:
        """Return the paths in the trash below the root."""
        with self._lock:
            version = trash_version(self._files)
            if version != self._trash_version:
                paths = sorted(trashed.path for trashed in trashed_frames(self._files) if _change_id(trashed.path))
                self._trash = sorted(paths, key=_change_id, reverse=True)  # in one change by path
                self._trash_version = version
            return self._trash

    def _trashed(self, path: str) -> TrashedFile:
        change_id, frame = journal.split_trash_path(path)
        try:
            move = self._moves(change_id, self._version(change_id)).get(path)
        except FolderError:  # the journal was deleted, or edited
            move = None
        if move is None:
            return TrashedFile(frame, change_id, "")
        return TrashedFile(move.frame, change_id, move.reason)

    def _version(self, change_id: str) -> object:
        return self._files.version(f"{CHANGES_FOLDER}/{change_id}.done")

    def _read_moves(self, change_id: str, _version: object) -> dict[str, FileMove]:
        """Return the moves of a change by their targets."""
        return {move.target: move for move in journal.read(self._files, change_id).moves}


def _change_id(path: str) -> str:
    """Return the change that brought a file into the trash; "" for a file that no change brings there."""
    with contextlib.suppress(ValueError):
        return journal.split_trash_path(path)[0]
    return ""
