"""Files that a change moves: free paths for them, whether one is at a place, and how they get there.

Each step may be repeated, also by two processes at the same time: which paths the files get stands in the journal.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import compress

from data.entities import StoredFrame
from data.errors import FolderError
from data.storage import journal
from data.storage.frame_store import Describe, FrameStore
from data.storage.journal import Change, FileMove
from data.storage.store_files import StoreFiles
from data.text import printable

_ROUNDS = 100  # of new names for files whose names others take


class FreePaths:
    """Paths of frames that no file has yet, each given once. Its methods raise FolderError."""

    def __init__(self, store: FrameStore, taken: Collection[str] = ()) -> None:
        self._store = store
        self._given = set(taken)
        self._numbers: dict[int, dict[str, int]] = {}  # by game and login, the largest number

    def next_path(self, game_id: int, login: str) -> str:
        """Return the path of the login's next frame in this game."""
        if game_id not in self._numbers:
            self._numbers[game_id] = dict(self._store.last_numbers(game_id))
        frame = StoredFrame(game_id, login, self._numbers[game_id].get(login, 0) + 1)
        while frame.path in self._given:
            frame = replace(frame, number=frame.number + 1)
        self._numbers[game_id][login] = frame.number
        self._given.add(frame.path)
        return frame.path

    def free_path(self, path: str, *, is_taken: bool) -> str:
        """Return this path if no file has it, otherwise the next one of the frame's login and game."""
        if path not in self._given and not is_taken:
            self._given.add(path)
            return path
        frame = StoredFrame.parse(path)
        return self.next_path(frame.game_id, frame.login)


def is_at(files: StoreFiles, path: str, move: FileMove) -> bool:
    """Return whether the file at `path` is that of the move."""
    return files.version_with(path, move.frame.sha256) is not None


def targets_by_file(change: Change) -> dict[tuple[str, bytes], str]:
    """Return where a change has brought its files, by their source and SHA-256."""
    return {(move.source, move.frame.sha256): move.target for move in change.moves}


def follow(move: FileMove, later: Iterable[Mapping[tuple[str, bytes], str]]) -> str:
    """Return where later changes, by their `targets_by_file`, have brought the file of a move."""
    place = move.target
    for targets in later:
        place = targets.get((place, move.frame.sha256), place)
    return place


def move_files(store: FrameStore, change_id: str, moves: Sequence[FileMove]) -> list[FileMove]:
    """Move files of a pending change into one folder; return the moves of files that are there then.

    The targets may be new ones. Raises FolderError.
    """
    files, frame = store.files, moves[0].target_frame
    # On a local disk a download saves no frame there meanwhile.
    adding = store.adding(frame.game_id) if frame else contextlib.nullcontext(list)
    with adding as describe:
        # Meanwhile a file may have been deleted, and its name given to another one.
        arrived = _filter(store, moves, lambda move: is_at(files, move.target, move))
        there = {move.source for move in arrived}
        versions = files.each(lambda move: files.version_with(move.source, move.frame.sha256), moves)
        seen = {move.source: version for move, version in zip(moves, versions, strict=True) if version is not None}
        sources = [move for move in moves if move.source in seen]
        linked = _link(store, change_id, [move for move in sources if move.source not in there], describe)
        moved = [*(move for move in sources if move.source in there), *linked]
        # Another process may have removed a source, whose name then got another file.
        left = _filter(store, moved, lambda move: files.version(move.source) == seen[move.source])
        if journal.is_pending(files, change_id):  # or another process has finished it, perhaps long ago
            files.remove(move.source for move in left)
    return [*arrived, *linked]


def _filter(store: FrameStore, moves: Sequence[FileMove], accepts: Callable[[FileMove], bool]) -> list[FileMove]:
    return list(compress(moves, store.files.each(accepts, moves)))


def _link(store: FrameStore, change_id: str, moves: Sequence[FileMove], describe: Describe) -> list[FileMove]:
    """Give files their new paths too; return the moves of files that are there then, with their targets."""
    linked: list[FileMove] = []
    waiting = list(moves)
    for _ in range(_ROUNDS):
        waiting = _renumbered(store, change_id, waiting)
        describe(filter(None, (move.target_frame for move in waiting)))
        errors = store.files.each(lambda move: _link_one(store.files, move), waiting)
        linked += [move for move, error in zip(waiting, errors, strict=True) if error is None]
        # One whose source is gone was deleted a moment ago.
        waiting = [move for move, error in zip(waiting, errors, strict=True) if isinstance(error, FileExistsError)]
        if not waiting:
            return linked
    raise FolderError(f"{printable(waiting[0].target)} is taken by another file: move it away, and try again.")


def _link_one(files: StoreFiles, move: FileMove) -> OSError | None:
    """Give a file its new path too; return why it is not there, None if it is."""
    try:
        files.link(move.source, move.target)
    except (FileExistsError, FileNotFoundError) as error:
        return None if is_at(files, move.target, move) else error  # another process was faster
    return None


def _is_taken(files: StoreFiles, move: FileMove) -> bool:
    """Return whether the target is another file: not the copy that another process has made a moment ago."""
    return files.exists(move.target) and not is_at(files, move.target, move)


def _renumbered(store: FrameStore, change_id: str, moves: Sequence[FileMove]) -> list[FileMove]:
    """Return the moves with free targets; the journal gets those that changed, before any file moves."""
    paths = FreePaths(store, {move.target for move in moves})
    new = {
        move: paths.next_path(frame.game_id, frame.login)
        for move in _filter(store, moves, lambda move: _is_taken(store.files, move))
        if (frame := move.target_frame)
    }
    agreed = journal.retarget(store.files, change_id, new) if new else []
    return [*(move for move in moves if move not in new), *agreed]
