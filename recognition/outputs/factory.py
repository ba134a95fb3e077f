"""Output factory: create the outputs that the command's options ask for.

To add an output, write a subclass of Output and yield it here for its option.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from config import Settings
from recognition.outputs.base import STDOUT, Output
from recognition.outputs.console import ChangeLines, FailureLines, JsonLines, TextLines
from recognition.outputs.survey_summary import SurveyStats


def create_outputs(
    args: argparse.Namespace,
    settings: Settings,
    stack: ExitStack,
    total: int | None,
    stats: SurveyStats | None = None,
) -> Iterator[Output]:
    """Yield the outputs, the console last: an invalid option is reported before anything is printed.

    The last one is closed first: files are written before a server may delay the end.

    stack: holds the outputs' resources; close the outputs before it.
    total: number of sources, None if unknown.
    stats: the counts of a survey, which the progress line shows; None in the other modes.
    Raises FolderError if a file cannot be written, SettingsError if a URL or port cannot be used.
    """
    # Each module is imported on demand: together they load six libraries, and most runs need none of them.
    if args.webhook:
        yield _webhook(args.webhook, settings, stack)
    if args.metrics is not None:
        from recognition.outputs.prometheus import PrometheusMetrics

        yield PrometheusMetrics(args.metrics, settings.metrics_host)
    if args.save:
        from recognition.outputs.annotated_images import AnnotatedImages

        yield AnnotatedImages(Path(args.save))
    if args.csv:
        from recognition.outputs.csv_file import CsvFile

        yield CsvFile(Path(args.csv))
    if args.parquet:
        from recognition.outputs.parquet_file import ParquetFile

        yield ParquetFile(Path(args.parquet))
    yield from _console(args, total, stats)


def _webhook(url: str, settings: Settings, stack: ExitStack) -> Output:
    from data.http.session import new_session
    from recognition.outputs.webhook import Webhook

    # No stand-in URL for this session: it would redirect the webhook's host as it redirects Twitch's.
    session = stack.enter_context(new_session(settings.timeout_s, deadline_s=settings.deadline_s))
    return Webhook(url, session, secret=settings.webhook_secret.get_secret_value())


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


def _rich_console(stats: SurveyStats, total: int | None, *, with_table: bool) -> Iterator[Output]:
    """Yield a table on stdout with a progress line below, or the line on stderr only."""
    from rich.console import Console

    from recognition.outputs.terminal_table import ProgressLine, ResultTable

    console = Console(stderr=not with_table, highlight=False)
    if with_table:
        yield ResultTable(console)
    yield ProgressLine(console, stats, total)
