"""Frame store on an object store: the layout of data.storage.frame_folder, at an address such as s3://bucket/folder.

    list the login's frames                              the next numbers
    write the manifest's lines                           before the frames, as everywhere
    create the frames side by side, each conditionally   two processes never get one number
    give those whose numbers are taken new numbers, and repeat
    look again whether the streamer is forgotten         data.forget writes that down first, then deletes

An exception takes back what was written. A kill leaves complete frames with their lines, and perhaps not all of them:
data.dbSync adds their rows. A game exists while an object lies below it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from itertools import compress
from pathlib import Path

from data.entities import FrameDetails, StoredFrame
from data.errors import FolderError
from data.storage.file_store import FileStore
from data.storage.frame_store import Describe, FolderScan
from data.storage.layout import GAME_FOLDER, LOCKS_FOLDER, MAX_FRAME_BYTES, OWN_NAMES
from data.storage.manifest import MANIFEST_FILE
from data.storage.numbered_files import largest_numbers
from data.storage.object_files import ObjectFiles
from data.storage.object_manifests import LINES_FOLDER, ObjectManifests
from data.storage.parallel import in_parallel
from data.storage.store_files import shown_path
from data.storage.trash import TrashedHashes

_GAMES_AT_ONCE = 8
_ROUNDS = 50  # of new numbers for frames whose names others take
_TRASH_TRUSTED_S = 3.0


class ObjectFrames(FileStore):
    """The frames in `files`, as a `FrameStore`. features: folder of their features, on this machine."""

    files: ObjectFiles

    def __init__(self, files: ObjectFiles, features: Path) -> None:
        super().__init__(files, features)
        self._manifests = ObjectManifests(files)
        self._deleted: set[str] = set()  # paths, by this process

    def exists(self) -> bool:
        """Return whether anything is there. Raises FolderError."""
        return bool(self._names())

    def _names(self) -> set[str]:
        """Return the names in the root, without that of the locks."""
        return {*self.files.names("")} - {LOCKS_FOLDER}

    def save(
        self,
        game_id: int,
        login: str,
        jpegs: Sequence[bytes],
        details: Sequence[FrameDetails] = (),
        numbers: Sequence[int] = (),
    ) -> list[StoredFrame]:
        """Write each of `jpegs` as the login's next frame in this game; return the frames in order.

        After an exception none of them is there, unless the server has failed for good. details, numbers: as in
        `FrameFolder.save`; a number that is taken becomes the next free one. Raises FolderError, LoginForgotten.
        """
        named = self._new_frames(game_id, login, jpegs, details)
        self._refuse_forgotten(login)
        if not jpegs:
            return []
        new = _NewFrames(self.files)
        try:
            planned = list(numbers) or self._next_numbers(game_id, login, len(jpegs))
            frames = self._create(named, jpegs, planned, new)
            self._refuse_forgotten(login)
            if not all(map(self.files.exists, new.lines)):  # a compaction found no frames yet, for this took so long
                new.lines.append(self._manifests.add(game_id, frames))
        except BaseException:
            new.take_back()
            raise
        return frames

    def _create(
        self,
        named: Callable[[Sequence[int]], list[StoredFrame]],
        jpegs: Sequence[bytes],
        numbers: list[int],
        new: _NewFrames,
    ) -> list[StoredFrame]:
        """Create frames with their lines; return them. Numbers that are taken are replaced. Raises FolderError."""
        left = list(range(len(jpegs)))
        for _ in range(_ROUNDS):
            frames = named(numbers)
            game_id, login = frames[0].game_id, frames[0].login
            new.lines.append(self._manifests.add(game_id, [frames[index] for index in left]))
            left = list(compress(left, new.create([(frames[index].path, jpegs[index]) for index in left])))
            if not left:
                return frames
            for index, number in zip(left, self._next_numbers(game_id, login, len(left), numbers), strict=True):
                numbers[index] = number
        path = shown_path(self.files, frames[left[0]].path)
        raise FolderError(f"{path}: other files take each name: try again later.")

    def _next_numbers(self, game_id: int, login: str, count: int, taken: Sequence[int] = ()) -> list[int]:
        names = (file.path.partition("/")[2] for file in self.files.listing(f"{game_id}/{login}-"))
        first = max(largest_numbers(names).get(login, 0), *taken, 0) + 1
        return list(range(first, first + count))

    def adding(self, game_id: int) -> AbstractContextManager[Describe]:
        """Return a context manager that yields what adds frames to a game's manifest; other writers may do so, too."""
        return contextlib.nullcontext(partial(self._manifests.add, game_id))

    def _read_manifests(self, names: Mapping[int, set[str]]) -> Iterator[StoredFrame]:
        """Return the frames with these file names, by game, as the manifests have them. Raises FolderError."""
        found = in_parallel(lambda game_id: self._manifests.read(game_id, names[game_id]), names, _GAMES_AT_ONCE)
        return (frame for game in found for frame in game.values())

    def compact(self, game_ids: Iterable[int]) -> int:
        """Merge the manifests' lines, without those of files that are gone; return how many. Raises FolderError."""
        is_forgotten = self.forgotten.current()

        def is_unwanted(frame: StoredFrame) -> bool:
            return frame.path in self._deleted or is_forgotten(frame.login)

        return sum(in_parallel(lambda game_id: self._manifests.compact(game_id, is_unwanted), game_ids, _GAMES_AT_ONCE))

    def delete(self, frames: Iterable[StoredFrame]) -> None:
        """Delete these files; a file that is already gone is no error. Raises FolderError."""
        frames = list(frames)
        super().delete(frames)
        self._deleted.update(frame.path for frame in frames)

    def trashed_hashes(self) -> Container[bytes]:
        """Return the SHA-256 of the frames in the trash as it was seconds ago: each look takes two requests."""
        return TrashedHashes(self.files, _TRASH_TRUSTED_S)

    def scan(self) -> FolderScan:
        """Return everything at the address, a few games at a time. Raises FolderError: nothing is there."""
        if not (names := self._names()):
            # A typo in STORE_URL must not pass for an empty dataset, whose rows data.dbSync would remove.
            raise FolderError(f"{self.location}: nothing is there: check STORE_URL; the first download fills it.")
        games = [name for name in names if GAME_FOLDER.fullmatch(name)]
        found = in_parallel(self._scan_game, games, _GAMES_AT_ONCE)
        others = names.difference(games, OWN_NAMES)
        return FolderScan(
            frames=tuple(frame for frames, _ in found for frame in frames),
            games=frozenset(map(int, games)),
            unrecognised=tuple(sorted({*others, *(path for _, paths in found for path in paths)})),
            stale_files=(),
            unreadable=(),
        )

    def _scan_game(self, game: str) -> tuple[list[StoredFrame], set[str]]:
        """Return a game's frames, and the paths of other objects; of those in a folder, the folder's path."""
        frames, others = [], set()
        for file in self.files.listing(f"{game}/"):
            name = file.path.split("/")[1]
            try:
                frames.append(StoredFrame.parse(file.path))
            except ValueError:
                if name not in ("", MANIFEST_FILE, LINES_FOLDER):  # consoles make an object for an empty folder
                    others.add(f"{game}/{name}")
        return frames, others

    def size_bytes(self) -> int:
        """Return the size in bytes of the files in the root and in the games' folders. Raises FolderError."""
        names = [name for name in self.files.names("") if name in OWN_NAMES or GAME_FOLDER.fullmatch(name)]
        return sum(in_parallel(self._size, names, _GAMES_AT_ONCE))

    def _size(self, name: str) -> int:
        prefix = f"{name}/" if GAME_FOLDER.fullmatch(name) else name
        return sum(file.size_bytes for file in self.files.listing(prefix))


class _NewFrames:
    """The frames that a save has created, and `lines`, the objects with their lines: to take them back."""

    def __init__(self, files: ObjectFiles) -> None:
        self.lines: list[str] = []
        self._files = files
        self._created: list[str] = []
        self._unsure: dict[str, bytes] = {}  # content by path: begun, and not known to have ended

    def create(self, frames: Sequence[tuple[str, bytes]]) -> list[bool]:
        """Create files from (path, content) side by side; return of each whether its name is taken."""
        return in_parallel(self._create, frames)

    def _create(self, frame: tuple[str, bytes]) -> bool:
        path, content = frame
        self._unsure[path] = content
        is_taken = False
        try:
            self._files.create(path, content)
            self._created.append(path)
        except FileExistsError:
            is_taken = True
        self._unsure.pop(path, None)
        return is_taken

    def take_back(self) -> None:
        """Remove what was created, as far as the server answers."""
        unsure = [path for path, content in self._unsure.items() if self._holds(path, content)]
        with contextlib.suppress(FolderError):
            self._files.remove([*self._created, *unsure, *self.lines])

    def _holds(self, path: str, content: bytes) -> bool:
        with contextlib.suppress(FileNotFoundError, FolderError):
            return self._files.read(path, MAX_FRAME_BYTES) == content
        return False
