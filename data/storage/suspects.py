"""Suspects: the numbers of the last check of the dataset, from the file check.csv that model.check writes."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from data.entities import StoredFrame
from data.errors import FolderError
from data.storage.frame_store import FrameStore

CHECK_FILE = "check.csv"
_COLUMNS = ("path", "suspect")


@dataclass(slots=True)
class SuspectCount:
    """Numbers of checked frames of a game, and of those that look as if they belonged elsewhere and are still there."""

    checked: int = 0
    suspects: int = 0


def count_suspects(store: FrameStore) -> dict[int, SuspectCount] | None:
    """Return the numbers by game id; None if the dataset was never checked. 100,000 frames take about 0.1 s.

    Raises FolderError: the file cannot be read, or is damaged.
    """
    content = store.read_report(CHECK_FILE)
    if content is None:
        return None
    counts: dict[int, SuspectCount] = {}
    root = Path(store.location)
    try:
        rows = csv.reader(io.StringIO(content.decode()))
        header = next(rows, [])
        path_column, suspect_column = map(header.index, _COLUMNS)
        for row in rows:
            path, suspect = row[path_column], row[suspect_column]
            count = counts.setdefault(int(path.partition("/")[0]), SuspectCount())
            count.checked += 1
            # A suspect that was moved or deleted since is none any more.
            count.suspects += suspect == "yes" and (root / StoredFrame.parse(path).path).is_file()
    except (ValueError, IndexError, csv.Error) as error:
        raise FolderError(
            f"{root / CHECK_FILE} is damaged: check again (python -m model.check), or delete it."
        ) from error
    return counts
