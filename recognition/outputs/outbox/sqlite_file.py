"""SQLite file of one process: opened with a lock that lasts, checked, and replaced if it is damaged."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from pathlib import Path

from data.errors import FolderError
from data.text import printable

_APPLICATION_ID = 0x54436F62  # of our files, at byte 68: https://www.sqlite.org/fileformat.html
_LOCK_WAIT_S = 2.0  # a watch that ends may still hold the file
_MAGIC = b"SQLite format 3\0"
_LOG_PAGES = 64  # of 4 KiB: the log's space is used again soon, also on a disk that is full by now
_SIDE_FILES = ("", "-wal", "-shm")

log = logging.getLogger(__name__)


def open_file(path: Path, schema: str, option: str) -> sqlite3.Connection:
    """Open or create our file and lock it. Move a damaged one aside, with a warning, and create a new one.

    option: names the path in messages. Raises FolderError if the file is not ours, in use, or cannot be written,
    sqlite3.OperationalError if the disk is full or fails.
    """
    shown = printable(str(path))
    try:
        is_ours = _is_ours(path)
        try:
            return _opened(path, schema)
        except sqlite3.DatabaseError as error:
            if not is_ours or isinstance(error, sqlite3.OperationalError):  # locked, read-only, the disk is full
                raise
            aside = _move_aside(path)
            log.warning("%s is damaged (%s): it is now %s, its alerts are lost", shown, error, printable(str(aside)))
            return _opened(path, schema)
    except sqlite3.Error as error:
        if "disk" in str(error):  # "database or disk is full", "disk I/O error"
            raise
        if "locked" in str(error):
            reason, advice = "another watch uses it", "choose another file"
        else:
            reason, advice = str(error), "choose a file that you can write to"
        raise FolderError(f"{option}: cannot use {shown}: {reason}; {advice} with --outbox") from error
    except (OSError, ValueError) as error:
        raise FolderError(f"{option}: cannot use {shown}: {error}; choose another file with --outbox") from error


def is_sound(connection: sqlite3.Connection) -> bool:
    """Return whether SQLite finds no damage in the file."""
    try:
        return connection.execute("pragma quick_check(1)").fetchall() == [("ok",)]
    except sqlite3.DatabaseError:
        return False


def _is_ours(path: Path) -> bool:
    """Return whether the file has our mark. Raises ValueError for a file of another kind: it is not ours to change."""
    if not os.path.lexists(path):
        return False
    if not path.is_file():
        raise ValueError("it is not a file")
    with path.open("rb") as file:
        head = file.read(100)
    if head and not head.startswith(_MAGIC):
        raise ValueError("it is not an outbox")
    return head[68:72] == _APPLICATION_ID.to_bytes(4, "big")


def _opened(path: Path, schema: str) -> sqlite3.Connection:
    """Return the open file. Raises sqlite3.DatabaseError if it is damaged, OperationalError if it is locked."""
    connection = sqlite3.connect(path, timeout=_LOCK_WAIT_S, check_same_thread=False)
    try:
        # Before the first access: then the log needs no shared memory, and the lock lasts until the file is closed.
        connection.execute("pragma locking_mode=exclusive")
        [(application,)] = connection.execute("pragma application_id").fetchall()
        [(tables,)] = connection.execute("select count(*) from sqlite_master").fetchall()
        if application != _APPLICATION_ID and tables:
            raise ValueError("it is a database of another program")
        if application != _APPLICATION_ID:  # these write, and an old file is opened also on a full disk
            connection.execute("pragma auto_vacuum=full")
            connection.execute(f"pragma application_id={_APPLICATION_ID}")
        connection.execute("pragma journal_mode=wal")
        connection.execute("pragma synchronous=full")
        connection.execute(f"pragma wal_autocheckpoint={_LOG_PAGES}")
        if not is_sound(connection):
            raise sqlite3.DatabaseError("its pages are inconsistent")
        connection.executescript(schema)
    except BaseException:
        connection.close()
        raise
    return connection


def _move_aside(path: Path) -> Path:
    aside = path.with_name(f"{path.name}.damaged-{time.time_ns() // 10**6}")
    for suffix in _SIDE_FILES:
        file = path.with_name(path.name + suffix)
        if file.exists():
            file.rename(aside.with_name(aside.name + suffix))
    return aside
