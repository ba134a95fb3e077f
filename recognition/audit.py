"""COMMAND: compare what live streams show with the category that their streamers declare, and report it."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, Any

from data import cli, startup
from data.pool.options import add_ray_option, with_ray_option
from recognition.engine.signals import signals_deferred

if TYPE_CHECKING:
    from config import Settings

_EPILOG = """\
Only another known game is a mismatch, and only if a second look confirms it. Menus, intermissions and talk are "no
game". Categories count whose answers are precise enough by the model's validation; the others are "not judged".

The answers are stored in PostgreSQL as they come. An audit that was interrupted goes on where it was when the same
command is started within 24 hours. Streamers are pseudonyms in the report, unless --logins is given. data.forget and
data.purge also remove streams of audits from PostgreSQL, but not from reports.

exit codes: 0 a report was written, 1 no model or another error, 2 invalid setting or option, 3 no live stream,
            130 interrupted (ended by force, as by a second signal: 128 and its number)
"""
_MAX = 1_000_000
_N: dict[str, Any] = {"type": cli.bounded_number(int, 1, _MAX, f"a whole number from 1 to {_MAX}"), "metavar": "N"}
_P: dict[str, Any] = {"type": cli.bounded_number(float, 0, 1, "a number from 0 to 1"), "metavar": "P"}
_PARALLEL = cli.bounded_number(int, 1, 256, "a whole number from 1 to 256")
_SEED = cli.bounded_number(int, 0, 2**32 - 1, "a whole number from 0 to 4294967295")
_MINUTES = cli.bounded_number(float, 0, 1440, "a number from 0 to 1440")
_EVERY = cli.duration({"s": 1, "m": 60, "h": 3600, "d": 86400}, "a whole number and s, m, h or d, such as 1h")


def main(argv: list[str] | None = None) -> int:
    """Parse the arguments, run the command, and return the exit code."""
    parser = _parser()
    args = parser.parse_args(argv)
    if not (args.source or args.sources_file or args.top or args.game or args.language or args.sample):
        parser.error("name channels, or choose streams with --top, --game, --language or --sample")
    return cli.run_command(args, _work)


def _work(args: argparse.Namespace, settings: Settings) -> int:
    with signals_deferred(), startup.collection_paused():  # NumPy and ONNX Runtime start threads at their import
        from recognition.auditing.command import run
    return run(args, with_ray_option(settings, args.ray))


def _parser() -> argparse.ArgumentParser:
    parser = cli.make_parser(
        "recognition.audit", "Find streams that show another game than their streamers declare.", _EPILOG
    )
    _add_streams(parser.add_argument_group("streams; Helix credentials are needed"))
    _add_looks(parser.add_argument_group("looks"))
    _add_results(parser.add_argument_group("results"))
    return parser


def _add_streams(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("source", nargs="*", help="login of a Twitch channel, or its address; - to read them from stdin")
    add("--from", dest="sources_file", type=cli.word, metavar="FILE", help="read more channels from FILE, one per line")
    add("--top", **_N, help="audit the N live streams with the most viewers")
    add("--game", action="append", default=[], type=cli.word, metavar="NAME", help="only streams of this category")
    add("--language", action="append", default=[], type=_language, metavar="CODE", help="only streams in this language")
    add("--sample", **_N, help="look at a stratified random sample of N of these streams, and estimate for all of them")
    add("--seed", type=_SEED, metavar="N", help="seed of the sample (default: random)")
    add("--min-precision", **_P, default=0.9, help="least precision of a category that counts, 0 to 1 (default: 0.9)")


def _add_looks(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--frames", **_N, help="look at up to N frames of a stream (default: FRAMES_PER_STREAM)")
    add("--sure", **_P, help="end a look when the answer is that of all N frames with probability P (default: 0.99)")
    add("--preview", action="store_true", help="look at the preview image first, at the stream if that is uncertain")
    parallel = "look at N streams at a time, with --ray on each CPU (default: PARALLEL_STREAMS)"
    add("--parallel", type=_PARALLEL, metavar="N", help=parallel)
    again = "look again at a mismatch after MINUTES before it counts (default: 10)"
    add("--again", type=_MINUTES, default=10.0, metavar="MINUTES", help=again)
    add_ray_option(group)


def _add_results(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--every", type=_EVERY, metavar="DURATION", help="begin another audit every 30m, 1h, 1d …, until Ctrl-C")
    add("--new", action="store_true", help="begin a new audit instead of continuing an interrupted one")
    add("--out", type=cli.word, metavar="DIR", help="write reports to new folders in DIR (default: AUDIT_PATH)")
    add("--logins", action="store_true", help="name the streamers in the report")


def _language(text: str) -> str:
    """Return the code of a language as Helix takes it. Raises ArgumentTypeError."""
    if not re.fullmatch("[a-z]{2}|other", code := text.strip().lower()):
        raise argparse.ArgumentTypeError(f"invalid language {text!r}: write a code such as en, or other")
    return code


if __name__ == "__main__":
    cli.end_process(main())
