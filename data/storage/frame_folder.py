"""Frame store on a local disk: `<root>/<game_id>/<login>-<number>.jpg`, and the games' names in `<root>/games.tsv`.

The folder is the truth and describes itself; the database is its index. What a file's name does not say stands in the
manifest of its game (data.storage.manifest). A game that games.tsv names and that has no folder was removed.

A file appears complete or not at all (data.atomic) and never replaces another one, so that downloads may run side by
side. A killed process leaves only temporary files behind; data.dbSync removes them.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Container, Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

from data.atomic import atomic_file, folder_lock
from data.entities import NO_DETAILS, FrameDetails, Game, StoredFrame, is_game_id, is_login
from data.errors import FolderError, LoginForgotten
from data.readers import file_sha256, read_regular_file
from data.storage import game_names, manifest
from data.storage.folder_errors import folder_errors, repeat_if_removed
from data.storage.folder_scan import files_size, scan_folder
from data.storage.frame_store import FolderScan
from data.storage.numbered_files import write_numbered
from data.storage.pseudonyms import Forgotten
from data.storage.trash import TrashedHashes, trashed_frames

_MAX_BYTES = 64 << 20  # of a frame
_MAX_REPORT_BYTES = 1 << 30


class FrameFolder:
    """The folder `root`, `<download_path>/frames`, as a `FrameStore`. The first write creates it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._forgotten = Forgotten(root)

    @property
    def location(self) -> str:
        """Root of the store, as text; training reads the files below it."""
        return str(self.root)

    def exists(self) -> bool:
        """Return whether the root is there. Raises FolderError: nobody may see whether it is."""
        with folder_errors(self.root):
            return self.root.exists()

    def save(
        self,
        game_id: int,
        login: str,
        jpegs: Sequence[bytes],
        details: Sequence[FrameDetails] = (),
        numbers: Sequence[int] = (),
    ) -> list[StoredFrame]:
        """Write each of `jpegs` as the login's next frame in this game, all or none; return the frames in order.

        details: of each frame; without it they are unknown. numbers: to use where they are free, 1 to 10**17.
        Raises FolderError: a full disk, a folder that is not writable, or an invalid login or id; LoginForgotten.
        """
        # Logins come from the network; without this check one could name a path outside the folder.
        if not is_login(login) or not is_game_id(game_id):
            raise FolderError(f"Invalid login {login!r} or game id {game_id}: refusing to use it in a path.")
        folder = self.root / str(game_id)
        each = [manifest.clean(one) for one in details] or [NO_DETAILS] * len(jpegs)
        hashes = [hashlib.sha256(jpeg).digest() for jpeg in jpegs]

        def named(numbers: Sequence[int]) -> list[StoredFrame]:
            triples = zip(numbers, hashes, each, strict=True)
            return [StoredFrame(game_id, login, number, sha256, one) for number, sha256, one in triples]

        def describe(numbers: Sequence[int]) -> None:
            # Under the folder's lock: data.forget takes it after it has written the login, and then deletes.
            if self._forgotten.holds(login):
                raise LoginForgotten(
                    f"{login} is forgotten: python -m data.forget --allow {login} lets it be collected again."
                )
            manifest.append(folder, named(numbers))

        with folder_errors(folder, writing=True):
            return named(repeat_if_removed(lambda: write_numbered(folder, login, jpegs, describe, numbers)))

    def read(self, frame: StoredFrame) -> bytes:
        """Return the frame's JPEG bytes. Raises FolderError."""
        path = self.root / frame.path
        with folder_errors(path):
            return read_regular_file(path, _MAX_BYTES)

    def sha256(self, frame: StoredFrame) -> bytes:
        """Return the SHA-256 of the frame's file. Raises FolderError."""
        path = self.root / frame.path
        with folder_errors(path):
            return file_sha256(path)

    def delete(self, frames: Iterable[StoredFrame]) -> None:
        """Delete these files; a file that is already gone is no error. Raises FolderError."""
        self._unlink(frame.path for frame in frames)

    def remove_stale_files(self, scan: FolderScan) -> None:
        """Delete the stale temporary files that `scan` found. Raises FolderError."""
        self._unlink(scan.stale_files)

    def _unlink(self, paths: Iterable[str]) -> None:
        for path in paths:
            with folder_errors(self.root / path):
                (self.root / path).unlink(missing_ok=True)

    def frames(self) -> Iterator[StoredFrame]:
        """Yield every frame, in no order; nothing when the root is missing. Raises FolderError."""
        if not self.exists():
            return
        scan = self.scan()
        if scan.unreadable:
            raise FolderError(f"Cannot list {self.root / scan.unreadable[0]}: make it readable.")
        yield from scan.frames

    def scan(self) -> FolderScan:
        """Return everything below the root, as `data.storage.folder_scan.scan_folder` does. Raises FolderError."""
        return scan_folder(self.root)

    def size_bytes(self) -> int:
        """Return the size in bytes of the files in the root and in the games' folders; 0 for what cannot be read."""
        return files_size(self.root)

    def described(self, frames: Iterable[StoredFrame]) -> list[StoredFrame]:
        """Return the frames with the SHA-256 and the details that the manifests have. Raises FolderError."""
        frames = list(frames)
        known: dict[StoredFrame, StoredFrame] = {}
        for game_id, group in groupby(sorted(frames, key=_by_game), key=_by_game):
            folder = self.root / str(game_id)
            names = {frame.path.partition("/")[2] for frame in group}
            with folder_errors(folder / manifest.MANIFEST_FILE):
                known.update((frame, frame) for frame in manifest.read(folder, names).values())
        return [known.get(frame, frame) for frame in frames]

    def add_details(self, frames: Iterable[StoredFrame]) -> None:
        """Add the SHA-256 and the details of these frames, whose files exist, to the manifests. Raises FolderError."""
        for game_id, group in groupby(sorted(frames, key=_by_game), key=_by_game):
            folder = self.root / str(game_id)
            with folder_errors(folder, writing=True), folder_lock(folder):
                manifest.append(folder, group)

    def compact(self, game_ids: Iterable[int]) -> int:
        """Drop the lines of files that are gone from these games' manifests; return how many. Raises FolderError."""
        dropped = 0
        for game_id in game_ids:
            folder = self.root / str(game_id)
            with folder_errors(folder, writing=True), contextlib.suppress(FileNotFoundError):
                if manifest.has_stale_lines(folder):
                    with folder_lock(folder):
                        dropped += manifest.compact(folder)
        return dropped

    def modified_at(self, frame: StoredFrame) -> float | None:
        """Return when the frame's file was written, epoch seconds; None if the file system does not say."""
        with contextlib.suppress(OSError):
            return (self.root / frame.path).stat().st_mtime
        return None

    def trashed_frames(self) -> int:
        """Return the number of frames in the trash. Raises FolderError."""
        return sum(1 for _ in trashed_frames(self.root))

    def trashed_hashes(self) -> Container[bytes]:
        """Return the SHA-256 of the frames in the trash: of those that are there when it is asked."""
        return TrashedHashes(self.root)

    def save_report(self, name: str, content: bytes) -> None:
        """Write the small file `name` beside the games' folders, in place of an earlier one. Raises FolderError."""
        with folder_errors(self.root / name, writing=True), atomic_file(self.root / name) as temporary:
            temporary.write_bytes(content)

    def read_report(self, name: str) -> bytes | None:
        """Return the content of the file `name` beside the games' folders; None without one. Raises FolderError."""
        with folder_errors(self.root / name), contextlib.suppress(FileNotFoundError):
            return read_regular_file(self.root / name, _MAX_REPORT_BYTES)
        return None

    def removed_games(self) -> dict[int, Game]:
        """Return the games that games.tsv names and that have no folder, by id. Raises FolderError."""
        return game_names.removed(self.root)

    def game_names(self) -> dict[int, str]:
        """Return the games' names by id, from games.tsv; invalid lines are skipped. Raises FolderError."""
        return game_names.read(self.root)

    def add_games(self, games: Iterable[Game]) -> None:
        """Add these games to games.tsv, or rename them there, and create their folders. Raises FolderError."""
        game_names.add(self.root, [game for game in games if is_game_id(game.id)])

    def add_own_game(self, name: str) -> Game:
        """Return the game with this name in games.tsv, in any letter case, or a new one with an id of our own.

        Its folder exists from then on. Raises FolderError.
        """
        return game_names.add_own(self.root, name)

    def record_names(self, games: Iterable[Game]) -> None:
        """Write the games' names into games.tsv; a game without a folder is a removed one then. Raises FolderError."""
        game_names.record(self.root, list(games))


def _by_game(frame: StoredFrame) -> int:
    return frame.game_id
