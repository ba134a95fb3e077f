"""Changes of the dataset: frames that move to another game or to the trash, and back, with their rows.

    write every move to the journal             from here on the change will be carried out, whatever happens
    for each game that frames move to:
        add their lines to the manifest
        link each file to its new place, then remove it from the old one
    change the rows in one transaction
    mark the journal as done

A killed process leaves a pending journal, which the next command finishes: each step may be repeated. In the end
either all frames of a change have moved, or none. Files stay in the trash until data.purge or data.forget removes them.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from data.atomic import folder_lock, is_temporary
from data.entities import Game, StoredFrame
from data.errors import FolderError
from data.storage import journal, manifest
from data.storage.catalog import Catalog, CatalogChanges
from data.storage.folder_errors import folder_errors
from data.storage.folder_scan import CHANGES_FOLDER, TRASH_FOLDER
from data.storage.frame_folder import FrameFolder
from data.storage.journal import Change, FileMove
from data.storage.moved_files import FreePaths, follow, is_at, link, targets_by_file
from data.storage.pseudonyms import Forgotten
from data.storage.trash import remove_empty_folders

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
        store: the folder of the frames.
        catalog: their rows; None without a database, which data.dbSync would fill.
        lock_timeout_s: seconds to wait for another process that changes the dataset, then FolderError.
    """

    def __init__(self, store: FrameFolder, catalog: Catalog | None, lock_timeout_s: float = math.inf) -> None:
        self._store = store
        self._lock_timeout_s = lock_timeout_s
        self._root = store.root
        self._catalog = catalog

    def apply(self, moves: Iterable[Move], summary: str) -> Change:
        """Move frames; return the change. A frame whose file is gone is left out.

        So is one whose name another frame has by now, by the manifest; a file that was edited moves.

        summary: what the change is for. Raises FolderError if a target is a game that games.tsv does not name.
        """
        with self.locked():
            wanted = {move.frame: move for move in moves if os.path.lexists(self._root / move.frame.path)}
            described = self._store.described(wanted)
            change_id = journal.new_id()
            names = self._store.game_names()
            paths = FreePaths(self._root)
            planned = []
            for each in described:
                move, frame = wanted[each], self._with_hash(each)
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
            paths, forgotten = FreePaths(self._root), Forgotten(self._root)
            later = list(map(targets_by_file, later_changes))
            moves = []
            for move in change.moves:
                place = follow(move, later)
                if is_at(self._root / place, move) and not forgotten.holds(move.frame.login):
                    frame = replace(move, target=place).target_frame or move.frame
                    moves.append(FileMove(frame, place, paths.free_path(move.source), move.reason))
            return self._carry_out(Change(journal.new_id(), f"undo: {change.summary}", change.id, tuple(moves)))

    def changes(self) -> list[Change]:
        """Return all changes, oldest first."""
        with folder_errors(self._root / CHANGES_FOLDER):
            return [journal.read(self._root, change_id) for change_id in journal.change_ids(self._root)]

    def finish_pending(self) -> int:
        """Finish the changes that a killed process left behind; return how many."""
        with folder_errors(self._root / CHANGES_FOLDER):
            if not journal.change_ids(self._root, pending=True):
                return 0
        with self.locked() as finished:
            return finished

    @contextlib.contextmanager
    def locked(self) -> Iterator[int]:
        """Hold the lock of all changes; first finish the pending ones, and yield their number.

        For commands that compare rows and files. No other method may be called in the block.
        """
        if not os.path.isdir(self._root):  # noqa: PTH112 - false for what cannot be reached
            self._store.scan()  # raises the error that says what to do
        folder = self._root / CHANGES_FOLDER
        with folder_errors(folder, writing=True):
            folder.mkdir(exist_ok=True)
            with contextlib.ExitStack() as stack:
                try:
                    stack.enter_context(folder_lock(folder, self._lock_timeout_s))
                except TimeoutError as error:
                    raise FolderError("Another command changes the dataset: try again when it has ended.") from error
                for path in filter(is_temporary, folder.iterdir()):  # of a killed process: only the lock's owner writes
                    path.unlink(missing_ok=True)
                pending = journal.change_ids(self._root, pending=True)
                for change_id in pending:
                    self._finish(journal.read(self._root, change_id))
                    log.warning("the change %s, which a killed process had begun: finished", change_id)
                yield len(pending)

    def _find(self, change_id: str | None) -> tuple[Change, list[Change]]:
        """Return a change, by default the last one that is not undone, and the later ones, oldest first.

        No earlier journal is read: there may be hundreds, with thousands of moves each. Raises FolderError.
        """
        later: list[Change] = []
        wanted = journal.read(self._root, change_id) if change_id else None
        for each in reversed(journal.change_ids(self._root)):
            if wanted and each <= wanted.id:
                break
            change = journal.read(self._root, each)
            if not wanted and not change.undoes and all(other.undoes != each for other in later):
                return change, later[::-1]
            later.append(change)
        if not wanted:
            raise FolderError("There is no change to undo.")
        return wanted, later[::-1]

    def _with_hash(self, frame: StoredFrame) -> StoredFrame:
        """Return the frame with the hash of its file, b"" without a file."""
        try:
            return replace(frame, sha256=self._store.sha256(frame))
        except FolderError:
            if os.path.lexists(self._root / frame.path):
                raise
            return replace(frame, sha256=b"")  # deleted a moment ago

    def _carry_out(self, change: Change) -> Change:
        if not change.moves:
            return change
        try:
            journal.write(self._root, change)
            return self._finish(change)
        except KeyboardInterrupt:
            log.warning("the change %s was interrupted: if it has begun, the next command finishes it", change.id)
            raise

    def _finish(self, change: Change) -> Change:
        """Move the files that have not moved yet, change the rows, and mark the change as done."""
        moves = []
        for folder, group in groupby(sorted(change.moves, key=_target_folder), key=_target_folder):
            moves += self._move_into(change.id, self._root / folder, list(group))
        gone = [move.source for move in change.moves if not os.path.lexists(self._root / move.source)]
        frames = [frame for frame in (move.target_frame for move in moves) if frame]
        names = self._store.game_names()
        games = [Game(key, names[key]) for key in sorted({frame.game_id for frame in frames} & names.keys())]
        removed = [path for path in gone if not path.startswith(f"{TRASH_FOLDER}/")]
        if self._catalog:
            self._catalog.apply(CatalogChanges(games=games, frames=frames, removed_paths=removed))
        journal.finish(self._root, change.id)
        trashed = (move.source for move in change.moves if move.source.startswith(f"{TRASH_FOLDER}/"))
        remove_empty_folders(self._root / path for path in trashed)
        return replace(change, moves=tuple(moves), is_done=True)

    def _move_into(self, change_id: str, folder: Path, moves: Sequence[FileMove]) -> list[FileMove]:
        """Move files into one folder; return the moves of files that are there now, with their targets."""
        folder.mkdir(parents=True, exist_ok=True)
        with folder_lock(folder):  # a download saves no frame there meanwhile
            # Meanwhile a file may have been deleted, and its name given to another one.
            arrived = [move for move in moves if is_at(self._root / move.target, move)]
            there = {move.source for move in arrived}
            waiting = [move for move in moves if move.source not in there and is_at(self._root / move.source, move)]
            waiting = self._renumbered(change_id, waiting)
            manifest.append(folder, filter(None, (move.target_frame for move in waiting)))
            for move in waiting:
                link(self._root / move.source, self._root / move.target)
            linked_before = [move for move in arrived if is_at(self._root / move.source, move)]
            for move in (*linked_before, *waiting):
                (self._root / move.source).unlink(missing_ok=True)
        return [*arrived, *waiting]

    def _renumbered(self, change_id: str, moves: Sequence[FileMove]) -> list[FileMove]:
        """Return the moves with free targets; the journal gets those that changed, before any file moves."""
        paths = FreePaths(self._root, {move.target for move in moves})
        result = [
            replace(move, target=paths.next_path(frame.game_id, frame.login))
            if (frame := move.target_frame) and os.path.lexists(self._root / move.target)
            else move
            for move in moves
        ]
        changed = [new for new, old in zip(result, moves, strict=True) if new != old]
        if changed:
            journal.add_moves(self._root, change_id, changed)
        return result


def _is_other(seen: StoredFrame, stored: StoredFrame) -> bool:
    """Return whether the frame of this name is not the one that was seen, as far as the hashes of both are known."""
    return bool(seen.sha256 and stored.sha256) and seen.sha256 != stored.sha256


def _target_folder(move: FileMove) -> str:
    return move.target.rpartition("/")[0]
