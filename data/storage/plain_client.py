"""Plain client: an `ObjectClient` on any file system of fsspec that can create a file exclusively.

Such a file system cannot replace one version of a file. So each conditional write holds a lock: an object in `.locks`
that was created exclusively. One that a killed process left is removed after a minute. `memory://` is of one process.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from data.storage.layout import LOCKS_FOLDER
from data.storage.object_address import open_file_system
from data.storage.object_client import ABSENT, ListedFile, TooLarge, VersionChanged

_STALE_AFTER_S = 60
_WAIT_S = 0.05
_PROCESS_LOCK = threading.Lock()


class PlainClient:
    """The objects below an address."""

    def __init__(self, address: str) -> None:
        self._file_system, base = open_file_system(address, use_listings_cache=False)
        self._base = f"{base.rstrip('/')}/"

    def get(self, key: str, max_bytes: int) -> tuple[bytes, ListedFile]:
        """Return a file's content and state. Raises FileNotFoundError, TooLarge."""
        state = self.head(key)
        if not state:
            raise FileNotFoundError(errno.ENOENT, "not found", key)
        if state.size_bytes > max_bytes:
            raise TooLarge(max_bytes)
        if not state.size_bytes:  # servers refuse a range of an empty file
            return b"", state
        content = self._file_system.cat_file(self._base + key, end=max_bytes + 1)  # it may have grown since
        if len(content) > max_bytes:
            raise TooLarge(max_bytes)
        return content, state

    def head(self, key: str) -> ListedFile | None:
        """Return a file's state; None without it."""
        try:
            info = self._file_system.info(self._base + key)
        except FileNotFoundError:
            return None
        return self._state(info) if info["type"] == "file" else None

    def put(
        self,
        key: str,
        content: bytes,
        expected: str | None = None,
        modified_at: float | None = None,  # noqa: ARG002
    ) -> None:
        """Write a file; the time of the write stays its time. Raises FileExistsError, VersionChanged."""
        path = self._base + key
        with _PROCESS_LOCK:
            if expected is None:
                self._file_system.pipe_file(path, content)
            elif expected == ABSENT:
                self._file_system.pipe_file(path, content, mode="create")
            else:
                with self._exclusive(key):
                    state = self.head(key)
                    if not state or state.version != expected:
                        raise VersionChanged(errno.EAGAIN, "changed by another process", key)
                    self._file_system.pipe_file(path, content)

    @contextlib.contextmanager
    def _exclusive(self, key: str) -> Iterator[None]:
        path = f"{self._base}{LOCKS_FOLDER}/{hashlib.sha256(key.encode()).hexdigest()[:32]}"
        end = time.monotonic() + 2 * _STALE_AFTER_S
        while True:
            with contextlib.suppress(FileExistsError):
                self._file_system.pipe_file(path, b"", mode="create")
                break
            with contextlib.suppress(FileNotFoundError):
                if time.time() - _seconds(self._file_system.info(path)) > _STALE_AFTER_S:
                    self._file_system.rm_file(path)
            if time.monotonic() > end:  # the server's clock is ahead of this one's
                raise TimeoutError(errno.ETIMEDOUT, "locked by another process", key)
            time.sleep(_WAIT_S)
        try:
            yield
        finally:
            with contextlib.suppress(FileNotFoundError):
                self._file_system.rm_file(path)

    def delete(self, keys: Sequence[str]) -> None:
        """Delete files."""
        for key in keys:
            with contextlib.suppress(FileNotFoundError):
                self._file_system.rm_file(self._base + key)

    def listing(self, prefix: str) -> Iterator[ListedFile]:
        """Yield all files whose keys begin so, in order."""
        folder = self._base + prefix.rpartition("/")[0]
        with contextlib.suppress(FileNotFoundError):
            found = self._file_system.find(folder, detail=True)
            states = (self._state(info) for _, info in sorted(found.items()))
            yield from (state for state in states if state.path.startswith(prefix))

    def names(self, folder: str) -> list[str]:
        """Return the names directly below `folder`."""
        try:
            found = self._file_system.ls(self._base + folder, detail=False)
        except FileNotFoundError:
            return []
        return sorted(path.rstrip("/").rpartition("/")[2] for path in found)

    def _state(self, info: dict[str, Any]) -> ListedFile:
        version = ":".join(str(info.get(name, "")) for name in ("etag", "ETag", "created", "mtime", "size"))
        return ListedFile(info["name"][len(self._base) :], info["size"], version, _seconds(info))


def _seconds(info: dict[str, Any]) -> float:
    """Return when a file was written, epoch seconds; file systems name and type this differently."""
    for name in ("LastModified", "modified", "mtime", "updated", "created"):
        value = info.get(name)
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, int | float):
            return float(value)
    return 0.0
