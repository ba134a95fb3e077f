"""The download's display on a terminal: frames a game, speed, streams tried and failed by reason."""

from __future__ import annotations

import time

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.table import Table
from rich.text import Text

from data.collector import Tally

_MOST_GAMES = 30  # rows that fit a usual terminal


class Display:
    """Renders a tally as it is at that moment; give it to rich's Live."""

    def __init__(self, tally: Tally, hint: str) -> None:
        """`hint`: how to stop, shown in the last line."""
        self._tally = tally
        self._hint = hint
        self._start = time.monotonic()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = Table("Game", "Frames", box=None, padding=(0, 2))
        for name, frames in self._tally.frames.most_common(_MOST_GAMES):
            table.add_row(Text(name), str(frames))
        yield Group(table, Text(self.status()), Text(self._hint, style="dim"))

    def status(self) -> str:
        """One line: frames, frames a second, streams tried, failures by reason, and what goes on now."""
        seconds = time.monotonic() - self._start
        tally = self._tally
        return (
            f"{tally.total} frames in {seconds:.0f} s ({tally.total / max(seconds, 1e-9):.2f} a second), "
            f"{streams(tally)} · {tally.doing}"
        )

    def totals(self) -> str:
        """The last line of a run."""
        seconds = time.monotonic() - self._start
        return (
            f"Downloaded {self._tally.total} frames of {len(+self._tally.frames)} games in {seconds:.0f} s "
            f"({self._tally.total / max(seconds, 1e-9):.2f} a second); {streams(self._tally)}."
        )


def streams(tally: Tally) -> str:
    """For example: 24 streams tried, 3 failed (2 offline, 1 only ads)."""
    failed = sum(tally.failures.values())
    reasons = ", ".join(f"{count} {reason}" for reason, count in tally.failures.most_common())
    return f"{tally.streams} streams tried, {failed} failed" + (f" ({reasons})" if reasons else "")
