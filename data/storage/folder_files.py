"""Files of a dataset on a local disk: the folder `root`, as `StoreFiles`, by the system calls of POSIX.

A killed process leaves only temporary files behind (data.atomic). Parts of the folder may be links to other disks.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import TypeVar

from data.atomic import atomic_file, flush_to_disk, folder_lock, publish, temporary_files
from data.errors import FolderError
from data.readers import file_sha256, read_regular_file
from data.storage.folder_errors import folder_errors, repeat_if_removed

_MAX_BYTES = 4 << 30  # of a file that is updated
_In = TypeVar("_In")
_Out = TypeVar("_Out")
_NEW = (FileExistsError, FileNotFoundError)


class FolderFiles:
    """The files in the folder `root`. The first write creates it. The methods are documented by `StoreFiles`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def location(self) -> str:
        """Root of the files, as text."""
        return str(self.root)

    def exists(self, path: str) -> bool:
        """Return whether a file or a link is there; False if the system refuses to say."""
        return os.path.lexists(f"{self.root}/{path}")

    def read(self, path: str, max_bytes: int) -> bytes:
        """Return the content of a regular file. Raises FileNotFoundError, FolderError."""
        place = self.root / path
        with folder_errors(place, but=FileNotFoundError):
            return read_regular_file(place, max_bytes)

    def sha256(self, path: str) -> bytes:
        """Return the SHA-256 of a regular file. Raises FileNotFoundError, FolderError."""
        place = self.root / path
        with folder_errors(place, but=FileNotFoundError):
            return file_sha256(place)

    def names(self, folder: str) -> list[str]:
        """Return the names of what is in a folder, in no order; [] if it is missing. Raises FolderError."""
        with folder_errors(self.root / folder), contextlib.suppress(FileNotFoundError):
            return os.listdir(self.root / folder)  # noqa: PTH208 - names, not paths
        return []

    def walk(self, folder: str) -> Iterator[str]:
        """Yield the paths of all files below a folder. Raises FolderError."""
        with folder_errors(self.root / folder):
            for parent, _, names in os.walk(self.root / folder, onerror=_raise_unless_missing):
                yield from (Path(parent, name).relative_to(self.root).as_posix() for name in names)

    def version(self, path: str) -> object:
        """Return place, size and time of a file; None without it. Raises FolderError."""
        place = self.root / path
        with folder_errors(place):
            try:
                status = place.stat()
            except FileNotFoundError:
                if self.exists(path):  # a link to an unmounted disk
                    raise
                return None
        return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns

    def folder_version(self, folder: str) -> object:
        """Return place, size and time of a folder, which change with its names; None without it. Raises FolderError."""
        return self.version(folder)

    def version_with(self, path: str, sha256: bytes) -> object:
        """Return the version of a file that has this SHA-256; None otherwise."""
        with contextlib.suppress(FileNotFoundError, FolderError):
            version = self.version(path)  # before the content: a change in between is seen
            return version if self.sha256(path) == sha256 else None
        return None

    def modified_at(self, path: str) -> float | None:
        """Return the time of a file, of a link that of its target, epoch seconds; None if nobody knows."""
        place = self.root / path
        with contextlib.suppress(OSError):
            return (place.stat() if place.exists() else place.lstat()).st_mtime
        return None

    def create(self, path: str, content: bytes, *, private: bool = False) -> None:
        """Write a new file. Raises FileExistsError, FolderError."""
        final = self.root / path
        self._make_parent(path)
        first = b"" if private else content
        with folder_errors(final, writing=True, but=FileExistsError):
            # The lock is for file systems without hard links, where two processes could both take the name.
            with folder_lock(self.root), temporary_files(final.parent, [first]) as (temporary,):
                if private:
                    temporary.unlink()
                    temporary.touch(0o600, exist_ok=False)  # nobody else has it open
                    temporary.write_bytes(content)
                    flush_to_disk(temporary)  # after a power cut the content would be zeros
                publish(temporary, final)
            _flush_folder(final.parent)

    def replace(self, path: str, content: bytes) -> None:
        """Write a file in place of an earlier one. Raises FolderError."""
        final = self.root / path
        with folder_errors(final, writing=True), atomic_file(final) as temporary:
            temporary.write_bytes(content)

    def update(self, path: str, change: Callable[[bytes], bytes]) -> None:
        """Replace the content by `change(content)`, under the lock of the root. Raises FolderError."""
        final = self.root / path

        def work() -> None:
            final.parent.mkdir(parents=True, exist_ok=True)
            with folder_lock(self.root):
                content = b""
                with contextlib.suppress(FileNotFoundError):
                    content = read_regular_file(final, _MAX_BYTES)
                new = change(content)
                if new != content:
                    with atomic_file(final) as temporary:
                        temporary.write_bytes(new)
                    _flush_folder(final.parent)

        with folder_errors(final, writing=True):
            repeat_if_removed(work)

    def link(self, source: str, target: str) -> None:
        """Give the content of a file a second path. Raises FileExistsError, FileNotFoundError, FolderError."""
        first, final = self.root / source, self.root / target
        if not final.parent.is_dir():
            self._make_parent(target)
        with folder_errors(final, writing=True, but=_NEW):
            try:
                publish(first, final)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                # A game's folder may be a link to another disk.
                with temporary_files(final.parent, [first.read_bytes()]) as (copy,):
                    shutil.copystat(first, copy)  # data.purge uses the time of a file without details
                    publish(copy, final)

    def rename(self, source: str, target: str) -> None:
        """Give a file another path, in place of what is there. Raises FileNotFoundError, FolderError."""
        with folder_errors(self.root / target, writing=True, but=FileNotFoundError):
            (self.root / source).replace(self.root / target)

    def make_folder(self, folder: str) -> None:
        """Create a folder, unless it exists. Raises FolderError."""
        path = self.root / folder
        with folder_errors(path, writing=True):
            repeat_if_removed(lambda: path.mkdir(parents=True, exist_ok=True))

    def remove(self, paths: Iterable[str]) -> None:
        """Remove files; one that is gone is no error. Raises FolderError."""
        for path in paths:
            place = self.root / path
            with folder_errors(place):
                place.unlink(missing_ok=True)

    def remove_empty_folders(self, paths: Iterable[str]) -> None:
        """Remove the folders that these removed files left, as far as they are empty, but not the root."""
        for folder in {PurePosixPath(path).parent for path in paths}:
            for each in (folder, *folder.parents)[:-1]:
                with contextlib.suppress(OSError):  # not empty
                    (self.root / each).rmdir()

    @contextlib.contextmanager
    def locked(self, folder: str, timeout_s: float = math.inf) -> Iterator[None]:
        """Hold the lock of a folder below the root, which is created. Raises TimeoutError, FolderError."""
        path = self.root / folder
        with contextlib.ExitStack() as stack:
            with folder_errors(path, writing=True, but=TimeoutError):
                path.mkdir(exist_ok=True)
                stack.enter_context(folder_lock(path, timeout_s))
            yield

    def each(self, work: Callable[[_In], _Out], items: Iterable[_In]) -> list[_Out]:
        """Return the results of `work` for each item, one after the other."""
        return list(map(work, items))

    def _make_parent(self, path: str) -> None:
        folder = (self.root / path).parent
        with folder_errors(folder, writing=True):
            folder.mkdir(parents=True, exist_ok=True)


def _flush_folder(folder: Path) -> None:
    """Force a new name in the folder to the disk. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network drives cannot do so
            raise
    finally:
        os.close(descriptor)


def _raise_unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
