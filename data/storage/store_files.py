"""Files of a dataset: the interface (Protocol) to a folder or an object store that the modules of this room share.

A path is text below the dataset's root, with `/` between its parts: `games.tsv`, `.changes/<id>.pending`,
`7/login-3.jpg`. `data.storage.folder_files.FolderFiles` is the implementation on a local disk,
`data.storage.object_files.ObjectFiles` that on an object store.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol


class StoreFiles(Protocol):
    """The files of one dataset. Several processes on several machines may use them at the same time.

    A file appears complete or not at all, whatever is killed. Every method raises FolderError, beside what it names.
    """

    @property
    def location(self) -> str: ...  # root, as text for messages
    def exists(self, path: str) -> bool: ...
    def read(self, path: str, max_bytes: int) -> bytes: ...  # FileNotFoundError
    def sha256(self, path: str) -> bytes: ...  # FileNotFoundError
    def names(self, folder: str) -> list[str]: ...  # of the files and folders directly in it; [] if it is missing
    def walk(self, folder: str) -> Iterator[str]: ...  # paths of all files below it
    def version(self, path: str) -> object: ...  # another value after each change; None without the file
    def modified_at(self, path: str) -> float | None: ...  # epoch seconds
    def create(self, path: str, content: bytes) -> None: ...  # FileExistsError; never in place of another file
    def replace(self, path: str, content: bytes) -> None: ...
    def update(self, path: str, change: Callable[[bytes], bytes]) -> None:
        """Replace the content by `change(content)`, b"" without the file; no other process changes it meanwhile.

        `change` may be called more than once.
        """

    def link(self, source: str, target: str) -> None: ...  # gives the content a second path; FileExistsError
    def remove(self, path: str) -> None: ...  # a file that is gone is no error
    def remove_empty_folders(self, paths: Sequence[str]) -> None: ...  # that these removed files left
    def locked(self, folder: str, timeout_s: float = math.inf) -> AbstractContextManager[None]:
        """Hold the lock of a folder, which other processes wait for. Raises TimeoutError."""
