"""Survey statistics: counts of games, failures and mismatches, and their text."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator

from data.entities import Game
from data.text import plural
from recognition.events import Result, SourceFailed

_MAX_MISMATCHES = 20  # listed in the summary; the outputs contain all of them


class SurveyStats:
    """Count the results of a survey, which begins now. `clock`: monotonic time, seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._start = clock()
        self._games: Counter[Game] = Counter()  # of known verdicts
        self._failures: Counter[str] = Counter()  # by reason
        self._unknown = 0  # verdicts
        self._previews = 0  # verdicts that needed only the preview image
        self._frames = 0  # classified, previews included
        self._mismatches = 0  # known verdicts of another game than the category
        self._mismatch_lines: list[str] = []

    def add(self, result: Result) -> None:
        """Count one result."""
        if isinstance(result, SourceFailed):
            self._failures[result.error.reason] += 1
            return
        self._frames += result.verdict.frames
        self._previews += result.from_preview
        if not result.verdict.known:
            self._unknown += 1
            return
        game = result.verdict.game
        self._games[game] += 1
        if result.mismatch and result.category:
            self._mismatches += 1
            if len(self._mismatch_lines) < _MAX_MISMATCHES:
                self._mismatch_lines.append(f"{result.source} shows {game.name}, not {result.category.name}")

    @property
    def total(self) -> int:
        """Return the number of results."""
        return self._games.total() + self._unknown + self._failures.total()

    def status(self) -> str:
        """Return one line: 200 streams, 292 a minute: 180 known, 3 unknown, 17 failed (12 offline, 5 only ads)."""
        per_minute = 60 * self.total / max(self._clock() - self._start, 1e-9)
        reasons = ", ".join(f"{count} {reason}" for reason, count in self._failures.most_common())
        return (
            f"{plural(self.total, 'stream')}, {per_minute:.0f} a minute: {self._games.total()} known, "
            f"{self._unknown} unknown, {self._failures.total()} failed{f' ({reasons})' if reasons else ''}"
        )

    def summary(self) -> Iterator[str]:
        """Yield the lines for the end: the status, then the games by frequency, then the mismatches."""
        seconds = self._clock() - self._start
        from_previews = f", {self._previews} from previews only" if self._previews else ""
        yield f"{self.status()}; {plural(self._frames, 'frame')} in {seconds:.0f} s{from_previews}"
        if self._games:
            yield ", ".join(f"{game.name} {count}" for game, count in self._games.most_common())
        if self._mismatches:
            more = self._mismatches - len(self._mismatch_lines)
            lines = "; ".join(self._mismatch_lines) + (f"; and {more} more" if more else "")
            yield f"{plural(self._mismatches, 'stream')} in another category: {lines}"
