"""Progress display of a download: speed, time left, streams tried and failed, rejected frames, and frames per game."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
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
        status = list(Text(printable(self.status())).wrap(console, options.max_width))
        if len(status) > height - 1:
            del status[height - 1 :]
            status[-1] = Text(f"{status[-1].plain.rstrip()} …", no_wrap=True, overflow="ellipsis")
        yield from status
        yield Text(self._hint, style="dim", no_wrap=True, overflow="ellipsis")
        # most_common(n) would iterate in Python, while the other thread may add a game.
        games, rows = self._stats.frames.most_common(), height - len(status) - 2  # less the hint and the header
        shown = len(games) if len(games) <= rows else max(0, rows - 1)
        for line in _table(games[:shown], options.max_width) if shown else ():
            yield Text(line, no_wrap=True, overflow="crop")
        if rows > 0 and shown < len(games):
            yield Text(f"… {plural(len(games) - shown, 'more game')}", style="dim", no_wrap=True, overflow="ellipsis")

    def status(self) -> str:
        """Return one line: frames, speed, time left, streams tried, failures, rejected frames, what the loop does."""
        seconds = time.monotonic() - self._started_at
        total, missing = self._stats.total, self._stats.missing
        fraction = total / (total + missing) if total and missing is not None else 0
        done = max(fraction, total / (self._frames or math.inf), seconds / self._seconds)  # of the run
        left = time_left(done, 1, seconds)
        frames = f"{total} of {plural(self._frames, 'frame')}" if self._frames else plural(total, "frame")
        parts = [self._speed(frames), self._missing(), left, summary(self._stats)]
        return f"{', '.join(filter(None, parts))} · {self._stats.status}"

    def steps(self) -> tuple[float, float | None]:
        """Return what is done and the total, in frames; without a number of frames, in seconds of the time limit."""
        if self._frames:
            return self._stats.total, self._frames
        if self._stats.missing is not None:
            return self._stats.total, self._stats.total + self._stats.missing
        if math.isfinite(self._seconds):
            return min(self._seconds, time.monotonic() - self._started_at), self._seconds
        return self._stats.total, None

    def totals(self) -> str:
        """Return the line that ends a run."""
        games = plural(len(+self._stats.frames), "game")  # unary plus drops games with a count of 0
        total = self._stats.total
        left = time_left(total, total + (self._stats.missing or 0), time.monotonic() - self._started_at)
        missing = ", ".join(filter(None, [self._missing(), left and f"{left} at this speed"]))
        parts = [self._speed(f"{plural(total, 'frame')} of {games}"), missing, summary(self._stats)]
        return f"Downloaded {'; '.join(filter(None, parts))}."

    def _missing(self) -> str:
        """Return text such as "3 frames missing"; "" without a number of frames for every game."""
        missing = self._stats.missing
        return "" if missing is None else f"{plural(missing, 'frame')} missing"

    def _speed(self, frames: str) -> str:
        total, seconds = self._stats.total, time.monotonic() - self._started_at
        return f"{frames} in {seconds:.0f} s ({total / max(seconds, 1e-9):.2f} a second)"


def _table(games: list[tuple[str, int]], width: int) -> Iterator[str]:
    """Yield the header and a line for each game, in `width` columns; Chinese characters take two of them."""
    rows = [("Game", "Frames"), *((printable(name), str(frames)) for name, frames in games)]
    right = max(len(frames) for _, frames in rows)
    left = max(1, min(width - 2 - right, max(cell_len(name) for name, _ in rows)))
    for name, frames in rows:
        fitting = name if cell_len(name) <= left else f"{set_cell_size(name, left - 1)}…"
        yield f"{set_cell_size(fitting, left)}  {frames:>{right}}"


def summary(stats: CollectionStats) -> str:
    """Return text such as "24 streams tried, 3 failed (2 offline, 1 only ads); 5 frames rejected (5 frozen)"."""
    parts = [f"{plural(stats.streams, 'stream')} tried, {stats.failures.total()} failed{_reasons(stats.failures)}"]
    if stats.rejected:
        parts.append(f"{plural(stats.rejected.total(), 'frame')} rejected{_reasons(stats.rejected)}")
    if stats.over_quota:
        parts.append(f"{plural(len(stats.over_quota), 'streamer')} over quota")
    return "; ".join(parts)


def _reasons(counter: Counter[str]) -> str:
    reasons = ", ".join(f"{count} {reason}" for reason, count in counter.most_common())
    return f" ({reasons})" if reasons else ""
