"""Files that a change moves: free names for them, whether one is at a place, and how it gets there."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from data.atomic import publish, temporary_files
from data.entities import StoredFrame
from data.readers import file_sha256
from data.storage.journal import Change, FileMove
from data.storage.numbered_files import last_numbers


class FreePaths:
    """Paths of frames that no file has yet, each given once."""

    def __init__(self, root: Path, taken: Collection[str] = ()) -> None:
        self._root = root
        self._given = set(taken)
        self._numbers: dict[int, dict[str, int]] = {}  # by game and login, the largest number

    def next_path(self, game_id: int, login: str) -> str:
        """Return the path of the login's next frame in this game."""
        if game_id not in self._numbers:
            folder = self._root / str(game_id)
            self._numbers[game_id] = last_numbers(folder) if folder.is_dir() else {}
        frame = StoredFrame(game_id, login, self._numbers[game_id].get(login, 0) + 1)
        while frame.path in self._given:
            frame = replace(frame, number=frame.number + 1)
        self._numbers[game_id][login] = frame.number
        self._given.add(frame.path)
        return frame.path

    def free_path(self, path: str) -> str:
        """Return this path if no file has it, otherwise the next one of the frame's login and game."""
        if not os.path.lexists(self._root / path) and path not in self._given:
            self._given.add(path)
            return path
        frame = StoredFrame.parse(path)
        return self.next_path(frame.game_id, frame.login)


def is_at(path: Path, move: FileMove) -> bool:
    """Return whether the file at `path` is that of the move."""
    try:
        return file_sha256(path) == move.frame.sha256
    except OSError:
        return False


def targets_by_file(change: Change) -> dict[tuple[str, bytes], str]:
    """Return where a change has brought its files, by their source and SHA-256."""
    return {(move.source, move.frame.sha256): move.target for move in change.moves}


def follow(move: FileMove, later: Iterable[Mapping[tuple[str, bytes], str]]) -> str:
    """Return where later changes, by their `targets_by_file`, have brought the file of a move."""
    place = move.target
    for targets in later:
        place = targets.get((place, move.frame.sha256), place)
    return place


def link(source: Path, target: Path) -> None:
    """Give the file the name `target` too. Raises FileExistsError, OSError."""
    try:
        publish(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # A game's folder may be a link to another disk.
        with temporary_files(target.parent, [source.read_bytes()]) as (copy,):
            shutil.copystat(source, copy)  # data.purge uses the time of a file whose time nobody knows
            publish(copy, target)
