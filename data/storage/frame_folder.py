"""Frame store on a local disk: `<root>/<game_id>/<login>-<number>.jpg`, and the games' names in `<root>/games.tsv`.

The folder is the truth and describes itself; the database is its index. A file appears complete or not at all
(data.atomic) and never replaces another one, so that downloads may run side by side. A killed process leaves only
temporary files behind; data.dbSync removes them.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from data.atomic import atomic_file, folder_lock, is_stale, is_temporary
from data.entities import Game, StoredFrame, is_game_id, is_login
from data.errors import FolderError
from data.readers import open_regular_file, read_regular_file
from data.storage.claims import CLAIMS_FILE
from data.storage.frame_store import FolderScan
from data.storage.numbered_files import write_numbered
from data.text import printable, printable_line

_T = TypeVar("_T")

_NAMES_FILE = "games.tsv"  # <game_id><tab><name>, one line per game, UTF-8
_MAX_BYTES = 64 << 20  # of a frame, or of games.tsv
_OWN_FILES = {_NAMES_FILE, CLAIMS_FILE}
_REPETITIONS = 20  # of a write whose folder somebody removes
_GAME_FOLDER = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)


class FrameFolder:
    """The folder `root`, `<download_path>/frames`, as a `FrameStore`. The first write creates it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def location(self) -> str:
        """Root of the store, as text; training reads the files below it."""
        return str(self.root)

    def save(self, game_id: int, login: str, jpegs: Sequence[bytes]) -> list[StoredFrame]:
        """Write each of `jpegs` as the login's next frame in this game, all or none; return the frames in order.

        Raises FolderError: a full disk, a folder that is not writable, or an invalid login or id.
        """
        # Logins come from the network; without this check one could name a path outside the folder.
        if not is_login(login) or not is_game_id(game_id):
            raise FolderError(f"Invalid login {login!r} or game id {game_id}: refusing to use it in a path.")
        folder = self.root / str(game_id)
        with _folder_errors(folder, writing=True):
            numbers = _repeat_if_removed(lambda: write_numbered(folder, login, jpegs))
        return [StoredFrame(game_id, login, number) for number in numbers]

    def read(self, frame: StoredFrame) -> bytes:
        """Return the frame's JPEG bytes. Raises FolderError."""
        path = self.root / frame.path
        with _folder_errors(path):
            return read_regular_file(path, _MAX_BYTES)

    def sha256(self, frame: StoredFrame) -> bytes:
        """Return the SHA-256 of the frame's file. Raises FolderError."""
        path = self.root / frame.path
        digest = hashlib.sha256()
        with _folder_errors(path), open_regular_file(path) as file:
            while part := file.read(1 << 20):  # whatever has a frame's name may be large
                digest.update(part)
        return digest.digest()

    def delete(self, frames: Iterable[StoredFrame]) -> None:
        """Delete these files; a file that is already gone is no error. Raises FolderError."""
        self._unlink(frame.path for frame in frames)

    def remove_stale_files(self, scan: FolderScan) -> None:
        """Delete the stale temporary files that `scan` found. Raises FolderError."""
        self._unlink(scan.stale_files)

    def _unlink(self, paths: Iterable[str]) -> None:
        for path in paths:
            with _folder_errors(self.root / path):
                (self.root / path).unlink(missing_ok=True)

    def frames(self) -> Iterator[StoredFrame]:
        """Yield every frame, in no order; nothing when the root is missing. Raises FolderError."""
        if not self.root.exists():
            return
        scan = self.scan()
        if scan.unreadable:
            raise FolderError(f"Cannot list {self.root / scan.unreadable[0]}: make it readable.")
        yield from scan.frames

    def scan(self) -> FolderScan:
        """Return everything below the root, read once; 100,000 files take about 0.5 s.

        Raises FolderError when the root is missing or cannot be listed. Other unreadable folders are in the result.
        """
        try:
            entries = _entries(self.root)
        except OSError as error:
            # An unmounted disk or a typo in DOWNLOAD_PATH must not pass for an empty dataset.
            raise FolderError(
                f"Cannot read {printable(str(self.root))} ({error.strerror}): "
                "check DOWNLOAD_PATH, or make an empty folder there."
            ) from error
        frames: list[StoredFrame] = []
        games: set[int] = set()
        unrecognised: list[str] = []
        unreadable: list[str] = []
        for entry in entries:
            # A symbolic link may lead to an unmounted disk: count it as a game, whose frames are unknown.
            if not _GAME_FOLDER.fullmatch(entry.name) or not (entry.is_symlink() or _false_on_oserror(entry.is_dir)):
                unrecognised.append(entry.name)
                continue
            games.add(int(entry.name))
            try:
                _sort_entries(_entries(entry.path), entry.name, frames, unrecognised)
            except OSError:
                unreadable.append(entry.name)
        stale_files = sorted(path for path in unrecognised if is_stale(self.root / path))
        others = sorted(path for path in unrecognised if path not in _OWN_FILES and not is_temporary(self.root / path))
        return FolderScan(tuple(frames), frozenset(games), tuple(others), tuple(stale_files), tuple(unreadable))

    def size_bytes(self) -> int:
        """Return the size in bytes of the files in the root and in the games' folders; 0 for what cannot be read."""
        size = 0
        with contextlib.suppress(OSError):
            for entry in _entries(self.root):
                size += _file_size(entry)
                with contextlib.suppress(OSError):
                    size += sum(map(_file_size, _entries(entry.path) if entry.is_dir() else ()))
        return size

    def game_names(self) -> dict[int, str]:
        """Return the games' names by id, from games.tsv; invalid lines are skipped. Raises FolderError."""
        path = self.root / _NAMES_FILE
        with _folder_errors(path):
            content = read_regular_file(path, _MAX_BYTES) if path.is_file() else b""
            text = content.decode("utf-8-sig", "replace")  # some editors put a byte order mark first
        pairs = (line.partition("\t") for line in text.split("\n"))
        names = ((game_id, printable_line(name)) for game_id, _, name in pairs if _GAME_FOLDER.fullmatch(game_id))
        return {int(game_id): name for game_id, name in names if name}

    def add_games(self, games: Iterable[Game]) -> None:
        """Add these games to games.tsv, or rename them there, and create their folders. Raises FolderError."""
        valid = [game for game in games if is_game_id(game.id)]
        with _folder_errors(self.root / _NAMES_FILE, writing=True):
            _repeat_if_removed(lambda: self._add_games(valid))

    def _add_games(self, games: Sequence[Game]) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        for game in games:
            (self.root / str(game.id)).mkdir(exist_ok=True)  # even an empty folder keeps the game in the catalog
        with folder_lock(self.root):  # two downloads may add games at the same time
            names = self.game_names()
            merged = names | {game.id: printable_line(game.name) or f"game {game.id}" for game in games}
            if merged != names:
                lines = (f"{game_id}\t{name}\n" for game_id, name in sorted(merged.items()))
                with atomic_file(self.root / _NAMES_FILE) as temporary:
                    temporary.write_bytes("".join(lines).encode())


def _repeat_if_removed(write: Callable[[], _T]) -> _T:
    """Return the result of `write`, which creates its folder; repeat it when somebody removes the folder meanwhile."""
    for _ in range(_REPETITIONS):
        # mkdir says that the folder exists when it is removed a moment after that.
        with contextlib.suppress(FileNotFoundError, FileExistsError):
            return write()
    return write()


def _entries(folder: str | Path) -> list[os.DirEntry[str]]:
    """Return the entries of `folder`. Raises OSError."""
    with os.scandir(folder) as entries:
        return list(entries)


def _sort_entries(
    entries: Iterable[os.DirEntry[str]], game: str, frames: list[StoredFrame], unrecognised: list[str]
) -> None:
    """Append each entry of a game's folder to `frames`, or its path to `unrecognised`."""
    for entry in entries:
        path = f"{game}/{entry.name}"
        if _false_on_oserror(entry.is_file):
            with contextlib.suppress(ValueError):
                frames.append(StoredFrame.parse(path))
                continue
        unrecognised.append(path)


def _false_on_oserror(check: Callable[[], bool]) -> bool:
    """Return the result of an entry's `is_file` or `is_dir`; False when the system refuses to say."""
    try:
        return check()
    except OSError:
        return False


def _file_size(entry: os.DirEntry[str]) -> int:
    """Return a file's size in bytes; 0 for a folder, or when the size is unknown."""
    with contextlib.suppress(OSError):
        return entry.stat(follow_symlinks=False).st_size if entry.is_file(follow_symlinks=False) else 0
    return 0


@contextlib.contextmanager
def _folder_errors(path: Path, *, writing: bool = False) -> Iterator[None]:
    """Translate an OSError in the block into a FolderError that names `path` and says what to do."""
    try:
        yield
    except OSError as error:
        advice = {
            errno.ENOSPC: "free some space",
            errno.EDQUOT: "free some of your quota",
            errno.EACCES: "change its permissions, or set DOWNLOAD_PATH to a folder of yours",
            errno.EROFS: "set DOWNLOAD_PATH to a writable folder",
            **dict.fromkeys(
                (errno.EEXIST, errno.ENOTDIR), "move away what is in the folder's place, or check DOWNLOAD_PATH"
            ),
        }.get(error.errno or 0, "check the disk and DOWNLOAD_PATH")
        kept = "; the frames saved before are kept" if writing else ""
        raise FolderError(f"{printable(str(path))}: {error.strerror or error}: {advice}{kept}.") from error
