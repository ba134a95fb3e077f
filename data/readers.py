"""File-like objects: a Protocol for sequential reading, bytes chained in front of a file, regular files, hashes.

Whatever a user names is opened here: a FIFO would block for ever, and a device such as /dev/zero never ends.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from os import PathLike
from typing import IO, Protocol


class Readable(Protocol):
    """A file that is open for sequential reading."""

    def read(self, size: int, /) -> bytes:
        """Return 1 to `size` bytes; b"" only at the end of the file."""


class ChainedReader:
    """Bytes that were read already, then the rest of their file. It cannot seek."""

    def __init__(self, start: bytes, rest: Readable) -> None:
        self._start = start
        self._rest = rest

    def read(self, size: int, /) -> bytes:
        """Return 1 to `size` bytes; b"" only at the end of the file."""
        # A short read is allowed, so the two parts are never joined: that would copy the rest.
        if not self._start:
            return self._rest.read(size)
        part, self._start = self._start[:size], self._start[size:]
        return part


def open_regular_file(path: str | PathLike[str]) -> IO[bytes]:
    """Open a regular file, or a link to one, for reading. Raises OSError, for FIFOs, devices and folders too."""
    _check_regular(os.stat(path), path)  # noqa: PTH116 - before it is opened: opening a device may have effects
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    try:
        _check_regular(os.fstat(file.fileno()), path)  # the path may have become another file meanwhile
    except OSError:
        file.close()
        raise
    return file


def read_regular_file(path: str | PathLike[str], limit_bytes: int) -> bytes:
    """Return the content of a regular file. Raises OSError, also if it has more than `limit_bytes`."""
    with open_regular_file(path) as file:
        # Python allocates as many bytes as are asked for, which takes longer than to read a small file.
        size = min(os.fstat(file.fileno()).st_size, limit_bytes)
        content = file.read(size + 1)
        if len(content) > size:  # the file has grown, or has no size, as those in /proc
            content += file.read(limit_bytes + 1 - len(content))
    if len(content) > limit_bytes:
        raise OSError(errno.EFBIG, f"larger than {limit_bytes} bytes", os.fspath(path))
    return content


def file_sha256(path: str | PathLike[str]) -> bytes:
    """Return the SHA-256 of a regular file of any size. Raises OSError."""
    digest = hashlib.sha256()
    with open_regular_file(path) as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.digest()


def _check_regular(status: os.stat_result, path: str | PathLike[str]) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
