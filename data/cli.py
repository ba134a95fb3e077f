"""Command-line plumbing of all commands: parser, logging to stderr, signals, and errors as exit codes."""

from __future__ import annotations

import argparse
import io
import logging
import os
import re
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NoReturn

from data import interruption, startup
from data.commands import command_line, with_command_lines
from data.errors import ToolkitError
from data.text import printable, redacted

if TYPE_CHECKING:
    from config import Settings

log = logging.getLogger("twitchcategory")

# Our own messages name the causes; libraries (Streamlink, SQLAlchemy's pool, TensorFlow …) would only repeat them.
_OWN = frozenset({"data", "model", "recognition", "dashboard", "config", "twitchcategory", "__main__"})


class CommandParser(argparse.ArgumentParser):
    """Argument parser that answers the shell's requests for completions, and reports a stdout that takes no text."""

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:
        """Parse as argparse does; for a request for completions, print these and end the process."""
        if "_ARGCOMPLETE" in os.environ:
            import argcomplete

            argcomplete.autocomplete(self)
        return super().parse_args(args, namespace)

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print the text of --help, --version or an error; argparse ignores a full stdout."""
        if file is not sys.stdout or not file:
            super()._print_message(message, file)
        elif code := print_text(message):
            sys.exit(code)


def make_parser(module: str, description: str, epilog: str = "") -> argparse.ArgumentParser:
    """Return a parser for the command `module`, such as data.info, with the options -v and -q."""
    parser = CommandParser(
        prog=command_line(module),
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


def duration(units: Mapping[str, float], description: str) -> Callable[[str], float]:
    """Return a parser of an option's duration in seconds: a whole number and the name of one of `units`, such as 30d.

    units: seconds by name. description: of a valid value, for the error message.
    """

    def parse(text: str) -> float:
        match = re.fullmatch(f"([1-9][0-9]{{0,5}})({'|'.join(units)})", text.strip().lower(), re.ASCII)
        if not match:
            raise argparse.ArgumentTypeError(f"invalid value {text!r}: write {description}")
        return int(match[1]) * units[match[2]]

    return parse


def add_progress_option(parser: argparse.ArgumentParser) -> None:
    """Add the option by which another program, such as the dashboard, learns how far the command is."""
    text = "keep the progress in FILE: a JSON object with text, done and total"
    parser.add_argument("--progress", type=word, metavar="FILE", help=text)


def word(text: str) -> str:
    """Return a word of the command line. Raises ArgumentTypeError for an empty one, which as a path is this folder."""
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty; check the variable that it comes from")
    return text


def run_command(
    args: argparse.Namespace,
    work: Callable[[argparse.Namespace, Settings], int],
    grace_s: float = interruption.GRACE_S,
) -> int:
    """Set up logging, load the settings, call `work(args, settings)`, and return the exit code.

    SIGINT, SIGTERM and SIGHUP raise KeyboardInterrupt in `work`. The process ends by force `grace_s` seconds later, and
    at once at a second signal.

    0: success · 1: expected error, one line on stderr · 2: invalid setting · 130: interrupted ·
    3 to 7: a StreamError's own code.
    """
    _replace_closed_streams()
    _log_to_stderr(args)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # print ? for a character that the terminal's encoding lacks
    with interruption.forced_end(grace_s), interruption.handled(interruption.raise_interrupt):
        return _flush(_exit_code(args, work))


def print_text(text: str) -> int:
    """Print `text` on stdout; return 0, or 1 after an error message if stdout does not take it."""
    _replace_closed_streams()
    try:
        sys.stdout.write(text)
    except OSError as error:
        return _stdout_failed(error, 0)
    return _flush(0)


def end_process(code: int) -> NoReturn:
    """End the process with `code`, without waiting for threads that still wait for a server."""
    code = _flush(code)
    try:
        sys.stderr.flush()
    except (OSError, AttributeError):  # full or closed: Python would make it exit code 120
        os._exit(code)
    if threading.active_count() > 1:
        os._exit(code)
    sys.exit(code)


@contextmanager
def stop_on_signal(stop: threading.Event, minutes: float | None) -> Iterator[None]:
    """Set `stop` at Ctrl-C, at SIGTERM, at SIGHUP, or after `minutes`."""
    timer = threading.Timer(min(60 * (minutes or 0), threading.TIMEOUT_MAX), stop.set)
    timer.daemon = True
    if minutes:
        timer.start()
    try:
        with interruption.handled(lambda *_: stop.set()):
            yield
    finally:
        timer.cancel()


def _exit_code(args: argparse.Namespace, work: Callable[[argparse.Namespace, Settings], int]) -> int:
    try:
        with startup.collection_paused():
            from config import load  # after the parser: --help must not load pydantic

            settings = load()
        return work(args, settings)
    except ToolkitError as error:
        log.error("%s", error)
        log.debug("traceback of this error:", exc_info=True)
        return error.exit_code
    except KeyboardInterrupt:
        log.error("Interrupted.")
        return 130
    except OSError as error:
        if error.filename is not None:  # a file's: errors of these are translated where they occur
            raise
        log.debug("traceback of this error:", exc_info=True)
        return _stdout_failed(error, 0)


def _flush(code: int) -> int:
    """Flush stdout; return `code`, or 1 after an error message if stdout does not take the text."""
    try:
        if sys.stdout:
            sys.stdout.flush()
    except OSError as error:
        return _stdout_failed(error, code)
    return code


def _stdout_failed(error: OSError, code: int) -> int:
    """Print the error and return `code`, 1 instead of 0. A reader of stdout that has read enough is no error."""
    with suppress(OSError):  # Python flushes again at its exit, and would complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):
        return code
    with suppress(OSError):
        sys.stderr.write(f"error: cannot write to stdout: {error.strerror}\n")  # the log is not set up for --help
    return code or 1


def _replace_closed_streams() -> None:
    """Replace standard streams that the caller closed (`>&-`): the next file or socket would get their number.

    Reading from stdin then raises an OSError, as does writing to stdout; what stderr gets is lost.
    """
    for name, mode, flag in (("stdin", "r", os.O_WRONLY), ("stdout", "w", os.O_RDONLY), ("stderr", "w", os.O_WRONLY)):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, flag)
            setattr(sys, name, open(descriptor, mode, encoding="utf-8"))  # noqa: SIM115, PTH123 - until the exit


class _StderrHandler(logging.StreamHandler):
    """Logs to what sys.stderr is at that moment: a live display replaces it, to print messages above itself."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


class _Formatter(logging.Formatter):
    """Keeps secrets out of the log, and control characters of servers, streams and file names from the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        return printable(with_command_lines(super().formatMessage(record)))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        return "\n".join(map(printable, super().formatException(ei).split("\n")))


def _is_own(record: logging.LogRecord) -> bool:
    return record.name.partition(".")[0] in _OWN


def _log_to_stderr(args: argparse.Namespace) -> None:
    level = logging.ERROR if args.quiet else [logging.WARNING, logging.INFO, logging.DEBUG][min(args.verbose, 2)]
    for number in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL):
        logging.addLevelName(number, logging.getLevelName(number).lower())  # as an import of streamlink does, too
    handler = _StderrHandler()
    handler.setFormatter(_Formatter("%(levelname)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    if args.verbose < 2:
        handler.addFilter(_is_own)  # not a level of these loggers: Streamlink sets that again when it is imported
        if not sys.warnoptions:
            warnings.simplefilter("ignore")  # such as that of requests about the version of another library
