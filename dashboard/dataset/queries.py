"""Queries: which frames of an index, in which order. The positions of the latest queries are kept for their windows."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from dashboard.dataset.codes import Codes
from dashboard.dataset.index import DatasetIndex

Sort = Literal["stream", "time", "streamer", "suspicion", "likeness"]
_KEPT = 8  # queries: 100,000 positions take 400 kB


@dataclass(frozen=True, slots=True)
class FrameCriteria:
    """Which frames match: those that fit every field that is not empty."""

    games: frozenset[int] = frozenset()
    logins: frozenset[str] = frozenset()
    languages: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()
    suggested: frozenset[int] = frozenset()  # games that the last check suggests
    suspect: bool | None = None
    min_suspicion: float = 0.0
    since: float | None = None  # epoch seconds
    until: float | None = None  # epoch seconds, not included
    login_part: str = ""

    def mask(self, index: DatasetIndex) -> np.ndarray:
        """Return whether each frame matches, bool (n,)."""
        mask = np.ones(len(index), bool)
        for condition in (*self._of_rows(index), *self._of_findings(index)):
            mask &= condition
        return mask

    def _of_rows(self, index: DatasetIndex) -> Iterator[np.ndarray]:
        rows = index.rows
        if self.games:
            yield np.isin(rows["game"], list(self.games))
        if self.logins:
            yield _has_text(rows["login"], index.logins, self.logins.__contains__)
        if self.login_part:
            yield _has_text(rows["login"], index.logins, lambda login: self.login_part in login)
        if self.languages:
            yield _has_text(rows["language"], index.languages, self.languages.__contains__)
        if self.since is not None:
            yield rows["date"] >= self.since
        if self.until is not None:
            yield rows["date"] < self.until

    def _of_findings(self, index: DatasetIndex) -> Iterator[np.ndarray]:
        table, finding = index.findings.table, index.rows["finding"]
        if self.kinds:
            yield _has_text(table["kind"], index.findings.texts, self.kinds.__contains__)[finding]
        if self.suggested:
            yield np.isin(table["suggested"], list(self.suggested))[finding]
        if self.suspect is not None:
            yield table["suspect"][finding] == self.suspect
        if self.min_suspicion > 0:
            yield table["suspicion"][finding] >= self.min_suspicion  # false for NaN: not checked


@dataclass(frozen=True, slots=True)
class FrameQuery:
    """A filter and an order. `like`: the hash of the frame that others are compared with, for sort=likeness."""

    filter: FrameCriteria = FrameCriteria()
    sort: Sort = "stream"
    descending: bool = False
    like: bytes = b""


class QueryCache:
    """The ordered positions of the latest queries."""

    def __init__(self, similarities: Callable[[DatasetIndex, bytes], np.ndarray]) -> None:
        self._similarities = similarities
        self._kept: OrderedDict[tuple[int, FrameQuery], np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def positions(self, index: DatasetIndex, query: FrameQuery) -> np.ndarray:
        """Return the positions of the frames that match, in order, int32 (m,)."""
        key = index.version, query
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        positions = self._order(index, query)
        with self._lock:
            self._kept[key] = positions
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return positions

    def _order(self, index: DatasetIndex, query: FrameQuery) -> np.ndarray:
        positions = np.flatnonzero(query.filter.mask(index)).astype(np.int32)
        if query.sort == "stream":
            return positions[::-1] if query.descending else positions
        values = self._values(index, query)[positions]
        values = np.where(np.isnan(values), np.inf, -values if query.descending else values)  # unknown ones are last
        return positions[np.argsort(values, kind="stable")]

    def _values(self, index: DatasetIndex, query: FrameQuery) -> np.ndarray:
        """Return what the frames are sorted by, float (n,)."""
        rows = index.rows
        if query.sort == "time":
            return rows["date"]
        if query.sort == "streamer":
            return index.logins.ranks()[rows["login"]].astype(float)
        if query.sort == "suspicion":
            return index.findings.table["suspicion"][rows["finding"]]
        return -self._similarities(index, query.like)


@dataclass(frozen=True, slots=True)
class StreamRun:
    """Frames of one stream that follow each other in an order."""

    start: int  # place of the first one
    count: int
    suspicion: float  # of the stream; NaN: not checked


def groups(index: DatasetIndex, positions: np.ndarray) -> list[StreamRun]:
    """Return the runs of frames of one stream."""
    if not len(positions):
        return []
    games, logins = index.rows["game"][positions], index.rows["login"][positions]
    starts = np.flatnonzero(np.r_[True, (np.diff(games) != 0) | (np.diff(logins) != 0)])
    suspicions = index.findings.table["stream_suspicion"][index.rows["finding"][positions]]
    highest = np.fmax.reduceat(suspicions, starts)
    counts = np.diff(np.r_[starts, len(positions)])
    return [StreamRun(*values) for values in zip(starts.tolist(), counts.tolist(), highest.tolist(), strict=True)]


def _has_text(codes: np.ndarray, texts: Codes, accept: Callable[[str], bool]) -> np.ndarray:
    """Return for each code whether its text is accepted, bool (n,)."""
    return np.array([accept(text) for text in texts.texts], bool)[codes]
