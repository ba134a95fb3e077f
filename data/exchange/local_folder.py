"""Local folder: an export is made in a hidden folder beside its own, `.<name>.export-part`, and renamed at the end.

A killed export leaves only the hidden folder behind; the next one of that name removes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from data.errors import FolderError
from data.exchange.destination import check_own, check_replaceable
from data.storage.object_address import translate_errors
from data.text import printable

_THREADS = 4


class LocalFolder:
    """A folder as a `Destination`."""

    def __init__(self, folder: Path, shown: str) -> None:
        """Take a folder, and its name for messages."""
        self._folder = folder
        self._shown = shown

    def write(self, files: Mapping[str, bytes]) -> None:
        """Write these files by name. Raises FolderError."""
        paths = [self._folder / name for name in files]
        with translate_errors(self._shown), ThreadPoolExecutor(_THREADS) as pool:
            for parent in {path.parent for path in paths}:
                parent.mkdir(parents=True, exist_ok=True)
            list(pool.map(Path.write_bytes, paths, files.values()))

    def read(self, names: Sequence[str]) -> dict[str, bytes]:
        """Return the content of these files by name. Raises FolderError."""
        with translate_errors(self._shown), ThreadPoolExecutor(_THREADS) as pool:
            return dict(zip(names, pool.map(Path.read_bytes, [self._folder / name for name in names]), strict=True))


@contextlib.contextmanager
def new_folder(folder: Path, frames: Path, *, overwrite: bool) -> Iterator[LocalFolder]:
    """Yield a hidden folder beside `folder`; replace `folder` by it at the end, or remove it after an error.

    frames: the dataset's folder, where no export may lie. Raises FolderError: other files lie in `folder`, or a
    complete export without `overwrite`.
    """
    shown = printable(str(folder))
    folder = _resolve(folder, frames, shown)
    part, old = (folder.with_name(f".{folder.name}.export-{end}") for end in ("part", "old"))
    with _only_writer(part, shown):
        try:
            with translate_errors(shown):
                check_own(_names(part) | _names(old), printable(f"{part} or {old}"))
                if old.is_dir() and not folder.exists():  # a kill between the two renames of an overwriting export
                    old.rename(folder)
                check_replaceable(_names(folder), shown, overwrite=overwrite)
                _empty(part)
            yield LocalFolder(part, shown)
            with translate_errors(shown):
                _replace(folder, part, old)
        except BaseException:
            _remove(part)
            raise


def _resolve(folder: Path, frames: Path, shown: str) -> Path:
    """Return the folder without links, and create its parent. Raises FolderError: it lies in the folder `frames`."""
    with translate_errors(shown):
        folder = folder.resolve()
        if folder.is_relative_to(frames.resolve()) or os.path.ismount(folder):
            raise FolderError(f"{shown} lies in the dataset, or is a disk's root: export to a new folder elsewhere.")
        folder.parent.mkdir(parents=True, exist_ok=True)
        return folder


@contextlib.contextmanager
def _only_writer(part: Path, shown: str) -> Iterator[None]:
    """Create the folder `part` and lock it for the block. Raises FolderError: another process holds the lock."""
    with translate_errors(shown):
        part.mkdir(exist_ok=True)
        descriptor = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        with translate_errors(shown):
            _lock(descriptor, part, shown)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, part: Path, shown: str) -> None:
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the kernel frees it when the process dies
        if part.exists() and os.path.samestat(os.fstat(descriptor), part.stat()):
            return  # otherwise another export has just ended, and its folder has another name by now
    raise FolderError(f"{shown}: another export writes there; wait until it has ended.")


def _names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()} if folder.exists() else set()


def _remove(part: Path) -> None:
    with contextlib.suppress(OSError, FolderError):
        check_own(_names(part), str(part))
        shutil.rmtree(part)


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()


def _replace(folder: Path, part: Path, old: Path) -> None:
    if old.exists():
        shutil.rmtree(old)
    if folder.exists() and any(folder.iterdir()):
        folder.rename(old)
    part.rename(folder)  # in place of an empty folder, too
    shutil.rmtree(old, ignore_errors=True)
