"""Claims of streams: downloads that run side by side into one dataset do not grab the same stream at the same time.

A claim is a lock on one byte of the file `<root>/.claims`, whose place is a hash of the stream's login. The kernel
frees it however the process dies, and the file stays empty. Claims save work; the catalog alone guarantees that no
frame is there twice. So without the file, as on a file system without locks, every claim succeeds.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import itertools
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from data.errors import StreamClaimed
from data.storage.layout import CLAIMS_FILE

_SLOTS = 1 << 10  # the first bytes are those of the downloads themselves


class StreamClaims(Protocol):
    """Claims of streams, here or in PostgreSQL (data.storage.database_claims)."""

    number: int  # tells the downloads apart: 0 unless another one runs

    def claimed(self, login: str) -> AbstractContextManager[None]:
        """Claim the login's stream for the block. Raises StreamClaimed: another process has it."""


class Claims:
    """The claims of one process; a context manager. `number` tells the downloads apart: 0 unless another one runs."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._file = -1
        self.number = 0

    def __enter__(self) -> Claims:
        with contextlib.suppress(OSError):
            self._root.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._root / CLAIMS_FILE, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK, 0o666)
        self.number = next(number for number in itertools.count() if number == _SLOTS or self._lock(number))
        return self

    def __exit__(self, *_: object) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1  # for a grab that still hangs

    @contextlib.contextmanager
    def claimed(self, login: str) -> Iterator[None]:
        """Claim the login's stream for the block. Raises StreamClaimed: another process has it."""
        place = _SLOTS + int.from_bytes(hashlib.sha256(login.encode()).digest()[:7], "big")
        if not self._lock(place):
            raise StreamClaimed(f"{login}: another download grabs this stream")
        try:
            yield
        finally:
            with contextlib.suppress(OSError, ValueError):
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, place)

    def _lock(self, place: int) -> bool:
        """Lock a byte; return whether no other process has it."""
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except (BlockingIOError, PermissionError):  # POSIX allows both: EAGAIN and EACCES
            return False
        except (OSError, ValueError):
            return True
        return True
