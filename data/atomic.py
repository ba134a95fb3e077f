"""Files that appear complete or not at all: written under a hidden name, then given their own.

The hidden name is `.<pid>-<random>.tmp`, in the same folder, so that giving a name never copies. A process
that is killed leaves hidden files only, and the pid in their names tells whose they were.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import secrets
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

_TEMPORARY = re.compile(r"\.([0-9]{1,9})-[0-9a-f]{16}\.tmp", re.ASCII)
_OLD_S = 3600
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}


@contextlib.contextmanager
def written(folder: Path, contents: Sequence[bytes]) -> Iterator[list[Path]]:
    """Hidden files in `folder` that hold `contents`, in that order; whatever is left of them is removed at the end.

    They are forced to the disk, since the rows that will name them are: otherwise a power cut could leave
    rows of empty pictures. It costs about half a millisecond a file on an SSD. Raises OSError.
    """
    paths: list[Path] = []
    try:
        for content in contents:
            paths.append(folder / f".{os.getpid()}-{secrets.token_hex(8)}.tmp")
            with paths[-1].open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        yield paths
    finally:
        for path in paths:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


def place(temporary: Path, final: Path) -> None:
    """Let `final` be that file. Raises FileExistsError where the name is taken, OSError."""
    try:
        os.link(temporary, final)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # FAT and some network drives have no links. Between these two lines another process could take the
        # name; reserving it first would leave an empty file if we were killed there, which is worse.
        if final.exists():
            raise FileExistsError(errno.EEXIST, "taken", str(final)) from error
        temporary.rename(final)


def is_temporary(path: Path) -> bool:
    """Whether this is one of the hidden files, by its name."""
    return _TEMPORARY.fullmatch(path.name) is not None


def abandoned(path: Path) -> bool:
    """Whether this is a hidden file whose writer is gone: no such process, or an hour without an end."""
    match = _TEMPORARY.fullmatch(path.name)
    if match is None:
        return False
    try:
        if time.time() - path.lstat().st_mtime > _OLD_S:
            return True
        os.kill(int(match[1]), 0)
    except ProcessLookupError:
        return True
    except OSError:  # the file is gone by now, or the process is somebody else's
        return False
    return False


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold this folder's lock; the kernel frees it when a process dies, however it does. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
