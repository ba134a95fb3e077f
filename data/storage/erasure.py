"""Erasure: remove frames from everywhere in a dataset's store and from the rows, for data.forget and data.purge.

    remove the features of the files, found by their hashes        before the files, or a kill would leave them
    remove the files in the games' folders and in the trash
    remove the lines of the manifests
    remove the findings of the last check
    remove the rows
    remove the moves from the journals of changes

After a kill the next erasure removes the rest: each step looks for what is left of its kind. A command that runs at
the same time may add frames, so the caller repeats the erasure until it finds nothing.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path

from data.atomic import is_temporary
from data.entities import StoredFrame
from data.errors import FolderError
from data.storage import journal
from data.storage.catalog import Catalog, CatalogChanges
from data.storage.changes import FrameChanges
from data.storage.folder_errors import folder_errors
from data.storage.frame_store import FrameStore
from data.storage.journal import Change, FileMove
from data.storage.layout import CHECK_FILE, TRASH_FOLDER
from data.storage.store_files import shown_path
from data.storage.trash import TrashedFrame, trashed_frames

_FRAME_PATH = re.compile(r"[1-9][0-9]{0,17}/[a-z0-9_]{1,25}-[1-9][0-9]{0,17}\.jpg")


_NOUNS = (  # of the fields of Erased, for one and for more
    ("frame", "frames"),
    ("file in the trash", "files in the trash"),
    ("row", "rows"),
    ("feature vector", "feature vectors"),
    ("finding of the last check", "findings of the last check"),
    ("move in a journal", "moves in journals"),
    ("audited stream", "audited streams"),
    ("surveyed stream", "surveyed streams"),
    ("alert", "alerts"),
)


@dataclass(frozen=True, slots=True)
class Erased:
    """How many of each kind were removed."""

    frames: int = 0
    trashed: int = 0
    rows: int = 0
    features: int = 0
    findings: int = 0
    moves: int = 0
    audited: int = 0
    surveyed: int = 0
    alerts: int = 0

    def __add__(self, other: Erased) -> Erased:
        return Erased(*(own + theirs for own, theirs in zip(astuple(self), astuple(other), strict=True)))

    def __bool__(self) -> bool:
        return any(astuple(self))

    def __str__(self) -> str:
        """The numbers above 0, in words."""
        counts = zip(astuple(self), _NOUNS, strict=True)
        return ", ".join(f"{count:,} {nouns[count != 1]}" for count, nouns in counts if count) or "nothing"


@dataclass(frozen=True, slots=True)
class Doomed:
    """What an erasure has found."""

    frames: tuple[StoredFrame, ...] = ()  # files in the games' folders
    trashed: tuple[TrashedFrame, ...] = ()
    rows: Mapping[str, StoredFrame] = field(default_factory=dict)  # by path

    def counts(self) -> Erased:
        """Return the numbers."""
        return Erased(len(self.frames), len(self.trashed), len(self.rows))


class Eraser:
    """Removes frames of one dataset. Every method raises FolderError and CatalogUnavailable.

    Args:
        store: the frames.
        catalog: their rows; None without a database.
    """

    def __init__(self, store: FrameStore, catalog: Catalog | None) -> None:
        self._store = store
        self._files = store.files
        self._catalog = catalog
        self._changes = FrameChanges(store, catalog)

    def locked(self) -> AbstractContextManager[object]:
        """Return a context manager: the lock of all changes, so that no other command moves or adds old frames."""
        return self._changes.locked()

    def rows(self) -> Mapping[str, StoredFrame]:
        """Return the rows of the frames, by path."""
        return self._catalog.snapshot().frames if self._catalog else {}

    def changes(self) -> list[Change]:
        """Return the changes whose journals are there, oldest first."""
        return self._changes.changes()

    def find(self, is_wanted: Callable[[StoredFrame], bool]) -> Doomed:
        """Return the files and rows of the frames that `is_wanted` accepts."""
        return Doomed(
            frames=tuple(filter(is_wanted, self._store.scan().frames)),
            trashed=tuple(item for item in trashed_frames(self._files) if is_wanted(item.frame)),
            rows={path: frame for path, frame in self.rows().items() if is_wanted(frame)},
        )

    def erase(
        self,
        doomed: Doomed,
        is_erased: Callable[[StoredFrame], bool],
        is_useless: Callable[[Change, FileMove], bool] | None = None,
    ) -> Erased:
        """Remove what was found, and what mentions it; return the counts. The caller holds the lock.

        is_erased: whether to remove what mentions this frame.
        is_useless: whether to remove a move from its journal; None: that of an erased frame.
        """
        is_useless = is_useless or (lambda _, move: any(map(is_erased, filter(None, (move.frame, move.target_frame)))))
        features = self._remove_features(doomed)
        self._store.delete(doomed.frames)
        self._empty_trash(doomed.trashed)
        scan = self._store.scan()
        self._store.compact(scan.games - set(map(int, scan.unreadable)))
        findings = self._remove_findings(is_erased)
        if self._catalog and doomed.rows:
            self._catalog.apply(CatalogChanges(removed_paths=sorted(doomed.rows)))
        moves = self._edit_journals(is_erased, is_useless)
        return doomed.counts() + Erased(features=features, findings=findings, moves=moves)

    def check_readable(self) -> None:
        """Raise FolderError if the folder of a game cannot be listed: its frames were not found."""
        if unreadable := self._store.scan().unreadable:
            path = shown_path(self._files, unreadable[0])
            raise FolderError(f"Cannot list {path}: make it readable, and repeat the command.")

    def _remove_features(self, doomed: Doomed) -> int:
        folder = self._store.features
        with folder_errors(folder):
            networks = [path for path in sorted(folder.iterdir()) if path.is_dir()] if folder.is_dir() else []
        if not networks:
            return 0
        from data.storage.features import FeatureStore  # with NumPy: on demand

        hashes = {
            frame.sha256 for frame in (*self._store.described(doomed.frames), *doomed.rows.values()) if frame.sha256
        }
        for path in (*(frame.path for frame in doomed.frames), *(item.path for item in doomed.trashed)):
            with contextlib.suppress(FolderError, FileNotFoundError):  # gone, or not a regular file
                hashes.add(self._files.sha256(path))
        return sum(FeatureStore(network).remove(hashes) for network in networks)

    def _empty_trash(self, trashed: Iterable[TrashedFrame]) -> None:
        # A process that was killed while it copied to another disk leaves a picture whose streamer nobody knows.
        temporary = (path for path in self._files.walk(TRASH_FOLDER) if is_temporary(Path(path)))
        paths = [*(item.path for item in trashed), *temporary]
        self._files.remove(paths)
        self._files.remove_empty_folders(paths)

    def _remove_findings(self, is_erased: Callable[[StoredFrame], bool]) -> int:
        """Remove the lines of check.csv that name such a frame, in their reason too."""
        lines = (self._store.read_report(CHECK_FILE) or b"").splitlines(keepends=True)
        kept = [line for line in lines if not any(map(is_erased, _frames_in(line.decode("ascii", "replace"))))]
        if len(kept) < len(lines):
            self._store.save_report(CHECK_FILE, b"".join(kept))
        return len(lines) - len(kept)

    def _edit_journals(
        self, is_erased: Callable[[StoredFrame], bool], is_useless: Callable[[Change, FileMove], bool]
    ) -> int:
        """Remove moves from the journals, and reasons that name such a frame."""
        done = [change for change in self.changes() if change.is_done]
        return sum(self._edit_journal(change, is_erased, is_useless) for change in done)

    def _edit_journal(
        self, change: Change, is_erased: Callable[[StoredFrame], bool], is_useless: Callable[[Change, FileMove], bool]
    ) -> int:
        useless = self._files.each(lambda move: is_useless(change, move), change.moves)
        kept = tuple(move for move, each in zip(change.moves, useless, strict=True) if not each)
        edited = tuple(
            replace(move, reason="") if any(map(is_erased, _frames_in(move.reason))) else move for move in kept
        )
        if edited != change.moves:
            journal.rewrite(self._files, replace(change, moves=edited))
        return len(change.moves) - len(kept)


def _frames_in(text: str) -> Iterator[StoredFrame]:
    """Yield the frames whose paths stand in a text."""
    return map(StoredFrame.parse, _FRAME_PATH.findall(text))
