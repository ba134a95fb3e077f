"""Progress display of a download: frames per game, speed, streams tried and failed, frames rejected by reason."""

from __future__ import annotations

import time
from collections import Counter

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.table import Table
from rich.text import Text

from data.collection.state import CollectionStats
from data.text import plural

_MAX_GAMES = 30  # rows that fit on a usual terminal


class ProgressDisplay:
    """A rich renderable that shows the current `stats` for `rich.live.Live`; `hint` says how to stop the download."""

    def __init__(self, stats: CollectionStats, hint: str) -> None:
        self._stats = stats
        self._hint = hint
        self._started_at = time.monotonic()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = Table("Game", "Frames", box=None, padding=(0, 2))
        for name, frames in self._stats.frames.most_common(_MAX_GAMES):
            table.add_row(Text(name), str(frames))  # Text: a name with [brackets] is no markup
        yield Group(table, Text(self.status()), Text(self._hint, style="dim"))

    def status(self) -> str:
        """Return one line: frames, frames per second, streams tried, failures, rejected frames, current status."""
        return f"{self._speed('')}, {summary(self._stats)} · {self._stats.status}"

    def totals(self) -> str:
        """Return the line that ends a run."""
        games = len(+self._stats.frames)  # unary plus drops games with a count of 0
        return f"Downloaded {self._speed(f' of {games} games')}; {summary(self._stats)}."

    def _speed(self, games: str) -> str:
        total, seconds = self._stats.total, time.monotonic() - self._started_at
        return f"{total} frames{games} in {seconds:.0f} s ({total / max(seconds, 1e-9):.2f} a second)"


def summary(stats: CollectionStats) -> str:
    """Return text such as "24 streams tried, 3 failed (2 offline, 1 only ads); 5 frames rejected (5 frozen)"."""
    parts = [f"{stats.streams} streams tried, {stats.failures.total()} failed{_reasons(stats.failures)}"]
    if stats.rejected:
        parts.append(f"{plural(stats.rejected.total(), 'frame')} rejected{_reasons(stats.rejected)}")
    if stats.over_quota:
        parts.append(f"{plural(len(stats.over_quota), 'streamer')} over quota")
    return "; ".join(parts)


def _reasons(counter: Counter[str]) -> str:
    reasons = ", ".join(f"{count} {reason}" for reason, count in counter.most_common())
    return f" ({reasons})" if reasons else ""
