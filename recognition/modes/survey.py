"""Surveying: what many streams show, as a table, lines or files, and a summary."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data import memory
from data.errors import DirectoryError, StreamOffline
from recognition.modes.single import combine_exit_codes, exit_code_of, required_certainty
from recognition.outputs.base import Output
from recognition.outputs.console import JsonLines, TextLines
from recognition.outputs.fan_out import FanOut
from recognition.outputs.survey_summary import SurveyStats
from recognition.recognizer import Recognizer
from recognition.sources import sources, twitch_login

if TYPE_CHECKING:
    from config import Settings
    from data.entities import Stream
    from data.twitch.helix import Helix

_CALL = 100  # logins whose categories one call asks for

log = logging.getLogger(__name__)


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Survey what `args` names; returns the exit code: 0 where anything was answered, what all failures share, or 1."""
    if args.parallel:
        settings = settings.model_copy(update={"parallel_streams": args.parallel})
    stats, codes = SurveyStats(), set()
    with ExitStack() as stack:
        stack.enter_context(memory.trim_periodically())
        recognizer = Recognizer.load(settings, top=args.top, min_confidence=args.min_confidence, threads=1)
        stack.enter_context(recognizer)
        asked, total = _asked(args, recognizer)
        stack.callback(_say, stats, args.quiet)
        output = stack.enter_context(FanOut(list(_outputs(args, stats, total))))
        results = recognizer.survey(asked, args.frames, required_certainty(args), preview=bool(args.preview))
        for result in stack.enter_context(closing(results)):
            stats.add(result)
            codes.add(exit_code_of(result))
            output.emit(result)
    if not codes:
        raise StreamOffline("there is no such stream now")
    return 0 if 0 in codes else combine_exit_codes(list(codes))


def _say(stats: SurveyStats, quiet: bool) -> None:
    """The summary on stderr, also of a survey that was ended early."""
    if stats.sources and not quiet:
        print(*stats.summary(), sep="\n", file=sys.stderr)


def _asked(args: argparse.Namespace, recognizer: Recognizer) -> tuple[Iterable[str | Stream], int | None]:
    """What to look at, and how much that is; None: nobody knows beforehand. Raises SettingsError, DirectoryError."""
    named = sources(args.source, args.sources_file) if args.source or args.sources_file else ()
    listing = args.game or args.top_streams
    if not (listing or args.category):
        return named, len(named)
    helix = recognizer.helix()
    wanted = _with_categories(helix, named) if args.category else named
    if not listing:
        return wanted, len(named)
    game_id = helix.game(args.game).id if args.game else None
    listed = islice(helix.listed(game_id), args.top_streams)
    return chain(wanted, listed), args.top_streams and args.top_streams + len(named)


def _with_categories(helix: Helix, named: Iterable[str]) -> Iterator[str | Stream]:
    """The sources, those that are live as Helix lists them; a hundred are asked for when the first one is needed.

    Where Helix gives no answer they come as they are: the recogniser's own does not depend on it.
    """
    names = iter(named)
    while some := list(islice(names, _CALL)):
        try:
            live = helix.live(filter(None, map(twitch_login, some)))
        except DirectoryError as error:
            log.warning("%s; the answers stand without categories", error)
            yield from chain(some, names)
            return
        yield from (live.get(twitch_login(name), name) for name in some)


def _outputs(args: argparse.Namespace, stats: SurveyStats, total: int | None) -> Iterator[Output]:
    """Where results go. Raises FolderError."""
    if args.csv:
        from recognition.outputs.csv_file import CsvFile

        yield CsvFile(Path(args.csv))
    if args.parquet:
        from recognition.outputs.parquet_file import ParquetFile

        yield ParquetFile(Path(args.parquet))
    if args.json:
        yield JsonLines()
    elif sys.stdout.isatty():
        yield from _on_terminal(stats, total, rows=True, stderr=False)
    else:
        yield TextLines(named=True)
        if sys.stderr.isatty():
            yield from _on_terminal(stats, total, rows=False, stderr=True)


def _on_terminal(stats: SurveyStats, total: int | None, *, rows: bool, stderr: bool) -> Iterator[Output]:
    from rich.console import Console

    from recognition.outputs.terminal_table import ProgressLine, ResultTable

    console: Any = Console(stderr=stderr, highlight=False)
    if rows:
        yield ResultTable(console)
    yield ProgressLine(console, stats, total)
