"""Mirror: a copy of an object store's frames on this machine, for what reads them as files, such as training.

    <home>/frames/              a frame folder that is only read: games.tsv, each game with its frames and its manifest
    <home>/frames/.features/    what was computed of the frames; object stores have none

    list the objects of each game, and compare them with the files
    remove the files of objects that are gone or changed, their features first
    fetch the missing files, a batch at a time
    write the manifest of each game with changes

The modification time of a copy is a hash of its object's version. So each file says what it is a copy of, and after a
kill the next update fetches only what is missing.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from data.atomic import atomic_file, folder_lock
from data.entities import StoredFrame
from data.errors import FolderError
from data.storage.folder_errors import folder_errors
from data.storage.frame_folder import FrameFolder
from data.storage.layout import GAME_FOLDER, MAX_FRAME_BYTES, NAMES_FILE
from data.storage.manifest import MANIFEST_FILE, to_line
from data.storage.parallel import in_parallel
from data.text import printable

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from data.storage.erasure import Erased
    from data.storage.object_client import ListedFile
    from data.storage.object_frames import ObjectFrames

log = logging.getLogger(__name__)

# Called with what is done and the number of steps; yields what counts steps.
Progress = Callable[[str, int], "AbstractContextManager[Callable[[int], object]]"]

_BATCH = 64  # frames that are fetched under one lock
_YIELD_S = 0.005  # between two batches, so that data.forget gets the lock
_BLOCK_BYTES = 4096  # of the disk


@dataclass(frozen=True, slots=True)
class _GamePlan:
    """What an update does to a game's folder."""

    game: str
    wanted: Sequence[ListedFile]  # frames to fetch
    gone: Sequence[StoredFrame]  # frames whose objects are gone or changed
    mark: int | None  # modification time of the manifest to write; None: it is up to date


class Mirror:
    """A copy of an object store's frames in the folder `home`, which the first update creates."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._root = home / "frames"
        self.frames = FrameFolder(self._root)  # only to read

    def update(self, store: ObjectFrames, progress: Progress, wait_level: int = logging.WARNING) -> None:
        """Make the copy equal to the store; wait for another process that does so.

        wait_level: level of the line that says so.
        Raises FolderError: the disk has too little space; the store or the disk fails. What was fetched is kept.
        """
        with folder_errors(self._home, writing=True):
            self._root.mkdir(parents=True, exist_ok=True)
            with self._only_updater(wait_level):
                games = {name for name in store.files.names("") if GAME_FOLDER.fullmatch(name)}
                local = {entry.name for entry in os.scandir(self._root) if GAME_FOLDER.fullmatch(entry.name)}
                plans = in_parallel(partial(self._plan, store), sorted(games | local))
                self._check_space(store, plans)
                self._remove(plans)
                for game in local - games:
                    shutil.rmtree(self._root / game)
                plans = [plan for plan in plans if plan.game in games]
                self._fetch_all(store, plans, progress)
                for plan in plans:
                    if plan.mark is not None:
                        self._describe(store, plan.game, plan.mark)
                _replace(self._root / NAMES_FILE, store.read_report(NAMES_FILE) or b"")

    def erase(self, is_erased: Callable[[StoredFrame], bool]) -> Erased:
        """Remove the copies of these frames, and their features; return the features only. Raises FolderError.

        Their objects should be gone: the next update fetches those that are there.
        """
        from data.storage.erasure import Erased, Eraser  # with SQLAlchemy: on demand

        if not self.frames.exists():
            return Erased()
        with folder_errors(self._root), folder_lock(self._root):
            eraser = Eraser(self.frames, None)
            return Erased(features=eraser.erase(eraser.find(is_erased), is_erased).features)

    @contextlib.contextmanager
    def _only_updater(self, wait_level: int) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(folder_lock(self._home, 0))
            except TimeoutError:
                waiting = "Another process updates %s: waiting until it has ended."
                log.log(wait_level, waiting, printable(str(self._home)))
                stack.enter_context(folder_lock(self._home))
            yield

    def _plan(self, store: ObjectFrames, game: str) -> _GamePlan:
        """Compare a game's objects with its files. Raises FolderError, OSError."""
        files = _listed_copies(self._root / game)
        wanted, kept, marks = [], set(), 0
        for listed in store.files.listing(f"{game}/"):
            marks ^= _mark(f"{listed.path} {listed.version}")  # a store may list in any order
            with contextlib.suppress(ValueError):  # not a frame
                frame = StoredFrame.parse(listed.path)
                if files.get(frame) == (listed.size_bytes, _mark(listed.version)):
                    kept.add(frame)
                elif listed.size_bytes <= MAX_FRAME_BYTES:
                    wanted.append(listed)
                else:
                    log.warning("%s is left out: it has %d bytes.", listed.path, listed.size_bytes)
        gone = [frame for frame in files if frame not in kept]
        mark = _mark(marks)
        is_same = not wanted and not gone and mark == self.frames.files.modified_at(f"{game}/{MANIFEST_FILE}")
        return _GamePlan(game, wanted, gone, None if is_same else mark)

    def _check_space(self, store: ObjectFrames, plans: Iterable[_GamePlan]) -> None:
        needed = sum(_BLOCK_BYTES + listed.size_bytes for plan in plans for listed in plan.wanted)
        free = shutil.disk_usage(self._root).free
        if needed > free:
            raise FolderError(
                f"{printable(str(self._root))}: the copy of {store.location} needs {needed / 1e9:,.2f} GB more, but "
                f"{free / 1e9:,.2f} GB are free: free some space, or set DOWNLOAD_PATH to a folder on another disk."
            )

    def _remove(self, plans: Iterable[_GamePlan]) -> None:
        """Remove what is gone, and files of a killed process."""
        gone = {frame for plan in plans for frame in plan.gone}
        if gone:
            log.info("mirror: %d frames are gone or changed", len(gone))
            self.erase(gone.__contains__)
        self.frames.remove_stale_files(self.frames.scan())

    def _fetch_all(self, store: ObjectFrames, plans: Sequence[_GamePlan], progress: Progress) -> None:
        wanted = [listed for plan in plans for listed in plan.wanted]
        for plan in plans:
            (self._root / plan.game).mkdir(exist_ok=True)
        if not wanted:
            return
        log.info("mirror: fetching %d frames of %s", len(wanted), store.location)
        with progress("fetching", len(wanted)) as advance:
            for start in range(0, len(wanted), _BATCH):
                batch = wanted[start : start + _BATCH]
                # data.forget deletes objects, then takes this lock and deletes their copies: none comes later.
                with folder_lock(self._root):
                    in_parallel(partial(self._fetch, store), batch)
                advance(len(batch))
                time.sleep(_YIELD_S)

    def _fetch(self, store: ObjectFrames, listed: ListedFile) -> None:
        """Copy an object; one that is gone by now is left out. Raises FolderError, OSError."""
        try:
            content = store.files.read(listed.path, MAX_FRAME_BYTES)
        except FileNotFoundError:
            return
        if len(content) != listed.size_bytes:
            raise FolderError(f"{store.location}/{listed.path} was cut or changed meanwhile: repeat the command.")
        _replace(self._root / listed.path, content, _mark(listed.version))

    def _describe(self, store: ObjectFrames, game: str, mark: int) -> None:
        """Write the lines that the store's manifest has of the game's frames."""
        with folder_lock(self._root):  # or a line of a frame that data.forget removes meanwhile would come back
            frames = sorted(_listed_copies(self._root / game), key=lambda frame: (frame.login, frame.number))
            lines = (to_line(frame) for frame in store.described(frames) if frame.sha256)
            _replace(self._root / game / MANIFEST_FILE, "".join(lines).encode(), mark)


def _listed_copies(folder: Path) -> dict[StoredFrame, tuple[int, int]]:
    """Return the frames in a game's folder with their sizes in bytes and modification times, s. Raises OSError."""
    found: dict[StoredFrame, tuple[int, int]] = {}
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(ValueError):
                status = entry.stat(follow_symlinks=False)
                found[StoredFrame.parse(f"{folder.name}/{entry.name}")] = status.st_size, int(status.st_mtime)
    return found


def _mark(version: object) -> int:
    """Return a modification time, epoch seconds, that stands for a version: even and before 2038, for any disk."""
    number = int.from_bytes(hashlib.sha256(str(version).encode()).digest()[:4], "big")
    return 2**30 + 2 * (number % 2**29)


def _replace(path: Path, content: bytes, mark: int | None = None) -> None:
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)
        if mark is not None:
            os.utime(temporary, (mark, mark))
