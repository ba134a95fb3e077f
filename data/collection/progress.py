"""Progress display of a download: speed, time left, streams tried and failed, rejected frames, and frames per game."""

from __future__ import annotations

import math
import time
from collections import Counter

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from data.collection.state import CollectionStats
from data.text import plural, printable, time_left


class ProgressDisplay:
    """A rich renderable that shows the current `stats` for `rich.live.Live`, in the height of the terminal.

    Args:
        stats: the counters, which another thread writes.
        hint: how to stop the download.
        frames, minutes: limits of the run; None: no limit.
    """

    def __init__(
        self, stats: CollectionStats, hint: str, frames: int | None = None, minutes: float | None = None
    ) -> None:
        self._stats = stats
        self._hint = hint
        self._frames = frames
        self._seconds = 60 * minutes if minutes else math.inf
        self._started_at = time.monotonic()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the status and the hint, then as many games as fit."""
        height = max(2, options.size.height - 1)  # Enter needs a line below
        status = Text(printable(self.status())).wrap(console, options.max_width)
        if len(status) > height - 1:
            status = status[: height - 1]
            status[-1] = Text.assemble(status[-1].plain.ljust(options.max_width)[:-1], "…")
        yield from status
        yield Text(self._hint, style="dim", no_wrap=True, overflow="ellipsis")
        # most_common(n) would iterate in Python, while the other thread may add a game.
        games, rows = self._stats.frames.most_common(), height - len(status) - 2  # less the hint and the header
        shown = len(games) if len(games) <= rows else max(0, rows - 1)
        if shown:
            yield _table(games[:shown])
        if rows > 0 and shown < len(games):
            yield Text(f"… {plural(len(games) - shown, 'more game')}", style="dim", no_wrap=True, overflow="ellipsis")

    def status(self) -> str:
        """Return one line: frames, speed, time left, streams tried, failures, rejected frames, what the loop does."""
        seconds = time.monotonic() - self._started_at
        done = max(self._stats.total / (self._frames or math.inf), seconds / self._seconds)  # fraction of the run
        left = time_left(done, 1, seconds)
        goal = f" of {self._frames}" if self._frames else ""
        return f"{self._speed(goal)}, {left and f'{left}, '}{summary(self._stats)} · {self._stats.status}"

    def totals(self) -> str:
        """Return the line that ends a run."""
        games = plural(len(+self._stats.frames), "game")  # unary plus drops games with a count of 0
        return f"Downloaded {self._speed(games=f' of {games}')}; {summary(self._stats)}."

    def _speed(self, goal: str = "", games: str = "") -> str:
        total, seconds = self._stats.total, time.monotonic() - self._started_at
        return f"{total}{goal} frames{games} in {seconds:.0f} s ({total / max(seconds, 1e-9):.2f} a second)"


def _table(games: list[tuple[str, int]]) -> Table:
    table = Table(box=None, padding=(0, 2))
    table.add_column("Game", no_wrap=True, overflow="ellipsis")
    table.add_column("Frames", justify="right", no_wrap=True)
    for name, frames in games:
        table.add_row(Text(printable(name)), str(frames))  # Text: a name with [brackets] is no markup
    return table


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
