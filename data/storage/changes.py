"""Changes of the dataset: frames that move to another game or to the trash, and back, with their rows.

    write every move to the journal             from here on the change will be carried out, whatever happens
    for each game that frames move to:
        give frames whose new names are taken other ones, in the journal
        add their lines to the manifest
        link each file to its new place, then remove it from the old one
    change the rows in one transaction
    mark the journal as done

A killed process leaves a pending journal, which the next command finishes: each step may be repeated, by two processes
at the same time, too. In the end either all frames of a change have moved, or none. Files stay in the trash until
data.purge or data.forget removes them.
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path

from data.atomic import is_temporary
from data.entities import Game, StoredFrame
from data.errors import FolderError
from data.storage import journal
from data.storage.catalog import Catalog, CatalogChanges
from data.storage.frame_store import FrameStore
from data.storage.journal import Change, FileMove
from data.storage.layout import CHANGES_FOLDER, TRASH_FOLDER
from data.storage.moved_files import FreePaths, follow, is_at, move_files, targets_by_file

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Move:
    """A frame to move."""

    frame: StoredFrame
    target: int | None  # id of a game; None: to the trash
    reason: str = ""  # why, for people


class FrameChanges:
    """Changes of a dataset. One process changes it at a time; the others wait. Downloads may run meanwhile.

    Every method raises FolderError and CatalogUnavailable. After CatalogUnavailable the files have moved, and the next
    call changes the rows.

    Args:
        store: the frames.
        catalog: their rows; None without a database, which data.dbSync would fill.
        lock_timeout_s: seconds to wait for another process that changes the dataset, then FolderError.
    """

    def __init__(self, store: FrameStore, catalog: Catalog | None, lock_timeout_s: float = math.inf) -> None:
        self._store = store
        self._lock_timeout_s = lock_timeout_s
        self._files = store.files
        self._catalog = catalog

    def apply(self, moves: Iterable[Move], summary: str) -> Change:
        """Move frames; return the change. A frame whose file is gone is left out.

        So is one whose name another frame has by now, by the manifest; a file that was edited moves.

        summary: what the change is for. Raises FolderError if a target is a game that games.tsv does not name.
        """
        with self.locked():
            wanted = {move.frame: move for move in moves}
            described = self._store.described(wanted)
            change_id = journal.new_id()
            names = self._store.game_names()
            paths = FreePaths(self._store)
            planned = []
            for each, frame in zip(described, self._files.each(self._with_hash, described), strict=True):
                move = wanted[each]
                if not frame.sha256 or _is_other(move.frame, each):
                    continue
                if move.target is not None and move.target not in names:
                    raise FolderError(f"There is no game {move.target} in games.tsv: add it first.")
                if move.target == frame.game_id:
                    continue
                if move.target is None:
                    target = journal.trash_path(change_id, frame)
                else:
                    target = paths.next_path(move.target, frame.login)
                planned.append(FileMove(frame, frame.path, target, move.reason))
            return self._carry_out(Change(change_id, summary, "", tuple(planned)))

    def undo(self, change_id: str | None = None) -> Change:
        """Undo a change, by default the last one that is not undone; return the change that does so.

        A file whose former name is taken gets the next number. What the trash has lost stays lost; forgotten streamers
        stay where they are.
        """
        with self.locked():
            change, later_changes = self._find(change_id)
            if any(other.undoes == change.id for other in later_changes):
                raise FolderError(f"The change {change.id} is undone already.")
            paths, is_forgotten = FreePaths(self._store), self._store.forgotten.current()
            later = list(map(targets_by_file, later_changes))
            moves = []
            pairs = [(move, follow(move, later)) for move in change.moves]
            there = self._files.each(self._is_at, pairs)
            taken = self._files.each(self._files.exists, [move.source for move in change.moves])
            for (move, place), is_there, is_taken in zip(pairs, there, taken, strict=True):
                if is_there and not is_forgotten(move.frame.login):
                    frame = replace(move, target=place).target_frame or move.frame
                    target = paths.free_path(move.source, is_taken=is_taken)
                    moves.append(FileMove(frame, place, target, move.reason))
            return self._carry_out(Change(journal.new_id(), f"undo: {change.summary}", change.id, tuple(moves)))

    def changes(self) -> list[Change]:
        """Return all changes, oldest first."""
        return self._files.each(partial(journal.read, self._files), journal.change_ids(self._files))

    def finish_pending(self) -> int:
        """Finish the changes that a killed process left behind; return how many."""
        if not journal.change_ids(self._files, pending=True):
            return 0
        with self.locked() as finished:
            return finished

    @contextlib.contextmanager
    def locked(self) -> Iterator[int]:
        """Hold the lock of all changes; first finish the pending ones, and yield their number.

        For commands that compare rows and files. No other method may be called in the block.
        """
        if not self._store.exists():
            self._store.scan()  # raises the error that says what to do
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(self._files.locked(CHANGES_FOLDER, self._lock_timeout_s))
            except TimeoutError as error:
                raise FolderError("Another command changes the dataset: try again when it has ended.") from error
            names = self._files.names(CHANGES_FOLDER)  # temporary ones: of a killed process, for we have the lock
            self._files.remove(f"{CHANGES_FOLDER}/{name}" for name in names if is_temporary(Path(name)))
            pending = journal.change_ids(self._files, pending=True)
            for change_id in pending:
                self._finish(journal.read(self._files, change_id))
                log.warning("the change %s, which a killed process had begun: finished", change_id)
            yield len(pending)

    def _find(self, change_id: str | None) -> tuple[Change, list[Change]]:
        """Return a change, by default the last one that is not undone, and the later ones, oldest first.

        No earlier journal is read: there may be hundreds, with thousands of moves each. Raises FolderError.
        """
        later: list[Change] = []
        wanted = journal.read(self._files, change_id) if change_id else None
        for each in reversed(journal.change_ids(self._files)):
            if wanted and each <= wanted.id:
                break
            change = journal.read(self._files, each)
            if not wanted and not change.undoes and all(other.undoes != each for other in later):
                return change, later[::-1]
            later.append(change)
        if not wanted:
            raise FolderError("There is no change to undo.")
        return wanted, later[::-1]

    def _is_at(self, pair: tuple[FileMove, str]) -> bool:
        return is_at(self._files, pair[1], pair[0])

    def _with_hash(self, frame: StoredFrame) -> StoredFrame:
        """Return the frame with the hash of its file, b"" without a file."""
        try:
            return replace(frame, sha256=self._store.sha256(frame))
        except FolderError:
            if self._files.exists(frame.path):
                raise
            return replace(frame, sha256=b"")  # deleted a moment ago

    def _carry_out(self, change: Change) -> Change:
        if not change.moves:
            return change
        try:
            journal.write(self._files, change)
            return self._finish(change)
        except KeyboardInterrupt:
            log.warning("the change %s was interrupted: if it has begun, the next command finishes it", change.id)
            raise

    def _finish(self, change: Change) -> Change:
        """Move the files that have not moved yet, change the rows, and mark the change as done."""
        change, moves = self._move_files(change)
        there = self._files.each(self._files.exists, [move.source for move in change.moves])
        gone = [move.source for move, is_there in zip(change.moves, there, strict=True) if not is_there]
        frames = [frame for frame in (move.target_frame for move in moves) if frame]
        names = self._store.game_names()
        games = [Game(key, names[key]) for key in sorted({frame.game_id for frame in frames} & names.keys())]
        removed = [path for path in gone if not path.startswith(f"{TRASH_FOLDER}/")]
        if self._catalog and journal.is_pending(self._files, change.id):
            self._catalog.apply(CatalogChanges(games=games, frames=frames, removed_paths=removed))
        journal.finish(self._files, change.id)
        trashed = (move.source for move in change.moves if move.source.startswith(f"{TRASH_FOLDER}/"))
        self._files.remove_empty_folders(trashed)
        return replace(change, moves=tuple(moves), is_done=True)

    def _move_files(self, change: Change) -> tuple[Change, list[FileMove]]:
        """Move the files; return the change with their last targets, and the moves of files that are there."""
        while True:
            moves = []
            for _, group in groupby(sorted(change.moves, key=_target_folder), key=_target_folder):
                moves += move_files(self._store, change.id, list(group))
            before, change = change, journal.read(self._files, change.id)
            # With new targets look again: another process may have moved files there.
            if change.is_done or change.moves == before.moves:
                return change, moves


def _is_other(seen: StoredFrame, stored: StoredFrame) -> bool:
    """Return whether the frame of this name is not the one that was seen, as far as the hashes of both are known."""
    return bool(seen.sha256 and stored.sha256) and seen.sha256 != stored.sha256


def _target_folder(move: FileMove) -> str:
    return move.target.rpartition("/")[0]
