"""Progress bars on stderr, if it is a terminal: what is done, and an estimate of how long the rest takes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

from data.progress_file import ProgressFile

Advance = Callable[[int], object]  # called with the number of steps that were done
# Called with what is done and the number of steps, None if that is unknown; the bar is shown in the block. Bars are not
# nested.
Progress = Callable[[str, int | None], AbstractContextManager[Advance]]


@contextmanager
def no_progress(_description: str, _total: int | None) -> Iterator[Advance]:
    """Show nothing."""
    yield lambda _count: None


def make_progress(quiet: bool, file: str | None = None) -> Progress:
    """Return bars for a terminal; otherwise, or with `quiet`, nothing: bars would fill a log file with escape codes.

    file: path of a file for the progress, instead of bars.
    """
    if file:
        return ProgressFile(Path(file)).steps
    return no_progress if quiet or not sys.stderr.isatty() else _bar


@contextmanager
def _bar(description: str, total: int | None) -> Iterator[Advance]:
    from rich import progress  # on demand: few runs have a terminal
    from rich.console import Console

    columns = (
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeRemainingColumn(compact=True),
        progress.TextColumn("left"),
    )
    # The mean speed of ten minutes: an epoch's validation is no step, and must not make the estimate jump.
    with progress.Progress(*columns, console=Console(stderr=True), transient=True, speed_estimate_period=600) as shown:
        yield partial(shown.advance, shown.add_task(description, total=total))
