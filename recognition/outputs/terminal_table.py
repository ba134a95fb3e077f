"""Terminal table: one row for each result of a survey as it arrives, with a progress line below."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from data.text import printable
from recognition.events import Event, SourceFailed, VerdictReached
from recognition.outputs.base import Output
from recognition.outputs.survey_summary import SurveyStats

# Heading → ratio in which wide columns share the rest of the width; None: a narrow column.
_COLUMNS = {"Source": 5, "Shows": 6, "Confidence": None, "Frames": None, "Category": 6}
_MISMATCH_MARK = "≠ "


def make_progress(console: Console, *, has_bar: bool) -> Progress:
    """Return a line with a description, and with a bar before it; the line is gone when it stops."""
    bar = [BarColumn(), MofNCompleteColumn()] if has_bar else []
    return Progress(*bar, TextColumn("{task.description}"), console=console, refresh_per_second=4, transient=True)


class ProgressLine(Output):
    """Show the survey's status in one line that is updated in place, with a bar if the number of sources is known."""

    def __init__(self, console: Console, stats: SurveyStats, total: int | None) -> None:
        """`stats`: the caller adds each result to them before it is emitted here. `total`: number of sources."""
        self._stats = stats
        self._progress = make_progress(console, has_bar=bool(total))
        self._task = self._progress.add_task(stats.status(), total=total)
        self._progress.start()

    def emit(self, event: Event) -> None:
        """Advance by one for a verdict or failure; ignore other events."""
        if isinstance(event, (VerdictReached, SourceFailed)):
            self._progress.update(self._task, advance=1, description=self._stats.status())

    def close(self) -> None:
        """Clear the line. A second call does nothing."""
        self._progress.stop()


class ResultTable(Output):
    """Print a heading, then a table row for each result. The column widths depend on the terminal's width only."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._print_row(*(Text(name, style="bold") for name in _COLUMNS))

    def emit(self, event: Event) -> None:
        """Print a row for a verdict or failure; ignore other events."""
        if isinstance(event, VerdictReached):
            verdict = event.verdict
            unknown = _text(f"Unknown (closest: {verdict.game.name})", "yellow")
            category = event.category.name if event.category else ""
            self._print_row(
                _text(event.source),
                _text(verdict.game.name) if verdict.known else unknown,
                Text(f"{verdict.confidence:.1%}"),
                Text("preview" if event.from_preview else str(verdict.frames)),
                _text(f"{_MISMATCH_MARK}{category}", "bold red") if event.mismatch else _text(category),
            )
        elif isinstance(event, SourceFailed):
            self._print_row(_text(event.source), Text(f"– {event.error.reason}", style="dim"))

    def _print_row(self, *cells: Text) -> None:  # in the order of _COLUMNS
        # A table for each row: rows appear at once, and a printed row could not be moved by a wider one below.
        table = Table.grid(padding=(0, 2), expand=True)
        for name, ratio in _COLUMNS.items():
            if ratio:
                table.add_column(ratio=ratio, no_wrap=True, overflow="ellipsis")
            else:
                table.add_column(width=max(len(name), len("preview")), no_wrap=True, justify="right")
        table.add_row(*cells)
        self._console.print(table)


def _text(text: str, style: str = "") -> Text:
    """Return a cell of text from a server or a file's name."""
    return Text(printable(text), style)
