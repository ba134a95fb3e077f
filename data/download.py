"""python -m data.download: collect frames of live streams until Enter, Ctrl-C, SIGTERM or a limit."""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from data import cli
from data.errors import CatalogUnavailable

if TYPE_CHECKING:
    from config import Settings
    from data.collection.collector import Collector
    from data.collection.grab_pool import Stop
    from data.collection.state import Plan
    from data.storage.catalog import Catalog
    from data.storage.frame_folder import Folder


def main(argv: list[str] | None = None) -> int:
    """Parse, wire, run, report; returns the exit code."""
    parser = cli.parser(
        "data.download",
        "Collect frames of live streams, always for the game with the fewest. Enter, Ctrl-C or SIGTERM stops.",
    )
    parser.add_argument("--minutes", type=_positive(float), help="stop after so many minutes")
    parser.add_argument("--frames", type=_positive(int), help="stop after so many frames")
    return cli.run(parser.parse_args(argv), _work)


def _work(args: argparse.Namespace, settings: Settings) -> int:
    from data import memory
    from data.collection.grab_pool import Stop
    from data.storage import database
    from data.storage.catalog import Catalog
    from data.storage.frame_folder import Folder

    stop = Stop()
    folder = Folder(settings.download_path / "frames")
    with ExitStack() as stack:
        stack.enter_context(memory.given_back())
        catalog = Catalog(stack.enter_context(database.connect(settings)), settings.db_wait_s, stop.wait)
        collector = stack.enter_context(_collector(settings, folder, catalog, stop, args.frames))
        stack.enter_context(cli.stopped_by_user(stop, args.minutes))
        _stop_at_enter(stop)
        totals = _shown(collector, settings, folder, catalog, stop)
    print(totals)
    return 0


@contextmanager
def _collector(
    settings: Settings, folder: Folder, catalog: Catalog, stop: Stop, frames: int | None
) -> Iterator[Collector]:
    """The loop with its real collaborators, closed afterwards."""
    import random

    from data import factories
    from data.collection.collector import Collector
    from data.http import session as web

    session = web.new_session(settings.timeout_s, settings.twitch_standin, deadline_s=settings.deadline_s)
    with session, factories.grabber(settings, stop.pause) as grabber:
        yield Collector(
            helix=factories.helix(settings, session, stop.pause),
            grabber=grabber,
            sieve=factories.sieve(settings),
            folder=folder,
            catalog=catalog,
            plan=_plan(settings, frames),
            stop=stop,
            rng=random.Random(settings.seed),
        )


def _plan(settings: Settings, frames: int | None) -> Plan:
    from dataclasses import fields

    from data.collection.state import Plan

    values = {field.name: getattr(settings, field.name) for field in fields(Plan) if field.name != "frames"}
    return Plan(**values, frames=frames)


def _shown(collector: Collector, settings: Settings, folder: Folder, catalog: Catalog, stop: Stop) -> str:
    """Run the loop under the display, the dataset's figures beside it every `info_interval_s`; the totals."""
    from rich.console import Console
    from rich.live import Live

    from data.collection.progress import Display
    from data.info import figures

    console = Console(stderr=True, highlight=False)
    display = Display(collector.tally, "Press Enter to stop." if sys.stdin.isatty() else "Ctrl-C or SIGTERM stops.")

    def tell() -> None:
        while not stop.wait(settings.info_interval_s):
            with suppress(CatalogUnavailable):  # the loop, which needs it more, says so
                console.print("\n".join([display.status(), *figures(folder, catalog)]), markup=False)

    teller = threading.Thread(target=tell, name="figures", daemon=True)
    with Live(display, console=console, refresh_per_second=2, transient=True) if console.is_terminal else ExitStack():
        teller.start()
        try:
            collector.run()
        finally:
            stop.set()
            teller.join()
    return display.totals()


def _stop_at_enter(stop: Stop) -> None:
    """Set `stop` at Enter, where somebody is there to press it."""

    def on_enter() -> None:
        sys.stdin.readline()
        if sys.stderr.isatty():
            sys.stderr.write("\x1b[A")  # the echo of Enter moved the cursor from where the display left it
        stop.set()

    if sys.stdin and sys.stdin.isatty():
        threading.Thread(target=on_enter, name="enter", daemon=True).start()


def _positive(kind: type) -> Any:
    def convert(text: str) -> Any:
        value = kind(text)
        if not value > 0:
            raise argparse.ArgumentTypeError(f"must be more than 0, not {text}")
        return value

    convert.__name__ = kind.__name__  # argparse names the type in its message
    return convert


if __name__ == "__main__":
    sys.exit(main())
