"""Changes of the dataset: frames that move to another game or to the trash, and back, with their rows.

    write every move to the journal             from here on the change will be carried out, whatever happens
    for each game that frames move to:
        add their lines to the manifest
        link each file to its new place, then remove it from the old one
    change the rows in one transaction
    mark the journal as done

A killed process leaves a pending journal, which the next command finishes: each step may be done twice. So after it all
frames of a change have moved, or none. The trash keeps what it gets until data.purge or data.forget empties it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from data.atomic import folder_lock, publish
from data.entities import Game, StoredFrame
from data.errors import FolderError
from data.storage import journal, manifest
from data.storage.catalog import Catalog, CatalogChanges
from data.storage.folder_errors import folder_errors
from data.storage.folder_scan import CHANGES_FOLDER, TRASH_FOLDER
from data.storage.frame_folder import FrameFolder
from data.storage.journal import Change, FileMove
from data.storage.numbered_files import last_number
from data.storage.pseudonyms import Forgotten


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
    """

    def __init__(self, store: FrameFolder, catalog: Catalog) -> None:
        self._store = store
        self._root = store.root
        self._catalog = catalog

    def apply(self, moves: Iterable[Move], summary: str) -> Change:
        """Move frames; return the change. A frame whose file is gone is left out.

        summary: what the change is for. Raises FolderError if a target is a game that games.tsv does not name.
        """
        with self._locked():
            wanted = {move.frame: move for move in moves if os.path.lexists(self._root / move.frame.path)}
            described = self._store.described(wanted)
            change_id = journal.new_id()
            names = self._store.game_names()
            places = _Places(self._root)
            planned = []
            for frame in described:
                move = wanted[frame]
                if move.target is not None and move.target not in names:
                    raise FolderError(f"There is no game {move.target} in games.tsv: add it first.")
                if move.target == frame.game_id:
                    continue
                target = journal.trash_path(change_id, frame) if move.target is None else ""
                target = target or places.next_path(move.target or 0, frame.login)
                planned.append(FileMove(frame, frame.path, target, move.reason))
            return self._carry_out(Change(change_id, summary, "", tuple(planned)))

    def undo(self, change_id: str | None = None) -> Change:
        """Undo a change, by default the last one that is not undone; return the change that does so.

        A file whose former name is taken gets the next number. What the trash has lost stays lost; forgotten streamers
        stay where they are.
        """
        with self._locked():
            change = journal.read(self._root, change_id) if change_id else self._last()
            if any(other.undoes == change.id for other in self._changes()):
                raise FolderError(f"The change {change.id} is undone already.")
            places, forgotten = _Places(self._root), Forgotten(self._root)
            moves = []
            for move in change.moves:
                if os.path.lexists(self._root / move.target) and not forgotten.holds(move.frame.login):
                    frame = move.target_frame or move.frame
                    moves.append(FileMove(frame, move.target, places.free_path(move.source), move.reason))
            return self._carry_out(Change(journal.new_id(), f"undo: {change.summary}", change.id, tuple(moves)))

    def changes(self) -> list[Change]:
        """Return all changes, oldest first."""
        with folder_errors(self._root / CHANGES_FOLDER):
            return self._changes()

    def finish_pending(self) -> int:
        """Finish the changes that a killed process left behind; return how many."""
        with folder_errors(self._root / CHANGES_FOLDER):
            if not journal.change_ids(self._root, pending=True):
                return 0
        with self._locked() as finished:
            return finished

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int]:
        """Hold the lock of all changes; first finish the pending ones, and yield their number."""
        folder = self._root / CHANGES_FOLDER
        with folder_errors(folder, writing=True):
            folder.mkdir(parents=True, exist_ok=True)
            with folder_lock(folder):
                pending = journal.change_ids(self._root, pending=True)
                for change_id in pending:
                    self._finish(journal.read(self._root, change_id))
                yield len(pending)

    def _changes(self) -> list[Change]:
        return [journal.read(self._root, change_id) for change_id in journal.change_ids(self._root)]

    def _last(self) -> Change:
        changes = self._changes()
        undone = {change.undoes for change in changes}
        for change in reversed(changes):
            if change.id not in undone and not change.undoes:
                return change
        raise FolderError("There is no change to undo.")

    def _carry_out(self, change: Change) -> Change:
        if not change.moves:
            return change
        journal.write(self._root, change)
        return self._finish(change)

    def _finish(self, change: Change) -> Change:
        """Move the files that have not moved yet, change the rows, and mark the change as done."""
        moves = []
        for folder, group in groupby(sorted(change.moves, key=_target_folder), key=_target_folder):
            moves += self._move_into(change.id, self._root / folder, list(group))
        gone = [move.source for move in moves if not os.path.lexists(self._root / move.source)]
        arrived = [move.target_frame for move in moves if os.path.lexists(self._root / move.target)]
        frames = [frame for frame in arrived if frame]
        names = self._store.game_names()
        games = [Game(key, names[key]) for key in sorted({frame.game_id for frame in frames} & names.keys())]
        removed = [path for path in gone if not path.startswith(f"{TRASH_FOLDER}/")]
        self._catalog.apply(CatalogChanges(games=games, frames=frames, removed_paths=removed))
        journal.finish(self._root, change.id)
        self._remove_empty_trash(change.moves)
        return replace(change, moves=tuple(moves), is_done=True)

    def _move_into(self, change_id: str, folder: Path, moves: Sequence[FileMove]) -> list[FileMove]:
        """Move files into one folder; return the moves, with another target where the name was taken."""
        folder.mkdir(parents=True, exist_ok=True)
        with folder_lock(folder):  # a download saves no frame there meanwhile
            moves = self._renumbered(change_id, moves)
            manifest.append(folder, filter(None, (move.target_frame for move in moves)))
            for move in moves:
                source, target = self._root / move.source, self._root / move.target
                with contextlib.suppress(FileNotFoundError):  # moved before, or deleted
                    if not _is_same_file(source, target):
                        publish(source, target)
                    source.unlink(missing_ok=True)
        return list(moves)

    def _renumbered(self, change_id: str, moves: Sequence[FileMove]) -> list[FileMove]:
        """Return the moves with free targets; the journal gets those that changed, before any file moves."""
        places = _Places(self._root, {move.target for move in moves})
        result, changed = [], []
        for move in moves:
            source, target = self._root / move.source, self._root / move.target
            taken = os.path.lexists(source) and os.path.lexists(target) and not _is_same_file(source, target)
            if taken and (frame := move.target_frame):
                result.append(replace(move, target=places.next_path(frame.game_id, frame.login)))
                changed.append(result[-1])
            else:
                result.append(move)
        if changed:
            journal.add_moves(self._root, change_id, changed)
        return result

    def _remove_empty_trash(self, moves: Iterable[FileMove]) -> None:
        for folder in {(self._root / move.source).parent for move in moves if move.source.startswith(TRASH_FOLDER)}:
            for path in (folder, folder.parent, self._root / TRASH_FOLDER):
                with contextlib.suppress(OSError):  # not empty
                    path.rmdir()


class _Places:
    """Paths of frames that no file has yet, each given once."""

    def __init__(self, root: Path, taken: Collection[str] = ()) -> None:
        self._root = root
        self._given = set(taken)
        self._numbers: dict[tuple[int, str], int] = {}

    def next_path(self, game_id: int, login: str) -> str:
        """Return the path of the login's next frame in this game."""
        folder = self._root / str(game_id)
        number = self._numbers.get((game_id, login))
        if number is None:
            number = last_number(folder, login) if folder.is_dir() else 0
        frame = StoredFrame(game_id, login, number + 1)
        while frame.path in self._given:
            frame = replace(frame, number=frame.number + 1)
        self._numbers[game_id, login] = frame.number
        self._given.add(frame.path)
        return frame.path

    def free_path(self, path: str) -> str:
        """Return this path if no file has it, otherwise the next one of the frame's login and game."""
        if not os.path.lexists(self._root / path) and path not in self._given:
            self._given.add(path)
            return path
        frame = StoredFrame.parse(path)
        return self.next_path(frame.game_id, frame.login)


def _target_folder(move: FileMove) -> str:
    return move.target.rpartition("/")[0]


def _is_same_file(source: Path, target: Path) -> bool:
    """Return whether both are one file: the process was killed between the link and the removal. Raises OSError."""
    return target.exists() and source.samefile(target)
