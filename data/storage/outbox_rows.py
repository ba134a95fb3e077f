"""Erasure of streamers from the outbox, a SQLite file in which a watch keeps alerts until they are delivered.

`recognition.outputs.outbox.store` makes the file and says what is in its tables. A source is a login or an address.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from data.errors import FolderError
from data.text import printable

_LOCK_WAIT_S = 0.5


def erase_alerts(path: Path, is_theirs: Callable[[str], bool], *, dry_run: bool = False) -> int:
    """Remove the alerts of some sources, and what was reported of them; return how many. Raises FolderError.

    is_theirs: whether to remove those of this source. dry_run: only count.
    """
    try:
        if not path.exists():
            return 0
        with closing(sqlite3.connect(path, timeout=_LOCK_WAIT_S)) as connection:
            return _erase(connection, is_theirs, dry_run)
    except sqlite3.Error as error:
        in_use = "a watch uses it; end the watch, and repeat the command"
        reason = in_use if "locked" in str(error) else str(error)
        raise FolderError(f"Cannot remove alerts from {printable(str(path))}: {reason}") from error
    except OSError as error:
        raise FolderError(f"Cannot remove alerts from {printable(str(path))}: {error}") from error


def _erase(connection: sqlite3.Connection, is_theirs: Callable[[str], bool], dry_run: bool) -> int:
    rows = connection.execute("select number, body from alerts")
    alerts = [(number,) for number, body in rows if is_theirs(_source(body))]
    sources = [(key,) for (key,) in connection.execute("select source from reported") if is_theirs(_text(key))]
    if dry_run or not (alerts or sources):
        return len(alerts) + len(sources)
    with connection:
        connection.executemany("delete from deliveries where alert = ?", alerts)
        connection.executemany("delete from alerts where number = ?", alerts)
        connection.executemany("delete from reported where source = ?", sources)
    connection.execute("vacuum")  # the file keeps deleted bytes until then, also those of delivered alerts
    connection.execute("pragma wal_checkpoint(truncate)")
    return len(alerts) + len(sources)


def _source(body: Any) -> str:
    """Return the source in the JSON of an alert; "" if somebody edited it."""
    try:
        return str(json.loads(body)["source"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return ""


def _text(key: Any) -> str:
    return key.decode("utf-8", "replace") if isinstance(key, bytes) else ""
