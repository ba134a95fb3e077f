"""Command `python -m recognition.recognize source…`: recognise which games live streams show."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from data import cli, startup
from data.pool.options import add_ray_option, with_ray_option
from recognition.engine.signals import signals_deferred

if TYPE_CHECKING:
    from config import Settings

# Options by the mode that they need; the default mode is single.
_WATCH_ONLY = ("wait", "every", "minutes", "webhook", "alert", "outbox", "metrics")
_SURVEY_ONLY = ("game", "top_streams", "preview", "parallel", "window")  # any of them selects survey mode
_CLUSTER = ("ray",)  # selects survey mode, too, where no other mode is chosen
_SINGLE_ONLY = ("save",)
_CHAPTERS_ONLY = ("chapters_file", "look_every")
_NOT_WITH_WATCH = ("frames", "sure", "chapters", *_SINGLE_ONLY, *_SURVEY_ONLY)
_NOT_WITH_CHAPTERS = ("frames", "sure", "csv", "parquet", "category", *_SINGLE_ONLY, *_SURVEY_ONLY, *_CLUSTER)
_FILES = ("csv", "parquet")  # files that any mode writes
_STDOUT = "-"

_MAX_COUNT, _MAX_PARALLEL = 1_000_000, 256
# Arguments of add_argument for a count and for a probability.
_N = {"type": cli.bounded_number(int, 1, _MAX_COUNT, "a whole number, at least 1, at most 1000000"), "metavar": "N"}
_P = {"type": cli.bounded_number(float, 0, 1, "a number from 0 to 1"), "metavar": "P"}
_CHAPTERS = "print when which game is played in a recording; YouTube takes at least 3 chapters of 10 s or more"
# More frames than a video has would only be looked for; longer times exceed what a timer takes.
_EVERY = cli.bounded_number(float, 0.01, 1e7, "a number above 0, at least 0.01, at most 10000000")
_MINUTES = cli.bounded_number(float, 1e-6, 1e7, "a number above 0, at most 10000000")
_PORT = cli.bounded_number(int, 0, 65535, "a port from 0 to 65535")
_WINDOW = cli.duration({"s": 1, "m": 60, "h": 3600, "d": 86400}, "a whole number and s, m, h or d, such as 1h")
_PARALLEL = "recognise N streams at a time, with --ray on each CPU (default: PARALLEL_STREAMS)"
_THREADS = cli.bounded_number(int, 1, _MAX_PARALLEL, f"a whole number from 1 to {_MAX_PARALLEL}")


def main(argv: list[str] | None = None) -> int:
    """Parse the arguments, run the mode that they select, and return the exit code."""
    parser = _parser()
    args = parser.parse_args(argv)
    if error := _usage_error(args):
        parser.error(error)
    return cli.run_command(args, _work)


def _work(args: argparse.Namespace, settings: Settings) -> int:
    """Import the mode and run it."""
    # NumPy starts threads at its import: a signal that one of them receives may be lost.
    with signals_deferred(), startup.collection_paused():
        if args.watch:
            from recognition.modes.watch import run
        elif args.chapters:
            from recognition.modes.chapters import run
        elif _first_given(args, _SURVEY_ONLY + _CLUSTER):
            from recognition.modes.survey import run
        else:
            from recognition.modes.single import run
    return run(args, with_ray_option(settings, args.ray))


def _parser() -> argparse.ArgumentParser:
    parser = cli.make_parser(
        "recognition.recognize",
        "Recognise the game that a live stream shows: print a line for each frame, then the verdict.\n"
        "The score of the verdict is the sum of the game's confidences over the N frames above it: 13.9 is out of N.",
        "exit codes: 0 success, 1 no model or another error, 2 invalid setting or option, 3 offline, 4 only ads,\n"
        "            5 source not found, 6 no image, 7 video servers unavailable, 8 unknown game,\n"
        "            130 interrupted (ended by force, as by a second signal: 128 and its number);\n"
        "            with several sources: 0 if all succeed, the code that all failures share, otherwise 1",
    )
    add = parser.add_argument
    add(
        "source",
        nargs="*",
        help="login of a Twitch channel; URL of a channel, recording or clip on Twitch, or of a stream on any site "
        "with HLS that Streamlink supports; path of a video, a picture or a folder of pictures; or - to read sources "
        "from stdin, one per line",
    )
    add("--from", dest="sources_file", type=_text, metavar="FILE", help="read more sources from FILE, one per line")
    _add_recognition(parser.add_argument_group("recognition").add_argument)
    _add_watch(parser.add_argument_group("watching, needs --watch").add_argument)
    _add_chapters(parser.add_argument_group("chapters of recordings, needs --chapters").add_argument)
    _add_survey(parser.add_argument_group("surveys of many streams, not with --watch").add_argument)
    _add_cluster(parser.add_argument_group("cluster, for --watch and surveys"))
    return parser


def _add_recognition(add: Callable[..., Any]) -> None:
    add("--json", action="store_true", help="print JSON lines as in docs/events.schema.json, not text")
    add("--top", **_N, default=1, help="print the N best games (default: 1)")
    add("--min-confidence", **_P, default=0.0, help="call results below P unknown, 0 to 1 (default: 0)")
    add(
        "--frames",
        **_N,
        help="classify at most N frames of a source, fewer if the verdict is certain (default: all FRAMES_PER_STREAM)",
    )
    add(
        "--sure",
        **_P,
        help="certainty for --frames: the verdict is that of all N frames with probability P, 0 to 1; "
        "1 never stops early (default: 0.99)",
    )
    add("--csv", type=_text, metavar="FILE", help="also write verdicts and failures to FILE as CSV; - for stdout only")
    add("--parquet", type=_text, metavar="FILE", help="also write them to FILE as Parquet; - for stdout only")
    add("--save", type=_text, metavar="DIR", help="write annotated frames and a contact sheet to new folders in DIR")
    # The default None, not False, tells _first_given that an option was not given.
    add("--category", action="store_true", default=None, help="add the streamer's category; needs Helix credentials")


def _add_watch(add: Callable[..., Any]) -> None:
    add("--watch", action="store_true", help="follow each stream to its end and print what changes")
    add("--wait", action="store_true", default=None, help="wait for streams to start and to come back")
    add("--every", type=_EVERY, metavar="S", help="classify a frame every S seconds (default: of each segment)")
    add("--minutes", type=_MINUTES, metavar="M", help="stop after M minutes (default: never)")
    add("--webhook", type=_text, metavar="URL", help="POST each change to URL as JSON")
    add(
        "--alert",
        action="append",
        type=_text,
        metavar="URL",
        help="send alerts to URL: discord://, slack://, tgram://, ntfy://, mqtt://, https:// and others; repeatable",
    )
    add("--outbox", type=_text, metavar="FILE", help="keep alerts in FILE until they are delivered (OUTBOX_PATH)")
    add("--metrics", type=_PORT, metavar="PORT", help="serve Prometheus metrics at PORT; 0: a free port")


def _add_chapters(add: Callable[..., Any]) -> None:
    add("--chapters", action="store_true", default=None, help=_CHAPTERS)
    add(
        "--chapters-file",
        action="append",
        type=_text,
        metavar="FILE",
        help="also write the chapters to FILE; its suffix chooses the form: .ffmetadata, .vtt, .txt (YouTube), .json",
    )
    add("--look-every", type=_EVERY, metavar="S", help="first look at a frame every S seconds (default: 30)")


def _add_survey(add: Callable[..., Any]) -> None:
    add("--game", type=_text, metavar="NAME", help="add the live streams of this category; needs Helix credentials")
    add(
        "--top-streams",
        **_N,
        help="add only the N streams with the most viewers, of all categories or of --game; needs Helix credentials",
    )
    add("--preview", action="store_true", default=None, help="classify the preview image, the stream if uncertain")
    add("--parallel", type=_THREADS, metavar="N", help=_PARALLEL)


def _add_cluster(group: argparse._ArgumentGroup) -> None:
    add_ray_option(group)
    window = "of a survey with --ray: go on with the same one if it began within DURATION, up to 7d (default: 1h)"
    group.add_argument("--window", type=_WINDOW, metavar="DURATION", help=window)


def _usage_error(args: argparse.Namespace) -> str:
    """Return what is wrong with the combination of options, "" if nothing is."""
    if error := _mode_error(args):
        return error
    if args.sure is not None and args.frames is None:
        return "--sure needs --frames"
    if not (args.source or args.sources_file or args.game or args.top_streams):
        return "the following arguments are required: source"
    return _file_error(args)


def _mode_error(args: argparse.Namespace) -> str:
    """Return which option does not fit the mode, "" if all do."""
    for mode, own, others in (
        ("watch", _WATCH_ONLY, _NOT_WITH_WATCH),
        ("chapters", _CHAPTERS_ONLY, _NOT_WITH_CHAPTERS),
    ):
        is_chosen = bool(getattr(args, mode))
        if name := _first_given(args, others if is_chosen else own):
            return f"{name} cannot be used with --{mode}" if is_chosen else f"{name} needs --{mode}"
    if (survey := _first_given(args, _SURVEY_ONLY + _CLUSTER)) and (single := _first_given(args, _SINGLE_ONLY)):
        return f"{single} cannot be used with {survey}"
    is_single = not (args.watch or args.sources_file or args.source[1:] or _STDOUT in args.source)
    if args.ray and is_single and not _first_given(args, _SURVEY_ONLY):
        return "--ray needs --watch or more than one source"
    return ""


def _file_error(args: argparse.Namespace) -> str:
    """Return why the files to write would overwrite each other or a source, "" if they would not."""
    if args.json and (table := next((name for name in _FILES if getattr(args, name) == _STDOUT), "")):
        return f"--json cannot be used with --{table} -: both write to stdout"
    inputs = filter(os.path.isfile, (*args.source, args.sources_file or ""))  # no error for names that are too long
    taken = set(map(os.path.realpath, inputs))
    written = [(name, getattr(args, name)) for name in _FILES]
    for name, path in [*written, *(("chapters-file", path) for path in args.chapters_file or ())]:
        key = path if path in (None, _STDOUT) else os.path.realpath(path)
        if key in taken:
            return f"--{name} {path} would overwrite another file of this command"
        taken |= {key} - {None}
    return ""


def _text(text: str) -> str:
    """Return an option's value, which must not be empty."""
    if not text:
        raise argparse.ArgumentTypeError("invalid value '': must not be empty")
    return text


def _first_given(args: argparse.Namespace, names: tuple[str, ...]) -> str:
    """Return the first of these options that was given, as the user writes it; "" if none was."""
    return next((f"--{name.replace('_', '-')}" for name in names if getattr(args, name) is not None), "")


if __name__ == "__main__":
    cli.end_process(main())
