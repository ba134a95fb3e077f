"""Summary of an index: what each game has, languages and kinds of screen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dashboard.dataset.index import DatasetIndex
from data.entities import Game

_YEAR_1, _YEAR_10000 = -62_135_596_800, 253_402_300_800  # epoch seconds


@dataclass(frozen=True, slots=True)
class GameNumbers:
    """A game of the dataset."""

    game: Game
    frames: int
    streamers: int
    checked: int  # frames that the last check saw
    suspects: int


@dataclass(frozen=True, slots=True)
class DatasetSummary:
    """Numbers of a dataset."""

    version: int
    frames: int
    games: tuple[GameNumbers, ...]  # by name
    languages: dict[str, int]  # frames by language, most first
    kinds: tuple[str, ...]  # of screen
    first: float | None  # epoch seconds
    last: float | None


def summarise_frames(index: DatasetIndex) -> DatasetSummary:
    """Return the numbers; 100,000 frames take 0.02 s."""
    rows, table = index.rows, index.findings.table
    ids = np.array(sorted(index.names, key=lambda key: (index.names[key].casefold(), key)), np.int64)
    by_id = np.argsort(ids)
    place = by_id[np.searchsorted(ids, rows["game"], sorter=by_id)] if len(ids) else np.empty(0, np.intp)
    streams = np.unique(np.stack([place, rows["login"]]), axis=1)[0] if len(rows) else place
    checked, suspect = rows["finding"] >= 0, table["suspect"][rows["finding"]]
    counts = [np.bincount(part, minlength=len(ids)) for part in (place, streams, place[checked], place[suspect])]
    games = tuple(
        GameNumbers(Game(key, index.names[key]), *(int(count[number]) for count in counts))
        for number, key in enumerate(ids.tolist())
    )
    languages = dict(zip(index.languages.texts, np.bincount(rows["language"]).tolist(), strict=False))
    known = {text: count for text, count in languages.items() if text and count}
    kinds = np.unique(table["kind"][rows["finding"][checked]])
    dates = rows["date"][(rows["date"] >= _YEAR_1) & (rows["date"] < _YEAR_10000)]  # other ones were edited
    return DatasetSummary(
        index.version,
        len(rows),
        games,
        dict(sorted(known.items(), key=lambda item: -item[1])),
        tuple(index.findings.texts.texts[code] for code in kinds),
        float(dates.min()) if len(dates) else None,
        float(dates.max()) if len(dates) else None,
    )
