"""Suspects: the numbers of the last check of the dataset, from the file check.csv that model.check writes."""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import dataclass

from data.entities import StoredFrame
from data.errors import FolderError
from data.storage.frame_store import FrameStore
from data.storage.layout import CHECK_FILE
from data.text import printable


@dataclass(frozen=True, slots=True)
class SuspectCount:
    """Numbers of a game."""

    checked: int = 0  # frames
    suspects: int = 0  # frames of these that look as if they belonged elsewhere, and are still there


def count_suspects(store: FrameStore) -> dict[int, SuspectCount] | None:
    """Return the numbers by game id; None if the dataset was never checked. 100,000 frames take about 0.3 s.

    Raises FolderError: the file cannot be read, or is damaged.
    """
    content = store.read_report(CHECK_FILE)
    if content is None:
        return None
    try:
        rows = csv.reader(io.StringIO(content.decode()))
        header = next(rows, [])
        path_column, suspect_column = map(header.index, ("path", "suspect"))
        findings = [(row[path_column], row[suspect_column]) for row in rows]
        checked = Counter(path.partition("/")[0] for path, _ in findings)
        suspects = [StoredFrame.parse(path) for path, suspect in findings if suspect == "yes"]
        # A suspect that was moved or deleted since is none any more.
        times = store.files.each(store.modified_at, suspects)
        present = Counter(frame.game_id for frame, time in zip(suspects, times, strict=True) if time is not None)
        return {int(game_id): SuspectCount(count, present[int(game_id)]) for game_id, count in checked.items()}
    except (ValueError, IndexError, csv.Error) as error:
        path = printable(f"{store.location}/{CHECK_FILE}")
        raise FolderError(f"{path} is damaged: check again (python -m model.check), or delete it.") from error
