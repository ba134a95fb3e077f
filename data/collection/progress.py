"""The download's display on a terminal: frames a game, speed, streams tried and failed, frames left out, by reason."""

from __future__ import annotations

import time
from collections import Counter

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.table import Table
from rich.text import Text

from data.collection.state import Tally

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
        """One line: frames, frames a second, streams tried, what failed or was left out, and what goes on now."""
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
    """For example: 24 streams tried, 3 failed (2 offline, 1 only ads); 20 frames left out (12 frozen, 8 black)."""
    parts = [f"{tally.streams} streams tried, {_counted(tally.failures)} failed{_reasons(tally.failures)}"]
    if tally.left_out:
        parts.append(f"{_number(_counted(tally.left_out), 'frame')} left out{_reasons(tally.left_out)}")
    if tally.passed_over:
        parts.append(f"{_number(len(tally.passed_over), 'streamer')} passed over for having a full share")
    return "; ".join(parts)


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _counted(counter: Counter[str]) -> int:
    return sum(counter.values())


def _reasons(counter: Counter[str]) -> str:
    reasons = ", ".join(f"{count} {reason}" for reason, count in counter.most_common())
    return f" ({reasons})" if reasons else ""
