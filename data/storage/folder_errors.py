"""Errors of the dataset's folder: an OSError becomes a FolderError that names the path and says what to do."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from data.errors import FolderError
from data.text import printable

_T = TypeVar("_T")
_REPETITIONS = 20  # of a write whose folder somebody removes


def repeat_if_removed(write: Callable[[], _T]) -> _T:
    """Return the result of `write`, which creates its folder; repeat it when somebody removes the folder meanwhile."""
    for _ in range(_REPETITIONS):
        # mkdir says that the folder exists when it is removed a moment after that.
        with contextlib.suppress(FileNotFoundError, FileExistsError):
            return write()
    return write()


@contextlib.contextmanager
def folder_errors(
    path: Path | str, *, writing: bool = False, but: type[OSError] | tuple[type[OSError], ...] = ()
) -> Iterator[None]:
    """Translate an OSError in the block into a FolderError that names `path` and says what to do.

    but: errors that pass.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, but):
            raise
        advice = {
            errno.ENOSPC: "free some space",
            errno.EDQUOT: "free some of your quota",
            errno.EACCES: "change its permissions, or set DOWNLOAD_PATH to a folder of yours",
            errno.EROFS: "set DOWNLOAD_PATH to a writable folder",
            **dict.fromkeys((errno.EISDIR, errno.EINVAL, errno.ELOOP), "move it away"),  # EINVAL: not a regular file
            **dict.fromkeys(
                (errno.EEXIST, errno.ENOTDIR), "move away what is in the folder's place, or check DOWNLOAD_PATH"
            ),
        }.get(error.errno or 0, "check STORE_URL" if "://" in str(path) else "check the disk and DOWNLOAD_PATH")
        kept = "; the frames saved before are kept" if writing else ""
        raise FolderError(f"{printable(str(path))}: {error.strerror or error}: {advice}{kept}.") from error
