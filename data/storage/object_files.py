"""Files of a dataset on an object store: `StoreFiles` at an address that fsspec knows, such as s3://bucket/folder.

An object appears complete or not at all. Conditional writes (data.storage.object_client) keep two processes apart: a
new file is created only where there is none, and an update replaces only the version that was read. There are no
folders: one exists while an object lies below it, so a new game gets an empty manifest.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from data.backoff import Backoff
from data.errors import FolderError
from data.storage.layout import GAME_FOLDER
from data.storage.lease import Lease, LeaseHeldError, lease
from data.storage.manifest import MANIFEST_FILE
from data.storage.object_address import is_s3, normal_address, shown_address, translate_errors
from data.storage.object_client import ABSENT, ListedFile, ObjectClient, VersionChanged
from data.storage.parallel import in_parallel
from data.storage.store_files import shown_path

_In = TypeVar("_In")
_Out = TypeVar("_Out")
_MAX_BYTES = 1 << 30  # of a file whose hash is asked for
_MAX_UPDATED_BYTES = 4 << 30
_UPDATE_BUDGET_S = 60.0  # of an update that loses against other processes


class ObjectFiles:
    """The files below an address. Any number of threads and processes may use them; a pickled one is opened again.

    Every method raises FolderError, beside what it names; a store whose library is missing ExtraMissing.

    Args:
        address: such as s3://bucket/folder. Keys and endpoints of S3 come from the environment, as AWS names them.
    """

    def __init__(self, address: str) -> None:
        self._address = normal_address(address)
        self.location = shown_address(self._address)
        self.client = _open_client(self._address)
        self._leases = threading.local()

    def __reduce__(self) -> tuple[type[ObjectFiles], tuple[str]]:
        return ObjectFiles, (self._address,)

    def exists(self, path: str) -> bool:
        """Return whether there is a file."""
        return self._head(path) is not None

    def read(self, path: str, max_bytes: int) -> bytes:
        """Return the content of a file. Raises FileNotFoundError."""
        return self._get(path, max_bytes)[0]

    def sha256(self, path: str) -> bytes:
        """Return the SHA-256 of a file. Raises FileNotFoundError."""
        return hashlib.sha256(self.read(path, _MAX_BYTES)).digest()

    def names(self, folder: str) -> list[str]:
        """Return the names of the files and folders directly in a folder, sorted; none if it is missing."""
        with self._errors(folder):
            return self.client.names(_below(folder))

    def walk(self, folder: str) -> Iterator[str]:
        """Yield the paths of all files below a folder."""
        return (file.path for file in self.listing(_below(folder)))

    def listing(self, prefix: str) -> Iterator[ListedFile]:
        """Yield all files whose paths begin so, with their sizes and versions, as the server's pages come."""
        with self._errors(prefix):
            yield from self.client.listing(prefix)

    def version(self, path: str) -> object:
        """Return another value after each change of a file; None without it."""
        state = self._head(path)
        return (state.version, state.modified_at) if state else None

    def folder_version(self, folder: str) -> object:
        """Return another value after each change of the names in a folder; None without it."""
        return tuple(self.names(folder)) or None

    def version_with(self, path: str, sha256: bytes) -> object:
        """Return the version of a file that has this SHA-256; None otherwise."""
        try:
            content, state = self._get(path, _MAX_BYTES)
        except FileNotFoundError:
            return None
        return (state.version, state.modified_at) if hashlib.sha256(content).digest() == sha256 else None

    def modified_at(self, path: str) -> float | None:
        """Return when a file was written, or the one that it is a copy of, epoch seconds; None without it."""
        state = self._head(path)
        return state.modified_at if state else None

    def create(self, path: str, content: bytes, *, private: bool = False) -> None:  # noqa: ARG002
        """Write a new file. Raises FileExistsError. private: a store has no modes; its keys decide who may read."""
        self._put(path, content, ABSENT)

    def replace(self, path: str, content: bytes) -> None:
        """Write a file, in place of what is there."""
        self._put(path, content)

    def update(self, path: str, change: Callable[[bytes], bytes]) -> None:
        """Replace the content by `change(content)`, as `StoreFiles.update` says."""
        backoff = Backoff(_UPDATE_BUDGET_S, first_s=0.01, max_s=1.0, jitter=1.0)
        while True:
            content, version = self.read_version(path, _MAX_UPDATED_BYTES)
            changed = change(content)
            if changed == content or self.swap(path, changed, version):
                return
            if (pause_s := backoff.next_pause_s()) is None:
                raise FolderError(f"{shown_path(self, path)}: other processes change it all the time: try again later.")
            time.sleep(pause_s)

    def read_version(self, path: str, max_bytes: int) -> tuple[bytes, str]:
        """Return a file's content and its version, for `swap`; b"" and ABSENT without it."""
        try:
            content, state = self._get(path, max_bytes)
        except FileNotFoundError:
            return b"", ABSENT
        return content, state.version

    def swap(self, path: str, content: bytes, version: str) -> bool:
        """Replace this version of a file; return False if another process has changed it since."""
        try:
            self._put(path, content, version)
        except (FileExistsError, VersionChanged):
            return False
        return True

    def link(self, source: str, target: str) -> None:
        """Copy a file to a second path, with its time. Raises FileExistsError, FileNotFoundError."""
        self._copy(source, target, ABSENT)

    def rename(self, source: str, target: str) -> None:
        """Copy a file over another path, then remove it. Raises FileNotFoundError."""
        self._copy(source, target, None)
        self.remove([source])

    def _copy(self, source: str, target: str, expected: str | None) -> None:
        content, state = self._get(source, _MAX_BYTES)
        self._put(target, content, expected, state.modified_at)

    def make_folder(self, folder: str) -> None:
        """Write an empty manifest, unless a file lies below the folder of this game; other folders need nothing."""
        if GAME_FOLDER.fullmatch(folder) and not self.names(folder):
            with contextlib.suppress(FileExistsError):
                self.create(f"{folder}/{MANIFEST_FILE}", b"")

    def remove(self, paths: Iterable[str]) -> None:
        """Remove files, 1,000 with one request; one that is gone is no error."""
        self._check_leases()
        with self._errors(""):
            self.client.delete(list(paths))

    def remove_empty_folders(self, paths: Iterable[str]) -> None:
        """Do nothing: a folder without files is not there."""

    @contextlib.contextmanager
    def locked(self, folder: str, timeout_s: float = math.inf) -> Iterator[None]:
        """Hold a folder's lease, see `data.storage.lease`: it saves work, and may be lost. Raises TimeoutError."""
        with contextlib.ExitStack() as stack:
            with self._errors(folder):
                held = stack.enter_context(lease(self.client, folder, timeout_s))
            self._leases.held = [*self._held_leases(), held]
            try:
                yield
            finally:
                self._leases.held.remove(held)

    def each(self, work: Callable[[_In], _Out], items: Iterable[_In]) -> list[_Out]:
        """Return the results of `work` for each item, in order; some run side by side, below this thread's leases."""
        held = self._held_leases()

        def with_leases(item: _In) -> _Out:
            self._leases.held = held
            return work(item)

        return in_parallel(with_leases, items)

    def _held_leases(self) -> list[Lease]:
        """Return the leases of this thread."""
        return getattr(self._leases, "held", [])

    def _check_leases(self) -> None:
        for each in self._held_leases():
            each.check()

    def _put(self, path: str, content: bytes, expected: str | None = None, modified_at: float | None = None) -> None:
        self._check_leases()
        with self._errors(path):
            self.client.put(path, content, expected, modified_at)

    def _head(self, path: str) -> ListedFile | None:
        with self._errors(path):
            return self.client.head(path)

    def _get(self, path: str, max_bytes: int) -> tuple[bytes, ListedFile]:
        with self._errors(path):
            return self.client.get(path, max_bytes)

    @contextlib.contextmanager
    def _errors(self, path: str) -> Iterator[None]:
        """Translate what the client raises; not the errors that callers expect."""
        try:
            yield
        except (FileNotFoundError, FileExistsError, VersionChanged, LeaseHeldError):
            raise
        except (LookupError, TypeError, AttributeError, RecursionError) as error:  # of a parser that expects S3
            raise FolderError(
                f"{shown_path(self, path)}: what answers there is no such store, or has it elsewhere: "
                "check STORE_URL, AWS_ENDPOINT_URL and the region."
            ) from error
        except Exception:
            with translate_errors(shown_path(self, path)):
                raise


def _open_client(address: str) -> ObjectClient:
    if is_s3(address):
        from data.storage.s3_client import S3Client

        return S3Client(address)
    from data.storage.plain_client import PlainClient

    return PlainClient(address)


def _below(folder: str) -> str:
    return f"{folder}/" if folder else ""
