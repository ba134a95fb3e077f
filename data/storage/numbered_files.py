"""Numbered files of a login's frames in a game's folder: written all or none, and never in place of another file.

Their lines in the manifest come first: a process that is killed in between leaves a line without a file, which readers
ignore, and never a file whose details are lost.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from data.atomic import folder_lock, publish, temporary_files

_FRAME = re.compile(r"([a-z0-9_]{1,25})-([1-9][0-9]{0,16})\.jpg", re.ASCII)


def write_numbered(
    folder: Path,
    login: str,
    jpegs: Sequence[bytes],
    describe: Callable[[Sequence[int]], None],
    wanted: Sequence[int] = (),
) -> list[int]:
    """Write each of `jpegs` as the login's next frame in `folder`, all or none; return the numbers. Raises OSError.

    describe: adds the lines of the files with these numbers to the manifest, in the order of `jpegs`.
    wanted: numbers for the files; one that is taken is counted up until one is free.
    """
    folder.mkdir(parents=True, exist_ok=True)
    numbers: list[int] = []
    tried: list[tuple[Path, os.stat_result]] = []  # a final path, and the file that was about to get it
    try:
        # All bytes are on the disk before the first file gets its name: a full disk leaves no trace.
        with temporary_files(folder, jpegs) as temporaries, folder_lock(folder):
            first = _last_number(folder, login) + 1
            planned = list(wanted) or list(range(first, first + len(jpegs)))
            describe(planned)
            for temporary, number in zip(temporaries, planned, strict=True):
                numbers.append(_publish(temporary, folder, login, number, tried))
            if numbers != planned:  # a wanted number is taken, or a user copied files there meanwhile
                describe(numbers)
    except BaseException:  # KeyboardInterrupt too, at any moment, must leave all files or none
        for path, file in tried:
            with contextlib.suppress(OSError):
                found = path.lstat()
                if (found.st_dev, found.st_ino, found.st_mtime_ns) == (file.st_dev, file.st_ino, file.st_mtime_ns):
                    path.unlink()  # and not another download's file that had this name first
        raise
    return numbers


def _publish(temporary: Path, folder: Path, login: str, number: int, tried: list[tuple[Path, os.stat_result]]) -> int:
    """Give the file its final name with the first free number from `number` on; return that number.

    Each name is added to `tried` before it is tried.
    """
    file = temporary.lstat()
    while True:
        final = folder / f"{login}-{number}.jpg"
        tried.append((final, file))
        with contextlib.suppress(FileExistsError):  # another download has just taken this number
            publish(temporary, final)
            return number
        number += 1


def _last_number(folder: Path, login: str) -> int:
    """Return the largest number among the login's frames in this game's folder; 0 without frames. Raises OSError."""
    with os.scandir(folder) as entries:
        return largest_numbers(entry.name for entry in entries).get(login, 0)


def largest_numbers(names: Iterable[str]) -> dict[str, int]:
    """Return the largest number by login among the names of files.

    Numbers of 18 digits, which nobody reaches, do not count: the next one would have 19, which is no frame's name.
    """
    numbers: dict[str, int] = {}
    for match in filter(None, map(_FRAME.fullmatch, names)):
        numbers[match[1]] = max(int(match[2]), numbers.get(match[1], 0))
    return numbers
