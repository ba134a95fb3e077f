"""COMMAND: collect frames of live streams until Enter, Ctrl-C, SIGTERM or a limit."""

from __future__ import annotations

import argparse
import logging
import math
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data import cli, interruption
from data.errors import CategoryNotFound, DirectoryUnavailable, SettingsError, ToolkitError
from data.pool.options import add_ray_option, with_ray_option
from data.text import printable
from data.threads import thread_beside

if TYPE_CHECKING:
    from config import Settings
    from data.collection.collector import Collector
    from data.collection.grab_pool import StopEvent
    from data.collection.progress import ProgressDisplay
    from data.entities import Game
    from data.storage.catalog import Catalog
    from data.storage.frame_store import FrameStore
    from data.twitch.helix import Helix

log = logging.getLogger(__name__)

_CLUSTER_GRACE_S = 10.0  # after a signal: workers save their frames, then their processes end


def main(argv: list[str] | None = None) -> int:
    """Parse the arguments, run the command, and return the exit code."""
    parser = cli.make_parser(
        "data.download",
        "Collect frames of live streams, always for the game with the fewest frames. Enter, Ctrl-C or SIGTERM stops.",
    )
    duration = cli.bounded_number(float, math.ulp(0), sys.float_info.max, "a number above 0")
    count = cli.bounded_number(int, 1, math.inf, "a whole number, at least 1")
    parser.add_argument("--minutes", type=duration, help="stop after this time")
    parser.add_argument("--frames", type=count, help="stop after this number of frames")
    parser.add_argument("--until", type=count, metavar="N", help="stop when every game has N frames; none gets more")
    parser.add_argument(
        "--game",
        action="append",
        default=[],
        metavar="NAME|ID",
        help="collect only this game, also if it is not popular or was removed; repeat the option for more games; "
        "@path: a file with a name or id on each line",
    )
    cli.add_progress_option(parser)
    add_ray_option(parser)
    return cli.run_command(parser.parse_args(argv), _work)


def _work(args: argparse.Namespace, settings: Settings) -> int:
    from data import memory
    from data.collection.grab_pool import StopEvent
    from data.collection.progress import ProgressDisplay
    from data.factories import make_frame_store, open_catalog
    from data.storage.changes import FrameChanges

    settings = with_ray_option(settings, args.ray)
    stop = StopEvent()  # set by Enter, signals and --minutes; every wait of the run ends with it
    store = make_frame_store(settings)
    with ExitStack() as stack:
        if settings.ray_address:
            stack.enter_context(interruption.forced_end(_CLUSTER_GRACE_S))
        stack.enter_context(memory.trim_periodically())
        catalog = stack.enter_context(open_catalog(settings, stop.wait))
        FrameChanges(store, catalog).finish_pending()
        limits = {"frames": args.frames, "until": args.until}
        collector = stack.enter_context(open_collector(settings, store, catalog, stop, args.game, **limits))
        stack.enter_context(cli.stop_on_signal(stop, args.minutes))
        _stop_on_enter(stop)
        hint = "Press Enter to stop." if _can_read_keys() else "Ctrl-C stops."
        display = ProgressDisplay(collector.stats, hint, args.frames, args.minutes)
        lines = partial(_report_lines, store, catalog)
        if args.progress:
            stack.enter_context(_progress_kept(display, Path(args.progress), stop))
        _run_with_display(collector, display, lines, settings.info_interval_s, stop)
    print(display.totals())
    return 0


@contextmanager
def open_collector(
    settings: Settings, store: FrameStore, catalog: Catalog, stop: StopEvent, games: Sequence[str] = (), **limits: Any
) -> Iterator[Collector]:
    """Yield the download loop with its real collaborators, closed at the end. Raises SettingsError, DirectoryError.

    games: names and ids of the only games to collect; none: all. limits: `frames` and `until` of CollectorSettings.
    """
    import random

    from data import factories
    from data.collection.collector import Collector
    from data.collection.factories import open_pool
    from data.collection.state import CollectorSettings
    from data.collection.stoppable_directory import StoppableDirectory
    from data.http.session import new_session

    names = {field.name for field in fields(CollectorSettings)}  # of those, the settings are taken
    session = new_session(settings.timeout_s, settings.twitch_standin, deadline_s=settings.deadline_s)
    with (
        session,
        factories.open_claims(settings) as claims,
        open_pool(settings, stop) as pool,
        closing(StoppableDirectory(helix := factories.make_helix(settings, session, stop.pause), stop)) as directory,
    ):
        chosen = _choose_games(helix, store, catalog, settings, games)
        yield Collector(
            directory=directory,
            pool=pool,
            store=store,
            index=catalog,
            settings=CollectorSettings(**settings.model_dump(include=names), **limits, **chosen),
            stop=stop,
            claim=claims.claimed,
            rng=random.Random(settings.seed + claims.number),  # not the choices of a download at the same time
            is_excluded=factories.make_exclusion(settings),
            trashed=store.trashed_hashes(),
        )


def _choose_games(
    helix: Helix, store: FrameStore, catalog: Catalog, settings: Settings, asked: Sequence[str]
) -> dict[str, Any]:
    """Return the fields of CollectorSettings that say which games to collect; add the games that are `asked` for.

    Raises CategoryNotFound with similar names, SettingsError, DirectoryError.
    """
    from data.settings.lists import read_entries
    from data.twitch.categories import resolve_games

    known = store.game_names()
    if asked:
        if not (entries := read_entries(asked, "--game")):
            raise SettingsError("--game: no game is named; write a name or an id on each line of the file")
        games = resolve_games(helix, entries, known)
        _add_games(store, catalog, games)
        return {"games": frozenset(game.id for game in games)}
    excluded = {entry.casefold() for entry in read_entries(settings.exclude_games, "EXCLUDE_GAMES")}
    try:  # a misspelt name would exclude nothing. A game of the dataset may have left Twitch.
        unknown = excluded - {name.casefold() for name in known.values()} - {str(game_id) for game_id in known}
        games = resolve_games(helix, unknown, known)
    except (CategoryNotFound, DirectoryUnavailable) as error:
        log.warning("EXCLUDE_GAMES: %s", error)
        games = []
    return {"excluded_games": frozenset(excluded | {str(game.id) for game in games})}


def _add_games(store: FrameStore, catalog: Catalog, games: Sequence[Game]) -> None:
    """Add games to the dataset; one that was removed begins without frames."""
    from data.storage.catalog import CatalogChanges

    if removed := store.removed_games().keys() & {game.id for game in games}:
        catalog.apply(CatalogChanges(removed_games=sorted(removed)))  # with the rows of files that are gone
    store.add_games(games)
    catalog.add_games(games)


def _run_with_display(
    collector: Collector, display: ProgressDisplay, report: Callable[[], list[str]], interval_s: float, stop: StopEvent
) -> None:
    """Run the loop; on a terminal show the display meanwhile. Print the lines of `report` every `interval_s`."""
    from rich.console import Console
    from rich.live import Live

    def print_reports() -> None:
        while not stop.wait(interval_s):
            with suppress(ToolkitError, OSError):  # the loop meets the same error and reports it; or stderr is closed
                lines = [display.status(), *report()]
                sys.stderr.write("\n".join(map(printable, lines)) + "\n")  # a live display prints it above itself

    console = Console(stderr=True)
    live = Live(display, console=console, refresh_per_second=2, transient=True, redirect_stdout=False)
    with live if console.is_terminal else ExitStack(), thread_beside(print_reports, stop, "report"):
        collector.run()


@contextmanager
def _progress_kept(display: ProgressDisplay, path: Path, stop: StopEvent) -> Iterator[None]:
    """Keep the progress in a file until the block ends, which sets `stop`, in a thread of its own."""
    from data.progress_file import ProgressFile

    file = ProgressFile(path)

    def write() -> None:
        is_last = False
        while not is_last:
            is_last = stop.wait(1)
            file.write(display.status(), *display.steps())

    with thread_beside(write, stop, "progress"):
        yield


def _report_lines(store: FrameStore, catalog: Catalog) -> list[str]:
    from data.dataset_report import report
    from data.info import report_lines

    return report_lines(report(store, catalog))


def _stop_on_enter(stop: StopEvent) -> None:
    """Set `stop` when the user presses Enter; do nothing when no key can reach this process."""

    def on_enter() -> None:
        sys.stdin.readline()
        if sys.stderr.isatty():  # Enter moved the cursor one line down: move it back into the display
            os.write(sys.stderr.fileno(), b"\x1b[A")
        stop.set()

    if _can_read_keys():
        threading.Thread(target=on_enter, name="enter", daemon=True).start()


def _can_read_keys() -> bool:
    """Return whether stdin is a terminal, and this process in its foreground: reading would suspend one that is not."""
    if not sys.stdin.isatty():
        return False
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except OSError:  # not the terminal of this session: it suspends nobody
        return True


if __name__ == "__main__":
    cli.end_process(main())
