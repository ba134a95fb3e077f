"""Live table: one row for each watched channel, updated in place; verdicts and log lines scroll away above it.

    emit     apply the event to the channel's state; keep verdicts and failures for the thread
    thread   four times a second: if the terminal's size changed, clear the screen; if a game or state changed, draw
             once a second: print the verdicts and failures above the table; draw, since confidences differ
    close    remove the table, then print the last verdicts, which stay where the table was

The terminal stays usable if the process is killed: the cursor is not hidden, and there is no alternate screen.
"""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable

from rich.console import Console, ConsoleOptions
from rich.live import Live
from rich.segment import Segment

from data.entities import Game
from data.text import plural
from recognition.events import Event, Result
from recognition.outputs.base import Output
from recognition.outputs.channel_row import ChannelRow, RowLayout
from recognition.outputs.channel_state import ChannelState
from recognition.outputs.console import ChangeLines

_PERIOD_S = 0.25
_FRAME_PERIODS = 4  # of them between two drawings in which only confidences differ
_RESERVED_LINES = 3  # for the heading, the counts, and a message above
_STATES = ("live", "opening", "offline", "failing", "ended")


class LiveTable(Output):
    """The table on a terminal. `draws_on` says whether a console can show it.

    Args:
        console: stdout.
        sources: as their events name them.
        category_of: returns what the streamer declares now; None: the table has no such column.
    """

    def __init__(
        self, console: Console, sources: Iterable[str], category_of: Callable[[str], Game | None] | None
    ) -> None:
        self._console, self._category_of, self._size = console, category_of, console.size
        self._lock = threading.Lock()  # guards the next four
        self._rows = {source: ChannelRow(ChannelState(source)) for source in sources}
        self._latest: dict[str, None] = {}  # sources of which more than the confidence changed, the latest one last
        self._is_due = False
        self._pending: list[Event] = []  # to print
        self._lines: list[list[Segment]] = []
        self._messages = ChangeLines()
        self._error: OSError | None = None
        self._closing = threading.Event()
        self._live = self._new_live()
        self._thread = threading.Thread(target=self._work, name="live table", daemon=True)
        self._thread.start()

    @staticmethod
    def draws_on(console: Console) -> bool:
        """Return whether the console is a terminal that can move its cursor."""
        return console.is_terminal and not console.is_dumb_terminal

    def emit(self, event: Event) -> None:
        """Take the event into account; print a verdict, log a failure, within a second.

        Raises OSError if stdout took no text.
        """
        if self._error:
            raise self._error
        with self._lock:
            row = self._rows.get(event.source) or self._rows.setdefault(
                event.source, ChannelRow(ChannelState(event.source))
            )
            if row.apply(event):
                self._latest.pop(event.source, None)
                self._latest[event.source] = None
                self._is_due = True
            if isinstance(event, Result):
                self._pending.append(event)

    def close(self) -> None:
        """Remove the table, print what is left. A second call does nothing."""
        self._closing.set()
        self._thread.join()
        self._live.stop()
        self._print_pending()

    def _new_live(self) -> Live:
        live = Live(
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stderr=sys.stderr.isatty(),  # a file of messages stays one
            vertical_overflow="crop",
            get_renderable=lambda: _Lines(self._lines),
        )
        live.start()
        self._console.show_cursor(True)
        return live

    def _work(self) -> None:
        """Draw until `close`."""
        skipped = _FRAME_PERIODS
        try:
            while True:
                if self._console.size != self._size:
                    self._resize()
                    skipped = _FRAME_PERIODS
                if skipped >= _FRAME_PERIODS:
                    self._print_pending()
                    skipped, self._is_due = 0, True
                if self._is_due:
                    self._draw()
                skipped += 1
                if self._closing.wait(_PERIOD_S):
                    return
        except OSError as error:  # the terminal is gone
            self._error = error

    def _print_pending(self) -> None:
        with self._lock:
            pending, self._pending = self._pending, []
        for event in pending:
            self._messages.emit(event)

    def _resize(self) -> None:
        # The terminal may have wrapped the old lines: where they are is not known.
        self._size = self._console.size
        self._live.stop()
        self._console.clear()
        self._live = self._new_live()

    def _draw(self) -> None:
        layout = RowLayout(self._size.width, with_category=self._category_of is not None)
        with self._lock:
            self._is_due = False
            if self._category_of:
                for source, row in self._rows.items():
                    row.channel.category = self._category_of(source)
            shown = self._shown(max(1, self._size.height - _RESERVED_LINES))
            lines = [layout.heading(), *(row.drawn(layout) for row in shown)]
            self._lines = [*lines, layout.line(self._counts(len(self._rows) - len(shown)), "dim")]
        self._live.refresh()

    def _shown(self, lines: int) -> list[ChannelRow]:
        """Return at most `lines` rows: all in their order, or those that differ, then the latest to change."""
        if len(self._rows) <= lines:
            return list(self._rows.values())
        places = {source: place for place, source in enumerate(reversed(self._latest))}
        rank = lambda row: (not row.channel.mismatch, places.get(row.channel.source, len(places)))  # noqa: E731
        return sorted(self._rows.values(), key=rank)[:lines]

    def _counts(self, hidden: int) -> str:
        """Return the last line, such as "50 channels: 48 live, 2 offline; 3 in another category; 29 not shown"."""
        states = Counter(row.channel.state for row in self._rows.values())
        parts = [f"{plural(len(self._rows), 'channel')}: {', '.join(f'{states[s]} {s}' for s in _STATES if states[s])}"]
        different = sum(bool(row.channel.mismatch) for row in self._rows.values())
        parts += [f"{different} in another category"] * bool(different) + [f"{hidden} not shown"] * bool(hidden)
        return "; ".join(parts)


class _Lines:
    """Lines that are drawn already, as rich takes them."""

    def __init__(self, lines: list[list[Segment]]) -> None:
        self._lines = lines

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterable[Segment]:
        for line in self._lines:
            yield from line
            yield Segment.line()
