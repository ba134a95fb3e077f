"""What came of a survey, in numbers and words. Standard library only."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from recognition.events import SourceFailed, VerdictReached

if TYPE_CHECKING:
    from data.entities import Game

_MOST_NAMED = 20  # mismatches that the summary names: the outputs have them all


class SurveyStats:
    """Counts results. `games`: of the known answers, by game; `failures`: by reason."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: seconds that only grow."""
        self._clock = clock
        self._start = clock()
        self._named: list[str] = []
        self.games: Counter[Game] = Counter()
        self.failures: Counter[str] = Counter()
        self.unknown = 0
        self.mismatches = 0
        self.previews = 0
        self.frames = 0

    def count(self, result: VerdictReached | SourceFailed) -> None:
        """Take it in."""
        if isinstance(result, SourceFailed):
            self.failures[result.error.reason] += 1
            return
        self.frames += result.verdict.frames
        self.previews += result.from_preview
        if not result.verdict.known:
            self.unknown += 1
            return
        self.games[result.verdict.game] += 1
        if result.mismatch and result.category:
            self.mismatches += 1
            if len(self._named) < _MOST_NAMED:
                self._named.append(f"{result.source} shows {result.verdict.game.name}, not {result.category.name}")

    @property
    def known(self) -> int:
        """How many of the answers name a game."""
        return sum(self.games.values())

    @property
    def sources(self) -> int:
        """How many had their turn."""
        return self.known + self.unknown + sum(self.failures.values())

    @property
    def per_minute(self) -> float:
        """How many sources a minute had their turn so far."""
        return 60 * self.sources / max(self._clock() - self._start, 1e-9)

    def status(self) -> str:
        """For example: 200 streams, 292 a minute: 180 known, 3 unknown, 17 failed (12 offline, 5 only ads)."""
        failed = sum(self.failures.values())
        reasons = ", ".join(f"{count} {reason}" for reason, count in self.failures.most_common())
        return (
            f"{_number(self.sources, 'stream')}, {self.per_minute:.0f} a minute: "
            f"{self.known} known, {self.unknown} unknown, {failed} failed{f' ({reasons})' if reasons else ''}"
        )

    def summary(self) -> Iterator[str]:
        """The lines for the end."""
        seconds = self._clock() - self._start
        by_preview = f", {self.previews} by their previews alone" if self.previews else ""
        yield f"{self.status()}; {_number(self.frames, 'frame')} in {seconds:.0f} s{by_preview}"
        if self.games:
            yield ", ".join(f"{game.name} {count}" for game, count in self.games.most_common())
        if self.mismatches:
            more = self.mismatches - len(self._named)
            named = "; ".join(self._named) + (f"; and {more} more" if more else "")
            yield f"{_number(self.mismatches, 'stream')} under another category: {named}"


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
