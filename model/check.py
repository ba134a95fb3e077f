"""COMMAND: find the streams and frames that do not show the game of their folder; move them, and move them back.

without --apply, --undo or --changes:
    list the frames, compute the features that are missing
    check: predictions from other streamers' frames, kinds of screen, duplicates
    measure what cleaning does to the accuracy on held-out streamers, whom the check of the others does not see
    write check.csv into the dataset's folder, print the suspects, write the reports
--apply:
    read check.csv, choose suspects, leave out files that changed since
    move them to the trash, or with --relabel to the game that they show
--undo: move the frames of a change back
"""

from __future__ import annotations

import argparse
import math
import shutil
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from data import cli
from data.commands import command_line
from data.errors import DatasetError, FolderError
from data.text import plural, printable
from model.cleaning.findings import KINDS

if TYPE_CHECKING:
    from config import Settings
    from data.storage.changes import Move
    from data.storage.frame_store import FrameStore
    from model.cleaning.effect import Effect
    from model.cleaning.findings import CheckResult

_EPILOG = """\
A check changes nothing but check.csv in the folder of the frames; --apply moves the suspects that this file names.
Their rows and manifest lines move with them. The trash is the folder .trash beside the games' folders.

--json prints one object with these keys:
  path             folder of the frames
  stream_count     number of streams: all frames of a streamer in a game are one
  frame_count      number of frames
  suspect_streams  number of suspect streams
  suspect_frames   number of suspect frames, those of suspect streams included
  agreement        fraction of the streams that look like the other streams of their game; where it is small, many
                   suspects are none
  effect           of cleaning on the accuracy: {"streamers", "before", "after", "gain", "low", "high"}, fractions
                   with the gain's 95 % interval; null: not measured
  streams          all, the most suspicious first: [{"game", "login", "frames", "suspicion", "kind", "reason",
                   "suggested", "suspect"}]
  frames           the suspect ones, likewise, with "path" instead of "frames"

settings: DOWNLOAD_PATH IMG_SIZE ARCHITECTURE INITIAL_WEIGHTS SEED, and for changes the section Database"""
_CHOICE = ("streams", "frames", "kind", "min_suspicion", "only", "except")  # options that need --apply or --dry-run
_UNCUT = 10_000  # columns


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return the exit code."""
    parser = cli.make_parser("model.check", "Find streams and frames that do not show their folder's game.", _EPILOG)
    _add_modes(parser)
    _add_reports(parser)
    _add_choice(parser)
    args = parser.parse_args(argv)
    chooses = [name.replace("_", "-") for name in _CHOICE if getattr(args, name)]
    if chooses and not (args.apply or args.dry_run):
        parser.error(f"--{chooses[0]} needs --apply or --dry-run")
    if args.apply or args.dry_run:
        return cli.run_command(args, _apply)
    if args.changes or args.undo is not None:
        return cli.run_command(args, _list_changes if args.changes else _undo)
    return cli.run_command(args, _check, grace_s=math.inf)  # after Ctrl-C a batch of features ends first


def _add_modes(parser: argparse.ArgumentParser) -> None:
    modes = parser.add_mutually_exclusive_group()
    modes.add_argument("--apply", action="store_true", help="move the suspects of the last check to the trash")
    modes.add_argument("--dry-run", action="store_true", help="print what --apply would do")
    modes.add_argument("--undo", nargs="?", const="", metavar="ID", help="undo a change; without ID the last one")
    modes.add_argument("--changes", action="store_true", help="list the changes")
    parser.add_argument("--relabel", action="store_true", help="move to the game that a suspect shows, if it is clear")


def _add_reports(parser: argparse.ArgumentParser) -> None:
    reports = parser.add_argument_group("reports of a check")
    reports.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    reports.add_argument("--csv", type=Path, metavar="FILE", help="also write all frames as CSV")
    reports.add_argument("--html", type=Path, metavar="FILE", help="also write a page with pictures of the suspects")
    reports.add_argument("--logins", action="store_true", help="name streamers there, instead of their keyed hashes")
    reports.add_argument("--no-effect", action="store_true", help="do not measure what cleaning does to the accuracy")
    cli.add_progress_option(parser)


def _add_choice(parser: argparse.ArgumentParser) -> None:
    choice = parser.add_argument_group("suspects that --apply and --dry-run choose (default: all)")
    which = choice.add_mutually_exclusive_group()
    which.add_argument("--streams", action="store_true", help="suspect streams only, as a whole")
    which.add_argument("--frames", action="store_true", help="suspect frames of other streams only")
    choice.add_argument("--kind", action="append", choices=KINDS, help="this kind only; repeatable")
    fraction = cli.bounded_number(float, 0, 1, "a number from 0 to 1")
    choice.add_argument("--min-suspicion", type=fraction, metavar="X", help="suspicions of at least X only (0 to 1)")
    choice.add_argument("--only", action="append", metavar="NAME", help="this login, hash or path only; repeatable")
    choice.add_argument("--except", action="append", metavar="NAME", help="not this login, hash or path; repeatable")


def _check(args: argparse.Namespace, settings: Settings) -> int:
    from data.factories import local_frames, make_frame_store
    from data.storage.layout import CHECK_FILE
    from data.storage.pseudonyms import Pseudonyms
    from model.cleaning.check_file import AS_STORED, LoginNames, to_csv
    from model.reports import check_page, check_tables
    from model.terminal.progress import make_progress

    store = make_frame_store(settings)
    folder = local_frames(settings, store, make_progress(args.quiet, args.progress))
    result, effect, effect_lines = _find(args, settings, folder, store.location)
    game_names = folder.game_names()
    store.save_report(CHECK_FILE, to_csv(result).encode())
    names = AS_STORED if args.logins else LoginNames(Pseudonyms(store.files).of)
    trust = check_tables.trust_lines(result)
    if args.csv:
        _write(args.csv, to_csv(result, names))
    if args.html:
        _write(args.html, check_page.render(result, [*trust, *effect_lines], game_names, folder.read, names))
    if args.json:
        print(check_tables.as_json(result, effect, store.location, game_names, names))
        return 0
    tables = (rows(result, game_names) for rows in (check_tables.stream_rows, check_tables.frame_rows))
    rendered = (check_tables.render(rows, _width()) for rows in tables if rows)
    print("\n".join([check_tables.summary_line(result), *trust, "", *rendered, *effect_lines]))
    return 0


def _find(
    args: argparse.Namespace, settings: Settings, folder: FrameStore, location: str
) -> tuple[CheckResult, Effect | None, list[str]]:
    """Return the findings, and the effect of cleaning with its lines for people. location: for messages."""
    from model.cleaning.check import require_comparable
    from model.cleaning.effect import cleaning_effect
    from model.datasets.listing import classes_of
    from model.reports import check_tables
    from model.terminal.progress import make_progress
    from model.training import frame_features

    frames = list(folder.frames())
    classes_of(frames, folder.game_names(), location)  # too small a dataset must not wait for its features
    require_comparable(frames)
    inputs = frame_features.collect(settings, folder, frames, cli.log.info, make_progress(args.quiet, args.progress))
    games = classes_of(inputs.frames, folder.game_names(), location)
    result = inputs.check(games)
    if args.no_effect:
        return result, None, []
    try:
        check_rows = partial(inputs.check, games)
        effect = cleaning_effect(inputs.frames, inputs.features, games, result, check_rows, relabel=args.relabel)
    except DatasetError as error:
        return result, None, [f"What cleaning does to the accuracy cannot be measured: {error}"]
    return result, effect, check_tables.effect_lines(effect)


def _apply(args: argparse.Namespace, settings: Settings) -> int:
    from data.factories import make_frame_store, open_changes
    from model.reports import check_tables

    store = make_frame_store(settings)
    if args.dry_run:
        moves = _choose(args, store)
    else:
        with open_changes(settings) as changes:
            changes.finish_pending()  # else its frames would be chosen again
            if moves := _choose(args, store):
                change = changes.apply(moves, f"check: {plural(len(moves), 'suspect')}")
    if not moves:
        print("Nothing to move: no suspect of the last check fits.")
        return 0
    print(check_tables.render(check_tables.move_rows(moves, store.game_names()), _width()))
    if args.dry_run:
        trashed = sum(move.target is None for move in moves)
        print(f"Would move {check_tables.places(trashed, len(moves) - trashed)}.")
    else:
        print(f"Moved {check_tables.places(change.trashed, len(change.moves) - change.trashed)}.")
        print(f"Undo: {command_line('model.check')} --undo {change.id}")
    return 0


def _choose(args: argparse.Namespace, store: FrameStore) -> list[Move]:
    """Return the moves of the chosen suspects whose files are as the last check saw them. Raises DatasetError."""
    from data.storage.pseudonyms import Pseudonyms
    from model.cleaning.selection import SuspectFilter, emptied_games, last_check, to_moves, unchanged

    selection = SuspectFilter(
        streams=not args.frames,
        frames=not args.streams,
        kinds=args.kind or (),
        min_suspicion=args.min_suspicion or 0.0,
        only=args.only or (),
        excluded=getattr(args, "except") or (),
        pseudonym=Pseudonyms(store.files).of,
    )
    chosen = selection.choose(last_check(store))
    same = unchanged(store, chosen)
    if len(same) < len(chosen):
        cli.log.warning("%s changed or went since the check: not touched.", plural(len(chosen) - len(same), "suspect"))
    moves = to_moves(same, relabel=args.relabel)
    for name in emptied_games(moves, store):
        cli.log.warning("%s loses all of its frames.", name)
    return moves


def _undo(args: argparse.Namespace, settings: Settings) -> int:
    from data.factories import open_changes

    with open_changes(settings) as changes:
        change = changes.undo(args.undo or None)
    print(f"{plural(len(change.moves), 'frame')} moved back ({change.summary}).")
    return 0


def _list_changes(_args: argparse.Namespace, settings: Settings) -> int:
    from data.factories import make_frame_store
    from data.storage.changes import FrameChanges
    from model.reports import check_tables

    changes = FrameChanges(make_frame_store(settings), None).changes()
    rows = check_tables.render(check_tables.change_rows(changes), _width())
    print(rows if changes else "There are no changes.\n", end="")
    return 0


def _write(path: Path, text: str) -> None:
    """Write a report. Raises FolderError."""
    from data.atomic import atomic_file

    try:
        with atomic_file(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise FolderError(f"{printable(str(path))}: {error.strerror}. Choose another file.") from error


def _width() -> int:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else _UNCUT


if __name__ == "__main__":
    cli.end_process(main())
