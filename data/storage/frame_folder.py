"""Frame store on a local disk: `<root>/<game_id>/<login>-<number>.jpg`, and the games' names in `<root>/games.tsv`.

The folder is the truth and describes itself; the database is its index. What a file's name does not say stands in the
manifest of its game (data.storage.manifest). A game that games.tsv names and that has no folder was removed.

A file appears complete or not at all (data.atomic) and never replaces another one, so that downloads may run side by
side. A killed process leaves only temporary files behind; data.dbSync removes them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from data.atomic import folder_lock
from data.entities import FrameDetails, StoredFrame
from data.storage import manifest
from data.storage.file_store import FileStore
from data.storage.folder_errors import folder_errors, repeat_if_removed
from data.storage.folder_files import FolderFiles
from data.storage.folder_scan import files_size, scan_folder
from data.storage.frame_store import Describe, FolderScan
from data.storage.layout import FEATURES_FOLDER, NAMES_FILE
from data.storage.numbered_files import write_numbered


class FrameFolder(FileStore):
    """The folder `root`, `<download_path>/frames`, as a `FrameStore`. The first write creates it."""

    def __init__(self, root: Path) -> None:
        super().__init__(FolderFiles(root), root / FEATURES_FOLDER)
        self.root = root

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
        named = self._new_frames(game_id, login, jpegs, details)
        folder = self.root / str(game_id)

        def describe(numbers: Sequence[int]) -> None:
            # Under the folder's lock: data.forget takes it after it has written the login, and then deletes.
            self._refuse_forgotten(login)
            manifest.append(folder, named(numbers))

        with folder_errors(folder, writing=True):
            return named(repeat_if_removed(lambda: write_numbered(folder, login, jpegs, describe, numbers)))

    def scan(self) -> FolderScan:
        """Return everything below the root, as `data.storage.folder_scan.scan_folder` does. Raises FolderError."""
        return scan_folder(self.root)

    def size_bytes(self) -> int:
        """Return the size in bytes of the files in the root and in the games' folders; 0 for what cannot be read."""
        return files_size(self.root)

    def _read_manifests(self, names: Mapping[int, set[str]]) -> Iterator[StoredFrame]:
        """Yield the frames with these file names, by game, as the manifests have them. Raises FolderError."""
        for game_id, wanted in names.items():
            folder = self.root / str(game_id)
            with folder_errors(folder / manifest.MANIFEST_FILE):
                yield from manifest.read(folder, wanted).values()

    @contextlib.contextmanager
    def adding(self, game_id: int) -> Iterator[Describe]:
        """Keep other writers out of a game's folder, which is created; yield what adds frames to its manifest.

        Raises FolderError.
        """
        folder = self.root / str(game_id)

        def describe(frames: Iterable[StoredFrame]) -> None:
            with folder_errors(folder, writing=True):
                manifest.append(folder, frames)

        with contextlib.ExitStack() as stack:
            with folder_errors(folder, writing=True):
                folder.mkdir(parents=True, exist_ok=True)
                stack.enter_context(folder_lock(folder))
            yield describe

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

    def game_names(self) -> dict[int, str]:
        """Return the games' names by id, from games.tsv; none if it is no regular file. Raises FolderError."""
        with folder_errors(self.root / NAMES_FILE):
            return super().game_names() if (self.root / NAMES_FILE).is_file() else {}
