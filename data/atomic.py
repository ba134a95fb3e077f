"""Atomic file writes: write to a hidden temporary file in the same folder, then link or rename it into place.

A temporary file's name is `.<pid>-<random>.tmp`. A process that is killed leaves only such files behind, and the
pid in the name tells whether the writer still runs.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import math
import os
import re
import secrets
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

_TEMPORARY = re.compile(r"\.([0-9]{1,9})-[0-9a-f]{16}\.tmp", re.ASCII)
_STALE_AFTER_S = 3600
_LOCK_INTERVAL_S = 0.02  # between two attempts to get a lock
_HARDLINK_UNSUPPORTED = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}


@contextlib.contextmanager
def temporary_files(folder: Path, contents: Sequence[bytes]) -> Iterator[list[Path]]:
    """Write each of `contents` to a temporary file in `folder`; yield the paths in the same order.

    The files are on the disk before the block begins, and those still there at its end are removed. Raises OSError.
    """
    paths = [folder / f".{os.getpid()}-{secrets.token_hex(8)}.tmp" for _ in contents]
    try:
        for path, content in zip(paths, contents, strict=True):
            path.write_bytes(content)
            flush_to_disk(path)  # rows name these files: a power cut could leave rows of empty images
        yield paths
    finally:
        try:
            _remove(paths)
        except BaseException:  # KeyboardInterrupt: the rest goes, too
            _remove(paths)
            raise


def _remove(paths: Sequence[Path]) -> None:
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_file(final: Path) -> Iterator[Path]:
    """Yield a temporary path to write to; when the block succeeds, let that file replace `final`. Raises OSError."""
    with temporary_files(final.parent, [b""]) as (temporary,):
        yield temporary
        flush_to_disk(temporary)
        temporary.replace(final)


def flush_to_disk(path: Path) -> None:
    """Force the content of the file `path` to the disk. Raises OSError."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def publish(temporary: Path, final: Path) -> None:
    """Give the file the name `final`, never in place of another. Raises FileExistsError for a taken name, OSError."""
    try:
        os.link(temporary, final)  # unlike rename(2), link(2) refuses a name that is taken
    except OSError as error:
        if error.errno not in _HARDLINK_UNSUPPORTED:
            raise
        # FAT and some network drives have no hard links. Another process can take the name between these two lines.
        # Reserving the name first would be worse: a kill there would leave an empty file.
        if final.exists():
            raise FileExistsError(errno.EEXIST, "taken", str(final)) from error
        temporary.rename(final)


def is_temporary(path: Path) -> bool:
    """Return whether the file's name is that of a temporary file."""
    return _TEMPORARY.fullmatch(path.name) is not None


def is_stale(path: Path) -> bool:
    """Return whether this is a temporary file whose process is gone or that is unchanged for an hour."""
    import psutil  # on demand: most commands meet no temporary file

    match = _TEMPORARY.fullmatch(path.name)
    if match is None:
        return False
    try:
        age_s = time.time() - path.lstat().st_mtime
    except OSError:  # the file is gone by now
        return False
    # A container starts pids at 1 again: a running process may only have the pid of the one that wrote the file.
    return age_s > _STALE_AFTER_S or not psutil.pid_exists(int(match[1]))


@contextlib.contextmanager
def folder_lock(folder: Path, timeout_s: float = math.inf) -> Iterator[None]:
    """Hold the exclusive lock of `folder`; wait for it first. Raises OSError; TimeoutError after `timeout_s`."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        end = time.monotonic() + timeout_s
        while True:
            with contextlib.suppress(BlockingIOError):
                # The kernel frees it when the process dies, even by SIGKILL.
                fcntl.flock(descriptor, fcntl.LOCK_EX | (fcntl.LOCK_NB if timeout_s < math.inf else 0))
                break
            if time.monotonic() > end:
                raise TimeoutError(errno.ETIMEDOUT, "locked by another process", str(folder))
            time.sleep(_LOCK_INTERVAL_S)
        yield
    finally:
        os.close(descriptor)
