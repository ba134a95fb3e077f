"""Progress of an audit: a line on stderr that is updated in place if that is a terminal, otherwise the log."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recognition.events import Result
    from recognition.outputs.survey_summary import SurveyStats
    from recognition.outputs.terminal_table import ProgressLine

log = logging.getLogger(__name__)


class LoggedProgress:
    """Logs notes, which -v shows."""

    def add(self, result: Result) -> None:
        """Do nothing."""

    def note(self, text: str) -> None:
        """Log the sentence."""
        log.info("%s", text)


class ShownProgress:
    """Shows counts in a line on a terminal, and notes above it."""

    def __init__(self, line: ProgressLine, stats: SurveyStats) -> None:
        self._line, self._stats = line, stats

    def add(self, result: Result) -> None:
        """Count a result."""
        self._stats.add(result)
        self._line.emit(result)

    def note(self, text: str) -> None:
        """Print the sentence."""
        sys.stderr.write(f"{text}\n")  # the line has replaced sys.stderr


@contextmanager
def show_progress(total: int, *, quiet: bool) -> Iterator[LoggedProgress | ShownProgress]:
    """Yield what shows the progress of `total` streams."""
    if quiet or not sys.stderr.isatty():
        yield LoggedProgress()
        return
    from rich.console import Console

    from recognition.outputs.survey_summary import SurveyStats
    from recognition.outputs.terminal_table import ProgressLine

    stats = SurveyStats()
    line = ProgressLine(Console(stderr=True, highlight=False), stats, total or None)
    try:
        yield ShownProgress(line, stats)
    finally:
        line.close()
