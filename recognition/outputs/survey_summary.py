"""Survey statistics: counts of games, failures and mismatches, and their text. Standard library only."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from data.text import plural
from recognition.events import SourceFailed, VerdictReached

if TYPE_CHECKING:
    from data.entities import Game

_MAX_MISMATCHES = 20  # listed in the summary; the outputs contain all of them


class SurveyStats:
    """Count the results of a survey.

    Args:
        clock: monotonic time, seconds; the survey begins now.

    Attributes:
        games: known verdicts by game.
        failures: failures by reason.
        unknown, mismatches, previews: verdicts that are unknown, contradict the category, or need only the preview.
        frames: classified frames, previews included.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._start = clock()
        self._mismatch_lines: list[str] = []
        self.games: Counter[Game] = Counter()
        self.failures: Counter[str] = Counter()
        self.unknown = 0
        self.mismatches = 0
        self.previews = 0
        self.frames = 0

    def add(self, result: VerdictReached | SourceFailed) -> None:
        """Count one result."""
        if isinstance(result, SourceFailed):
            self.failures[result.error.reason] += 1
            return
        self.frames += result.verdict.frames
        self.previews += result.from_preview
        if not result.verdict.known:
            self.unknown += 1
            return
        game = result.verdict.game
        self.games[game] += 1
        if result.mismatch and result.category:
            self.mismatches += 1
            if len(self._mismatch_lines) < _MAX_MISMATCHES:
                self._mismatch_lines.append(f"{result.source} shows {game.name}, not {result.category.name}")

    @property
    def known(self) -> int:
        """Return the number of verdicts that name a game."""
        return sum(self.games.values())

    @property
    def total(self) -> int:
        """Return the number of results."""
        return self.known + self.unknown + sum(self.failures.values())

    @property
    def per_minute(self) -> float:
        """Return the average number of results a minute since the start."""
        return 60 * self.total / max(self._clock() - self._start, 1e-9)

    def status(self) -> str:
        """Return one line: 200 streams, 292 a minute: 180 known, 3 unknown, 17 failed (12 offline, 5 only ads)."""
        failed = sum(self.failures.values())
        reasons = ", ".join(f"{count} {reason}" for reason, count in self.failures.most_common())
        return (
            f"{plural(self.total, 'stream')}, {self.per_minute:.0f} a minute: "
            f"{self.known} known, {self.unknown} unknown, {failed} failed{f' ({reasons})' if reasons else ''}"
        )

    def summary(self) -> Iterator[str]:
        """Yield the lines for the end: the status, then the games by frequency, then the mismatches."""
        seconds = self._clock() - self._start
        from_previews = f", {self.previews} from previews only" if self.previews else ""
        yield f"{self.status()}; {plural(self.frames, 'frame')} in {seconds:.0f} s{from_previews}"
        if self.games:
            yield ", ".join(f"{game.name} {count}" for game, count in self.games.most_common())
        if self.mismatches:
            more = self.mismatches - len(self._mismatch_lines)
            lines = "; ".join(self._mismatch_lines) + (f"; and {more} more" if more else "")
            yield f"{plural(self.mismatches, 'stream')} in another category: {lines}"
