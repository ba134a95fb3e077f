"""Output factory: create the outputs that the command's options ask for.

To add an output, write a subclass of Output and yield it here for its option.
"""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from config import Settings
from data.entities import Game
from data.errors import SettingsError
from recognition.outputs.base import STDOUT, Output
from recognition.outputs.console import ChangeLines, FailureLines, JsonLines, TextLines
from recognition.outputs.survey_summary import SurveyStats

if TYPE_CHECKING:
    from recognition.outputs.outbox.filters import Filter
    from recognition.outputs.targets.base import Target

CategoryOf = Callable[[str], Game | None]


def create_outputs(
    args: argparse.Namespace,
    settings: Settings,
    total: int | None,
    stats: SurveyStats | None = None,
    *,
    sources: Sequence[str] = (),
    category_of: CategoryOf | None = None,
    stop: threading.Event | None = None,
) -> Iterator[Output]:
    """Yield the outputs, the console last: an invalid option is reported before anything is printed.

    The last one is closed first: files are written before a server may delay the end.

    total: number of sources, None if unknown.
    stats: the counts of a survey, which the progress line shows; None in the other modes.
    sources, category_of, stop: of a watch: what it watches, its current categories, what is set to end it.
    Raises FolderError if a file cannot be written, SettingsError if a URL or port cannot be used.
    """
    # Each module is imported on demand: together they load many libraries, and most runs need none of them.
    if args.watch:
        yield from _outbox(args, settings, category_of, stop or threading.Event())
    if args.metrics is not None:
        from recognition.outputs.prometheus import PrometheusMetrics

        yield PrometheusMetrics(args.metrics, settings.metrics_host)
    yield from _files(args)
    if args.watch and not args.json and sys.stdout.isatty() and str(STDOUT) not in (args.csv, args.parquet):
        yield _live_table(sources, category_of)
    else:
        yield from _console(args, total, stats)


def _files(args: argparse.Namespace) -> Iterator[Output]:
    """Yield what writes files."""
    if args.save:
        from recognition.outputs.annotated_images import AnnotatedImages

        yield AnnotatedImages(Path(args.save))
    if args.csv:
        from recognition.outputs.csv_file import CsvFile

        yield CsvFile(Path(args.csv))
    if args.parquet:
        from recognition.outputs.parquet_file import ParquetFile

        yield ParquetFile(Path(args.parquet))


def _outbox(
    args: argparse.Namespace, settings: Settings, category_of: CategoryOf | None, stop: threading.Event
) -> Iterator[Output]:
    """Yield the outbox of the targets that the options and ALERTS name, if there are any."""
    alerts = settings.alerts.get_secret_value().split()
    urls = [(url, "--alert") for url in args.alert or ()] + [(url, "ALERTS") for url in alerts]
    urls = ([(args.webhook, "--webhook")] if args.webhook else []) + urls
    if not urls:
        return
    from recognition.outputs.outbox.outbox import Outbox
    from recognition.outputs.outbox.store import OutboxStore

    named = {url: option for url, option in reversed(urls)}  # each URL once
    with ExitStack() as undo:  # if one of them cannot be made
        targets = [_target(url, option, settings, undo) for url, option in named.items()]
        store = OutboxStore(Path(args.outbox or settings.outbox_path))
        undo.pop_all()
    yield Outbox(store, targets, category_of=category_of, is_stopping=stop.is_set)


def _target(url: str, option: str, settings: Settings, undo: ExitStack) -> tuple[Target, Filter]:
    from recognition.outputs.outbox.filters import split_filter
    from recognition.outputs.targets.factory import make_target
    from recognition.outputs.webhook import host_of

    address, wanted = split_filter(url, option)
    if option == "--webhook":
        host_of(address, option)
    try:
        target = make_target(address, settings)
    except SettingsError as error:
        raise SettingsError(str(error).replace("--alert", option, 1)) from error
    undo.callback(target.close)
    return target, wanted


def _console(args: argparse.Namespace, total: int | None, stats: SurveyStats | None) -> Iterator[Output]:
    """Yield what prints: JSON, changes or text; for a survey also what shows its progress on a terminal.

    Where a table of the results goes to stdout, nothing else does.
    """
    if args.json:
        yield JsonLines()
    elif str(STDOUT) in (args.csv, args.parquet):
        yield FailureLines()
        if stats is not None and sys.stderr.isatty():
            yield from _rich_console(stats, total, with_table=False)
    elif args.watch:
        yield ChangeLines()
    elif stats is None:
        yield TextLines(with_source=total != 1)
    else:
        # A table on a terminal; otherwise text, and the progress on stderr if that is a terminal.
        if not (on_terminal := sys.stdout.isatty()):
            yield TextLines(with_source=True)
        if on_terminal or sys.stderr.isatty():
            yield from _rich_console(stats, total, with_table=on_terminal)


def _live_table(sources: Sequence[str], category_of: CategoryOf | None) -> Output:
    """Return what shows a watch on a terminal: a table, or lines where the cursor cannot move."""
    from rich.console import Console

    from recognition.outputs.live_table import LiveTable

    console = Console(highlight=False)
    return LiveTable(console, sources, category_of) if LiveTable.draws_on(console) else ChangeLines()


def _rich_console(stats: SurveyStats, total: int | None, *, with_table: bool) -> Iterator[Output]:
    """Yield a table on stdout with a progress line below, or the line on stderr only."""
    from rich.console import Console

    from recognition.outputs.terminal_table import ProgressLine, ResultTable

    console = Console(stderr=not with_table, highlight=False)
    if with_table:
        yield ResultTable(console)
    yield ProgressLine(console, stats, total)
