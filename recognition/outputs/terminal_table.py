"""A survey on a terminal: a row for each result as it comes, and below them how far it is."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from recognition.events import Event, SourceFailed, VerdictReached
from recognition.outputs.survey_summary import SurveyStats

_RATIOS = {"Source": 5, "Shows": 6, "Sure": None, "Frames": None, "Category": 6}  # None: as wide as `preview`
_OTHER = "≠ "


class ProgressLine:
    """How far it is, in one line that changes, with a bar where the end is known."""

    def __init__(self, console: Console, stats: SurveyStats, total: int | None) -> None:
        """Show it until `close`. `stats`: counted by someone else, before this is told. `total`: None: nobody knows."""
        self._tally = stats
        bar = [BarColumn(), MofNCompleteColumn()] if total else []
        self._progress = Progress(
            *bar, TextColumn("{task.description}"), console=console, refresh_per_second=4, transient=True
        )
        self._task = self._progress.add_task(stats.status(), total=total)
        self._progress.start()

    def emit(self, event: Event) -> None:
        """One more, where it is a source's result."""
        if isinstance(event, (VerdictReached, SourceFailed)):
            self._progress.update(self._task, advance=1, description=self._tally.status())

    def close(self) -> None:
        """Clear the line; safe to call twice."""
        self._progress.stop()


class ResultTable:
    """The table. Its columns are as wide as the terminal allows: rows that are printed cannot change any more."""

    def __init__(self, console: Console) -> None:
        """Print the head."""
        self._console = console
        self._print(*(Text(name, style="bold") for name in _RATIOS))

    def emit(self, event: Event) -> None:
        """Print a row, where it is a source's result."""
        if isinstance(event, VerdictReached):
            self._print(*_cells(event))
        elif isinstance(event, SourceFailed):
            self._print(Text(event.source), Text(f"– {event.error.reason}", style="dim"))

    def close(self) -> None:
        """Nothing is kept."""

    def _print(self, *cells: Text) -> None:
        table = Table(box=None, show_header=False, expand=True, padding=(0, 1), pad_edge=False)
        for ratio in _RATIOS.values():
            if ratio:
                table.add_column(ratio=ratio, no_wrap=True, overflow="ellipsis")
            else:
                table.add_column(width=len("preview"), no_wrap=True, justify="right")
        table.add_row(*cells)
        self._console.print(table)


def _cells(answered: VerdictReached) -> list[Text]:
    verdict = answered.verdict
    shows = (
        Text(verdict.game.name) if verdict.known else Text(f"Unknown (closest: {verdict.game.name})", style="yellow")
    )
    frames = "preview" if answered.from_preview else str(verdict.frames)
    category = answered.category.name if answered.category else ""
    mark = Text(f"{_OTHER}{category}", style="bold red") if answered.mismatch else Text(category)
    return [Text(answered.source), shows, Text(f"{verdict.confidence:.1%}"), Text(frames), mark]
