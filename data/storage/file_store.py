"""Store of files: the methods of a frame store that need only its files, on a local disk or in an object store.

`games.tsv`, reports, the trash and forgotten streamers are the same everywhere. How frames are saved, described and
listed is up to the subclasses.
"""

from __future__ import annotations

import abc
import contextlib
import hashlib
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from data.entities import NO_DETAILS, FrameDetails, Game, StoredFrame, is_game_id, is_login
from data.errors import FolderError, LoginForgotten
from data.storage import game_names, manifest
from data.storage.folder_errors import folder_errors
from data.storage.frame_store import Describe, FolderScan
from data.storage.layout import MAX_FRAME_BYTES
from data.storage.numbered_files import largest_numbers
from data.storage.pseudonyms import Forgotten
from data.storage.store_files import StoreFiles, shown_path
from data.storage.trash import TrashedHashes, trashed_frames

_MAX_REPORT_BYTES = 1 << 30


class FileStore(abc.ABC):
    """Base class of the frame stores.

    Args:
        files: the files of the dataset.
        features: folder of the frames' features, on this machine.
    """

    def __init__(self, files: StoreFiles, features: Path) -> None:
        self.files = files
        self.features = features
        self.forgotten = Forgotten(files)

    @property
    def location(self) -> str:
        """Root of the store, as text for messages."""
        return self.files.location

    @abc.abstractmethod
    def exists(self) -> bool:
        """Return whether the root is there. Raises FolderError: nobody may see whether it is."""

    @abc.abstractmethod
    def scan(self) -> FolderScan:
        """Return everything in the store. Raises FolderError."""

    @abc.abstractmethod
    def _read_manifests(self, names: Mapping[int, set[str]]) -> Iterable[StoredFrame]:
        """Return the frames with these file names, by game, as the manifests have them. Raises FolderError."""

    @abc.abstractmethod
    def adding(self, game_id: int) -> contextlib.AbstractContextManager[Describe]:
        """Return a context manager that yields what adds frames to a game's manifest. Raises FolderError."""

    def described(self, frames: Iterable[StoredFrame]) -> list[StoredFrame]:
        """Return the frames with the SHA-256 and the details that the manifests have. Raises FolderError."""
        frames = list(frames)
        names: dict[int, set[str]] = {}
        for frame in frames:
            names.setdefault(frame.game_id, set()).add(frame.path.partition("/")[2])
        known = {frame: frame for frame in self._read_manifests(names)}
        return [known.get(frame, frame) for frame in frames]

    def add_details(self, frames: Iterable[StoredFrame]) -> None:
        """Add the SHA-256 and the details of these frames, whose files exist, to the manifests. Raises FolderError."""
        for game_id, group in groupby(sorted(frames, key=_game_id), key=_game_id):
            with self.adding(game_id) as describe:
                describe(group)

    def read(self, frame: StoredFrame) -> bytes:
        """Return the frame's JPEG bytes. Raises FolderError."""
        with folder_errors(shown_path(self.files, frame.path)):
            return self.files.read(frame.path, MAX_FRAME_BYTES)

    def sha256(self, frame: StoredFrame) -> bytes:
        """Return the SHA-256 of the frame's file. Raises FolderError."""
        with folder_errors(shown_path(self.files, frame.path)):
            return self.files.sha256(frame.path)

    def modified_at(self, frame: StoredFrame) -> float | None:
        """Return when the frame's file was written, epoch seconds; None if nobody knows."""
        return self.files.modified_at(frame.path)

    def last_numbers(self, game_id: int) -> dict[str, int]:
        """Return the largest number by login of the frames in this game. Raises FolderError."""
        return largest_numbers(self.files.names(str(game_id)))

    def delete(self, frames: Iterable[StoredFrame]) -> None:
        """Delete these files; a file that is already gone is no error. Raises FolderError."""
        self.files.remove(frame.path for frame in frames)

    def remove_stale_files(self, scan: FolderScan) -> None:
        """Delete the stale temporary files that `scan` found. Raises FolderError."""
        self.files.remove(scan.stale_files)

    def frames(self) -> Iterator[StoredFrame]:
        """Yield every frame, in no order; nothing when the root is missing. Raises FolderError."""
        if not self.exists():
            return
        scan = self.scan()
        if scan.unreadable:
            raise FolderError(f"Cannot list {shown_path(self.files, scan.unreadable[0])}: make it readable.")
        yield from scan.frames

    def trashed_frames(self) -> int:
        """Return the number of frames in the trash. Raises FolderError."""
        return sum(1 for _ in trashed_frames(self.files))

    def trashed_hashes(self) -> Container[bytes]:
        """Return the SHA-256 of the frames in the trash: of those that are there when it is asked."""
        return TrashedHashes(self.files)

    def save_report(self, name: str, content: bytes) -> None:
        """Write the small file `name` beside the games' folders, in place of an earlier one. Raises FolderError."""
        self.files.replace(name, content)

    def read_report(self, name: str) -> bytes | None:
        """Return the content of the file `name` beside the games' folders; None without one. Raises FolderError."""
        with contextlib.suppress(FileNotFoundError):
            return self.files.read(name, _MAX_REPORT_BYTES)
        return None

    def game_names(self) -> dict[int, str]:
        """Return the games' names by id, from games.tsv; invalid lines are skipped. Raises FolderError."""
        return game_names.read(self.files)

    def removed_games(self) -> dict[int, Game]:
        """Return the games that games.tsv names and that have no folder, by id. Raises FolderError."""
        names = self.game_names().items()
        there = set(self.files.names("")) if names else set()
        return {key: Game(key, name) for key, name in names if str(key) not in there}

    def add_games(self, games: Iterable[Game]) -> None:
        """Add these games to games.tsv, or rename them there, and create their folders. Raises FolderError."""
        game_names.add(self.files, [game for game in games if is_game_id(game.id)])

    def add_own_game(self, name: str) -> Game:
        """Return the game with this name in games.tsv, in any letter case, or a new one with an id of our own.

        Its folder exists from then on. Raises FolderError.
        """
        return game_names.add_own(self.files, name)

    def record_names(self, games: Iterable[Game]) -> None:
        """Write the games' names into games.tsv; a game without a folder is a removed one then. Raises FolderError."""
        game_names.record(self.files, list(games))

    def _new_frames(
        self, game_id: int, login: str, jpegs: Sequence[bytes], details: Sequence[FrameDetails]
    ) -> Callable[[Sequence[int]], list[StoredFrame]]:
        """Return what makes the frames to save from their numbers. Raises FolderError: an invalid login or id."""
        # Logins come from the network; without this check one could name a path outside the store.
        if not is_login(login) or not is_game_id(game_id):
            raise FolderError(f"Invalid login {login!r} or game id {game_id}: refusing to use it in a path.")
        each = [manifest.clean(one) for one in details] or [NO_DETAILS] * len(jpegs)
        hashes = [hashlib.sha256(jpeg).digest() for jpeg in jpegs]

        def named(numbers: Sequence[int]) -> list[StoredFrame]:
            triples = zip(numbers, hashes, each, strict=True)
            return [StoredFrame(game_id, login, number, sha256, one) for number, sha256, one in triples]

        return named

    def _refuse_forgotten(self, login: str) -> None:
        """Raise LoginForgotten for a streamer who must not be collected. Raises FolderError."""
        if self.forgotten.holds(login):
            raise LoginForgotten(
                f"{login} is forgotten: python -m data.forget --allow {login} lets it be collected again."
            )


def _game_id(frame: StoredFrame) -> int:
    return frame.game_id
