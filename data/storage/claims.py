"""Claims of streams: downloads that run side by side into one dataset do not grab the same stream at the same time.

A claim of a folder is a lock on one byte of the file `<root>/.claims`, whose place is a hash of the stream's login. The
kernel frees it however the process dies, and the file stays empty. Claims save work; the catalog alone guarantees that
no frame is there twice. So without the file, as on a file system without locks, every claim succeeds. Claims of an
object store are in PostgreSQL: data.storage.database_claims.
"""

from __future__ import annotations

import abc
import contextlib
import fcntl
import hashlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

from data.errors import StreamClaimed
from data.storage.layout import CLAIMS_FILE

_DOWNLOADS = 1 << 10  # the highest number


class StreamClaims(abc.ABC):
    """The claims of one process. `number` tells the downloads apart: 0 unless another one runs."""

    number = 0

    @contextlib.contextmanager
    def claimed(self, login: str) -> Iterator[None]:
        """Claim the login's stream for the block. Raises StreamClaimed: another process has it."""
        if not self._lock(login):
            raise StreamClaimed(f"{login}: another download grabs this stream")
        try:
            yield
        finally:
            self._unlock(login)

    def _take_number(self) -> None:
        """Set `number` to the first one that no other process has."""
        self.number = next(n for n in itertools.count() if n == _DOWNLOADS or self._lock(f"/{n}"))

    @abc.abstractmethod
    def _lock(self, name: str) -> bool:
        """Take the lock of this name; return False if another process has it, and True if nobody can say."""

    @abc.abstractmethod
    def _unlock(self, name: str) -> None:
        """Free the lock of this name."""


class Claims(StreamClaims):
    """The claims in the folder `root`; a context manager."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._file = -1

    def __enter__(self) -> Claims:
        with contextlib.suppress(OSError):
            self._root.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._root / CLAIMS_FILE, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK, 0o666)
        self._take_number()
        return self

    def __exit__(self, *_: object) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _lock(self, name: str) -> bool:
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _place(name))
        except (BlockingIOError, PermissionError):  # POSIX allows both: EAGAIN and EACCES
            return False
        except (OSError, ValueError):
            return True
        return True

    def _unlock(self, name: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _place(name))


def _place(name: str) -> int:
    """Return the byte of a login; the first bytes are those of the downloads' numbers."""
    if name.startswith("/"):
        return int(name[1:])
    return _DOWNLOADS + int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big")
