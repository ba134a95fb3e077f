"""Survey results: an index of the JSON lines that a survey writes, which grows with the file.

The events themselves stay in the file: an index of 5,000 results takes some 3 MB.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

from data.storage.folder_errors import folder_errors

Outcome = Literal["known", "unknown", "failed"]
Sort = Literal["order", "source", "game", "score", "confidence", "category", "mismatch", "time"]
_MAX_ROWS = 200_000
_MAX_LINE = 65536  # bytes


class _Row(NamedTuple):
    """What filters and orders need of a result, and where it stands in the file."""

    place: int
    length: int
    outcome: Outcome
    game_id: str | None
    text: str  # lower case: source, game, category, message
    order: int
    source: str
    game: str
    score: float | None
    confidence: float | None
    category: str
    mismatch: bool | None
    time: str


@dataclass(frozen=True, slots=True)
class ResultQuery:
    """Which results, in which order."""

    q: str = ""
    games: Sequence[str] = ()  # ids
    outcomes: Sequence[Outcome] = ()
    mismatch: bool | None = None
    sort: Sort = "order"
    descending: bool = False

    def matches(self, row: _Row) -> bool:
        """Return whether a result passes the filter."""
        return (
            (not self.q or self.q in row.text)
            and (not self.games or row.game_id in self.games)
            and (not self.outcomes or row.outcome in self.outcomes)
            and (self.mismatch is None or row.mismatch is self.mismatch)
        )

    def sorted(self, rows: Iterable[_Row]) -> list[_Row]:
        """Return the rows in order; those without a value come last in both directions."""
        values = [(getattr(row, self.sort), row) for row in rows]
        present = [each for each in values if each[0] not in (None, "")]
        present.sort(key=lambda each: each[0].lower() if isinstance(each[0], str) else each[0], reverse=self.descending)
        return [row for _, row in present] + [row for value, row in values if value in (None, "")]


@dataclass
class GameCount:
    """Streams of a survey that show a game, and how many of them declare another one."""

    name: str
    streams: int = 0
    mismatches: int = 0


@dataclass
class SurveyCounts:
    """Counts of a survey's results."""

    outcomes: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    games: dict[int, GameCount] = field(default_factory=dict)
    frames: int = 0
    compared: int = 0
    mismatches: int = 0

    def add(self, event: dict[str, Any]) -> None:
        """Count a verdict or failure."""
        self.outcomes[_outcome(event)] += 1
        if event["event"] == "failure":
            self.failures[event["reason"]] += 1
            return
        self.frames += event["frames"]
        self.compared += event["mismatch"] is not None
        self.mismatches += event["mismatch"] is True
        if game := event["game"]:
            count = self.games.setdefault(game["id"], GameCount(game["name"]))
            count.streams += 1
            count.mismatches += event["mismatch"] is True


class SurveyResults:
    """The results in one file, as far as they were written at the last `update`. Thread-safe."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._end = 0
        self._rows: list[_Row] = []
        self._lock = threading.Lock()
        self.counts = SurveyCounts()

    def update(self) -> SurveyResults:
        """Read the lines that are new."""
        with self._lock, suppress(FileNotFoundError), self._path.open("rb") as file:
            file.seek(self._end)
            while (
                len(self._rows) < _MAX_ROWS
                and (line := file.readline(_MAX_LINE))
                and (line.endswith(b"\n") or len(line) == _MAX_LINE)
            ):
                with suppress(ValueError, KeyError, TypeError, RecursionError):  # of a disk that was full
                    event = json.loads(line)
                    row = _to_row(event, self._end, len(line), len(self._rows))
                    self.counts.add(event)
                    self._rows.append(row)
                self._end += len(line)
        return self

    def __len__(self) -> int:
        return len(self._rows)

    def find(self, query: ResultQuery, offset: int, limit: int) -> tuple[int, list[dict[str, Any]]]:
        """Return the number of results that match, and the events of a part of them, in order. Raises FolderError."""
        found = query.sorted(row for row in self._rows.copy() if query.matches(row))
        part = found[offset : offset + limit]
        if not part:
            return len(found), []
        with folder_errors(self._path), self._path.open("rb") as file:
            return len(found), [_read(file, row) for row in part]

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield all events in the order of the file. Raises FolderError."""
        rows = self._rows.copy()
        with folder_errors(self._path), self._path.open("rb") as file:
            yield from (_read(file, row) for row in rows)


def count_results(path: Path) -> int:
    """Return the number of complete lines of a survey's file."""
    with suppress(FileNotFoundError), path.open("rb") as file:
        return sum(part.count(b"\n") for part in iter(partial(file.read, 1 << 20), b""))
    return 0


def _read(file: BinaryIO, row: _Row) -> dict[str, Any]:
    file.seek(row.place)
    event = json.loads(file.read(row.length))
    assert isinstance(event, dict)
    return event


def _outcome(event: dict[str, Any]) -> Outcome:
    return "failed" if event["event"] == "failure" else "known" if event["known"] else "unknown"


def _to_row(event: dict[str, Any], place: int, length: int, order: int) -> _Row:
    """Return the index entry of an event. Raises KeyError, TypeError: it is no verdict and no failure."""
    failed = event["event"] == "failure"
    game, category = (None, None) if failed else (event["game"], event["category"])
    names = [each["name"] if each else "" for each in (game, category)]
    texts = (event["source"], *names, event["message"] if failed else "")
    return _Row(
        place=place,
        length=length,
        outcome=_outcome(event),
        game_id=str(game["id"]) if game else None,
        text="\n".join(texts).lower(),
        order=order,
        source=event["source"],
        game=names[0],
        score=None if failed else event["score"],
        confidence=None if failed else event["confidence"],
        category=names[1],
        mismatch=None if failed else event["mismatch"],
        time=event["time"],
    )
