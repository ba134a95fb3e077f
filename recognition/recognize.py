"""python -m recognition.recognize source…: what are these live streams showing?"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from data import cli
from recognition.engine.signals import undisturbed

if TYPE_CHECKING:
    from config import Settings

_WATCH_ALONE = ("wait", "every", "minutes", "webhook", "metrics")
_SURVEY_ALONE = ("game", "top_streams", "preview", "csv", "parquet", "parallel")  # any of them makes it a survey
_ANSWER_ALONE = ("save",)
_NEVER_WATCH = ("frames", "sure", *_ANSWER_ALONE, *_SURVEY_ALONE)

_Number = TypeVar("_Number", int, float)


def _number(kind: Callable[[str], _Number], words: str, fits: Callable[[_Number], bool]) -> Callable[[str], _Number]:
    """What reads an option's number, and says of another that it is not `words`."""

    def read(text: str) -> _Number:
        try:
            number = kind(text)
        except ValueError:
            number = kind("-1")  # none of them may be below 0
        if not fits(number):
            raise argparse.ArgumentTypeError(f"{text!r} is not {words}")
        return number

    return read


_COUNT = _number(int, "a whole number from 1 on", lambda count: count >= 1)
_SHARE = _number(float, "a number from 0 to 1", lambda share: 0 <= share <= 1)
_TIME = _number(float, "a number above 0", lambda time: 0 < time < float("inf"))
_PORT = _number(int, "a port, 0 to 65535", lambda port: 0 <= port <= 65535)


def main(argv: list[str] | None = None) -> int:
    """Parse, choose the way to go about it, go; returns the exit code."""
    parser = _parser()
    args = parser.parse_args(argv)
    if fault := _fault(args):
        parser.error(fault)
    return cli.run(args, _work)


def _work(args: argparse.Namespace, settings: Settings) -> int:
    with undisturbed():  # numpy starts threads when it is imported: a signal that one of them takes may be lost
        if args.watch:
            from recognition.modes.watch import run
        elif _given(args, _SURVEY_ALONE):
            from recognition.modes.survey import run
        else:
            from recognition.modes.single import run
    return run(args, settings)


def _parser() -> argparse.ArgumentParser:
    parser = cli.parser(
        "recognition.recognize",
        "Say which game a live stream shows: a line for each frame, then the verdict.",
        "exit codes: 0 answered, 1 no model or other trouble, 2 settings, 3 offline, 4 only ads,\n"
        "            5 unknown login, 6 no picture, 7 video servers unavailable, 8 unknown picture;\n"
        "            of several sources: 0 all answered, what all failures share, or 1",
    )
    parser.add_argument(
        "source",
        nargs="*",
        help="a channel's login, the last part of its address; or the address of a stream, a recording or a clip, "
        "on Twitch or wherever Streamlink finds HLS; or a video file; - reads them from stdin, one a line",
    )
    parser.add_argument("--from", dest="sources_file", metavar="FILE", default="", help="sources from FILE, one a line")
    _add_answers(parser.add_argument_group("answers"))
    _add_watch(parser.add_argument_group("watching"))
    _add_survey(parser.add_argument_group("many streams"))
    return parser


def _add_answers(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--json", action="store_true", help="an object a line: docs/events.schema.json")
    group.add_argument("--top", type=_COUNT, metavar="N", default=1, help="the N most probable games (default: 1)")
    group.add_argument(
        "--min-confidence", type=_SHARE, metavar="P", default=0.0, help="what is less sure is unknown: 0 to 1"
    )
    group.add_argument(
        "--frames", type=_COUNT, metavar="N", help="N frames of a stream at most, fewer once its answer is certain"
    )
    group.add_argument(
        "--sure",
        type=_SHARE,
        metavar="P",
        help="how certain that is: P of the answers are those of all N frames (default: 0.99; 1: always look at all)",
    )
    group.add_argument("--save", metavar="DIR", help="keep the frames there, with what was recognised drawn on them")
    group.add_argument(
        "--category", action="store_true", default=None, help="what the streamer has set, beside the answer; asks Helix"
    )


def _add_watch(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--watch", action="store_true", help="follow each stream to its end; say what changes")
    group.add_argument("--wait", action="store_true", default=None, help="for streams to start, and to come back")
    group.add_argument("--every", type=_TIME, metavar="S", help="look at a frame every S seconds, not each segment")
    group.add_argument("--minutes", type=_TIME, metavar="M", help="stop after so many")
    group.add_argument("--webhook", metavar="URL", help="post changes there as JSON")
    group.add_argument("--metrics", type=_PORT, metavar="PORT", help="serve Prometheus there")


def _add_survey(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--game", metavar="NAME", help="the streams of this category; asks Helix")
    group.add_argument("--top-streams", type=_COUNT, metavar="N", help="the N streams with most viewers; asks Helix")
    group.add_argument(
        "--preview",
        action="store_true",
        default=None,
        help="judge the preview picture; the stream where that is unsure",
    )
    group.add_argument("--csv", metavar="FILE", help="write the answers there")
    group.add_argument("--parquet", metavar="FILE", help="write the answers there")
    group.add_argument("--parallel", type=_COUNT, metavar="N", help="look at N streams at a time")


def _fault(args: argparse.Namespace) -> str:
    """What does not go together; empty: nothing."""
    if not args.watch and (watching := _given(args, _WATCH_ALONE)):
        return f"{watching} goes with --watch"
    if args.watch and (other := _given(args, _NEVER_WATCH)):
        return f"{other} does not go with --watch"
    if (survey := _given(args, _SURVEY_ALONE)) and (answer := _given(args, _ANSWER_ALONE)):
        return f"{answer} does not go with {survey}"
    if args.sure is not None and args.frames is None:
        return "--sure goes with --frames"
    if not (args.source or args.sources_file or args.game or args.top_streams):
        return "the following arguments are required: source"
    return ""


def _given(args: argparse.Namespace, names: tuple[str, ...]) -> str:
    """The first of these options that was given, as it is written; empty: none was."""
    return next((f"--{name.replace('_', '-')}" for name in names if getattr(args, name) is not None), "")


if __name__ == "__main__":
    sys.exit(main())
