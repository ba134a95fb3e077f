"""Files of a dataset: the interface (Protocol) to a folder or an object store that the modules of this room share.

A path is text below the dataset's root, with `/` between its parts: `games.tsv`, `.changes/<id>.pending`,
`7/login-3.jpg`; "" is the root. `data.storage.folder_files.FolderFiles` is the implementation on a local disk,
`data.storage.object_files.ObjectFiles` that on an object store.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

from data.text import printable

_In = TypeVar("_In")
_Out = TypeVar("_Out")


class StoreFiles(Protocol):
    """The files of one dataset. Several processes on several machines may use them at the same time.

    A file appears complete or not at all, whatever is killed. Every method raises FolderError, beside what it names.
    Folders that a new file needs are created with it.
    """

    @property
    def location(self) -> str: ...  # root, as text for messages
    def exists(self, path: str) -> bool: ...  # a file, or a link that leads nowhere
    def read(self, path: str, max_bytes: int) -> bytes: ...  # FileNotFoundError
    def sha256(self, path: str) -> bytes: ...  # FileNotFoundError
    def names(self, folder: str) -> list[str]: ...  # of the files and folders directly in it; [] if it is missing
    def walk(self, folder: str) -> Iterator[str]: ...  # paths of all files below it; none if it is missing
    def version(self, path: str) -> object:
        """Return another value after each change of a file; None without it."""

    def folder_version(self, folder: str) -> object: ...  # the same for the names in a folder
    def version_with(self, path: str, sha256: bytes) -> object:
        """Return the version of a file that has this SHA-256; None without it, or if a disk refuses to read it."""

    def modified_at(self, path: str) -> float | None: ...  # of a file, epoch seconds; None without it
    def create(self, path: str, content: bytes, *, private: bool = False) -> None:
        """Write a new file, never in place of another one. Raises FileExistsError.

        private: only its owner may read it, on a local disk.
        """

    def replace(self, path: str, content: bytes) -> None: ...  # in a folder that exists
    def update(self, path: str, change: Callable[[bytes], bytes]) -> None:
        """Replace the content by `change(content)`, b"" without the file; no other process changes it meanwhile.

        `change` may be called more than once. Its exceptions pass; equal content is not written.
        """

    def link(self, source: str, target: str) -> None: ...  # the content at a second path; FileExistsError, as `read`
    def rename(self, source: str, target: str) -> None:
        """Give a file another path, in place of what is there. Raises FileNotFoundError.

        On an object store both exist for a moment.
        """

    def make_folder(self, folder: str) -> None: ...  # exists from then on, also without a file of ours
    def remove(self, paths: Iterable[str]) -> None: ...  # files; one that is gone is no error
    def remove_empty_folders(self, paths: Iterable[str]) -> None: ...  # that these removed files left
    def locked(self, folder: str, timeout_s: float = math.inf) -> AbstractContextManager[None]:
        """Hold the lock of a folder, which other processes wait for. Raises TimeoutError."""

    def each(self, work: Callable[[_In], _Out], items: Iterable[_In]) -> list[_Out]:
        """Return the results of `work`, which uses these files, in order; on an object store some run side by side."""


def shown_path(files: StoreFiles, path: str) -> str:
    """Return a path for messages: with the place of the files, and printable."""
    return printable(f"{files.location}/{path}" if path else files.location)
