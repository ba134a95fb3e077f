"""The dataset's files: `<root>/<game_id>/<login>-<n>.jpg`, and `<root>/games.tsv` with the games' names.

The folder is the truth and describes itself; the database is its index. A file appears complete or not
at all (data.atomic), and never in place of another, so that two downloads can run side by side. What a killed
process leaves is hidden temporary files only; dbSync removes them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG

from data.atomic import folder_lock, is_stale, is_temporary, publish, temporary_files
from data.entities import Game, StoredFrame, is_login
from data.errors import FolderError
from data.text import printable_line

_NAMES = "games.tsv"
_GAME_FOLDER = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Contents:
    """All that lies below the root. The paths in it are relative to the root, and may be undecodable bytes.

    `games`: every folder named by a game id, with frames or without. `foreign`: nothing of ours, by its
    name. `leftovers`: hidden files of writers that are gone. `unreadable`: games' folders that could not be
    listed, such as a link to a disk that is not mounted; nothing is known of their frames.
    """

    frames: tuple[StoredFrame, ...]
    games: frozenset[int]
    foreign: tuple[str, ...]
    leftovers: tuple[str, ...]
    unreadable: tuple[str, ...]


class Folder:
    """The frames' folder, `<download_path>/frames`. It is made by the first write."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def save(self, game_id: int, login: str, jpegs: Sequence[bytes]) -> list[StoredFrame]:
        """Write each of `jpegs` (encoded files) as the login's next frame in this game, all or none.

        Raises FolderError: the disk is full, the folder cannot be written, or `login` is none.
        """
        if not is_login(login) or not _GAME_FOLDER.fullmatch(str(game_id)):
            raise FolderError(f"{login!r} in game {game_id} cannot name a file; Twitch's own logins and ids can.")
        game = self.root / str(game_id)
        saved: list[StoredFrame] = []
        try:
            game.mkdir(parents=True, exist_ok=True)
            with temporary_files(game, jpegs) as temporaries:
                number = _last_number(game, login)
                for temporary in temporaries:
                    number = _place(temporary, game, login, number + 1)
                    saved.append(StoredFrame(game_id, login, number))
        except BaseException as error:  # an interrupt, too, must leave all or none
            with contextlib.suppress(FolderError):
                self.delete(saved)
            if isinstance(error, OSError):
                raise _advice(error, game) from error
            raise
        return saved

    def delete(self, frames: Iterable[StoredFrame]) -> None:
        """Remove these files; one that is gone already is fine. Raises FolderError."""
        self._unlink(frame.path for frame in frames)

    def remove_leftovers(self, contents: Contents) -> None:
        """Remove the temporary files that `scan` found abandoned. Raises FolderError."""
        self._unlink(contents.leftovers)

    def _unlink(self, paths: Iterable[str]) -> None:
        try:
            for path in paths:
                (self.root / path).unlink(missing_ok=True)
        except OSError as error:
            raise _advice(error, Path(error.filename or self.root)) from error

    def frames(self) -> Iterator[StoredFrame]:
        """Every frame, in no order; none where the root is missing. Raises FolderError: a folder cannot be listed."""
        if not self.root.exists():
            return
        contents = self.scan()
        if contents.unreadable:
            raise FolderError(f"Cannot list {self.root / contents.unreadable[0]}: make it readable.")
        yield from contents.frames

    def scan(self) -> Contents:
        """Everything below the root, read once; 100,000 files take about half a second.

        Raises FolderError: the root is missing or cannot be listed. A disk that is not mounted, or a slip
        in DOWNLOAD_PATH, must not pass for an empty dataset. Other unreadable folders are in the answer.
        """
        frames: list[StoredFrame] = []
        games: list[int] = []
        other: list[str] = []
        unreadable: list[str] = []
        for entry in self._root_entries():
            if not _GAME_FOLDER.fullmatch(entry.name) or not (entry.is_symlink() or _is(entry.is_dir)):
                other.append(entry.name)
                continue
            games.append(int(entry.name))
            try:
                _sort(_entries(entry.path), entry.name, frames, other)
            except OSError:
                unreadable.append(entry.name)
        return self._contents(frames, games, other, unreadable)

    def _root_entries(self) -> list[os.DirEntry[str]]:
        try:
            return _entries(self.root)
        except OSError as error:
            raise FolderError(
                f"Cannot read {self.root} ({error.strerror}): check DOWNLOAD_PATH, or make an empty folder there."
            ) from error

    def _contents(
        self, frames: list[StoredFrame], games: list[int], other: list[str], unreadable: list[str]
    ) -> Contents:
        """Tell our own hidden files, abandoned or in use, from foreign ones."""
        leftovers = [path for path in other if is_stale(self.root / path)]
        foreign = [path for path in other if path != _NAMES and not is_temporary(self.root / path)]
        return Contents(
            tuple(frames), frozenset(games), tuple(sorted(foreign)), tuple(sorted(leftovers)), tuple(unreadable)
        )

    def size_bytes(self) -> int:
        """Bytes in the files of the root and of the folders in it; what cannot be read counts as 0."""
        size = 0
        with contextlib.suppress(OSError):
            for entry in _entries(self.root):
                size += _size(entry)
                with contextlib.suppress(OSError):
                    size += sum(map(_size, _entries(entry.path) if entry.is_dir() else ()))
        return size

    def names(self) -> dict[int, str]:
        """The games' names by id, as `remember` wrote them; lines that are none are passed over.

        Raises FolderError: games.tsv is there and cannot be read.
        """
        path = self.root / _NAMES
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise _advice(error, path) from error
        pairs = (line.partition("\t") for line in lines)
        named = ((game_id, printable_line(name)) for game_id, _, name in pairs if _GAME_FOLDER.fullmatch(game_id))
        return {int(game_id): name for game_id, name in named if name}

    def remember(self, games: Iterable[Game]) -> None:
        """Add these games to games.tsv, or rename them there, and make their folders.

        A game's folder, even an empty one, keeps the game in the catalogue. Raises FolderError.
        """
        games = list(games)
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            for game in games:
                (self.root / str(game.id)).mkdir(exist_ok=True)
            with folder_lock(self.root):  # two downloads may add games at the same time
                names = self.names()
                merged = names | {game.id: printable_line(game.name) or f"game {game.id}" for game in games}
                if merged != names:
                    self._write_names(merged)
        except OSError as error:
            raise _advice(error, self.root / _NAMES) from error

    def _write_names(self, names: dict[int, str]) -> None:
        text = "".join(f"{game_id}\t{name}\n" for game_id, name in sorted(names.items()))
        with temporary_files(self.root, [text.encode()]) as (temporary,):
            temporary.replace(self.root / _NAMES)


def _place(temporary: Path, game: Path, login: str, number: int) -> int:
    """Give the file its own name, with the first free number from `number` on, and return that number."""
    while True:
        with contextlib.suppress(FileExistsError):
            publish(temporary, game / f"{login}-{number}.jpg")
            return number
        number += 1


def _last_number(game: Path, login: str) -> int:
    """The largest number among the login's frames in this game, 0 if there is none."""
    pattern = re.compile(rf"{login}-([1-9][0-9]{{0,17}})\.jpg", re.ASCII)
    with os.scandir(game) as entries:
        return max((int(match[1]) for entry in entries if (match := pattern.fullmatch(entry.name))), default=0)


def _entries(folder: str | Path) -> list[os.DirEntry[str]]:
    """What lies in `folder`. Raises OSError."""
    with os.scandir(folder) as entries:
        return list(entries)


def _sort(files: Iterable[os.DirEntry[str]], game: str, frames: list[StoredFrame], other: list[str]) -> None:
    """Add each file of a game's folder to `frames`, or its path to `other`."""
    for file in files:
        path = f"{game}/{file.name}"
        if _is(file.is_file):
            with contextlib.suppress(ValueError):
                frames.append(StoredFrame.parse(path))
                continue
        other.append(path)


def _is(question: Callable[[], bool]) -> bool:
    """The answer of an entry's `is_file` or `is_dir`; what cannot be looked at is neither."""
    try:
        return question()
    except OSError:
        return False


def _size(entry: os.DirEntry[str]) -> int:
    """Bytes of a file; 0 for a folder, or where it cannot be told."""
    try:
        stat = entry.stat(follow_symlinks=False)
    except OSError:
        return 0
    return stat.st_size if S_ISREG(stat.st_mode) else 0


def _advice(error: OSError, path: Path) -> FolderError:
    """The same in a line that says what to do."""
    todo = {
        errno.ENOSPC: "free some space",
        errno.EDQUOT: "free some of your quota",
        errno.EACCES: "make it writable, or set DOWNLOAD_PATH to a folder that is",
        errno.EROFS: "set DOWNLOAD_PATH to a writable folder",
    }.get(error.errno or 0, "check the disk and DOWNLOAD_PATH")
    return FolderError(f"{path}: {error.strerror or error}: {todo}; the frames saved before are kept.")
