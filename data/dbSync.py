"""COMMAND: repair the catalog so that it matches the folder, which is the truth.

    snapshot = rows of the catalog           rows first: a frame that a download saves in between
    scan = files of the folder               is then a file without a row, never a row without a file
    remove rows without a file
    remove games without a folder
    add rows for files without a row
    correct wrong counts
    remove temporary files of dead processes

An empty folder keeps its game, with 0 frames.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from data import cli
from data.entities import Game
from data.text import plural

if TYPE_CHECKING:
    from config import Settings
    from data.storage.catalog import Catalog, CatalogChanges, CatalogSnapshot
    from data.storage.frame_store import FolderScan, FrameStore

log = logging.getLogger(__name__)

_MAX_UNRECOGNISED = 20  # paths printed without -v


@dataclass(frozen=True, slots=True)
class SyncPlan:
    """All changes that a run makes, and the totals after it."""

    changes: CatalogChanges  # its games are those of `added` and `renamed`
    added: tuple[Game, ...]  # with a folder and without a row
    renamed: tuple[Game, ...]  # with the name that games.tsv has
    wrong_counts: tuple[int, ...]  # ids of games with a wrong number of frames
    missing_names: tuple[Game, ...]  # with a name in the catalog and none in games.tsv
    scan: FolderScan
    frames: int  # number of rows after the changes; as many games as in the scan


def main(argv: list[str] | None = None) -> int:
    """Parse the arguments, run the command, and return the exit code."""
    parser = cli.make_parser(
        "data.dbSync",
        "Make the catalog match the folder: remove rows without a file and games without a folder, add rows\n"
        "for files without one, correct wrong counts. Unrecognised files are listed and stay as they are.\n"
        "The command may run while a download does. -v lists every path.",
    )
    parser.add_argument("--dry-run", action="store_true", help="change nothing; print what a run would do")
    return cli.run_command(parser.parse_args(argv), _work)


def _work(args: argparse.Namespace, settings: Settings) -> int:
    from data.factories import make_frame_store, open_catalog

    store = make_frame_store(settings)
    with open_catalog(settings) as catalog:
        # Arguments are evaluated in order: the rows are read before the files, as the module's docstring demands.
        plan = plan_sync(catalog.snapshot(), store.scan(), store.game_names())
        if not args.dry_run:
            apply_plan(plan, store, catalog)
    for items, noun, what, _ in _steps(plan):
        for item in items:
            log.info("%s %s: %s", noun, what, item)
    print("\n".join(report_lines(plan, dry_run=args.dry_run, all_unrecognised=args.verbose > 0)))
    return 0


def plan_sync(snapshot: CatalogSnapshot, scan: FolderScan, names: Mapping[int, str]) -> SyncPlan:
    """Return the changes that make `snapshot`, read before `scan`, match it. `names`: by game id, from games.tsv."""
    from data.storage.catalog import CatalogChanges

    # Sets keep this fast: 100,000 rows and as many files take well under a second.
    files = {frame.path: frame for frame in scan.frames}
    unreadable = tuple(f"{name}/" for name in scan.unreadable)  # their frames are unknown: keep those rows
    removed_paths = sorted(path for path in snapshot.paths - files.keys() if not path.startswith(unreadable))
    removed_games = sorted(snapshot.games.keys() - scan.games)
    new_frames = [files[path] for path in sorted(files.keys() - snapshot.paths)]
    new_games = sorted(scan.games - snapshot.games.keys())
    added = tuple(Game(game_id, names.get(game_id, f"game {game_id}")) for game_id in new_games)
    kept = [snapshot.games[game_id] for game_id in sorted(snapshot.games.keys() & scan.games)]
    renamed = tuple(Game(game.id, names[game.id]) for game in kept if names.get(game.id, game.name) != game.name)
    return SyncPlan(
        changes=CatalogChanges((*added, *renamed), removed_games, new_frames, removed_paths),
        added=added,
        renamed=renamed,
        wrong_counts=tuple(game.id for game in kept if game.id in snapshot.wrong_counts),
        # "game 7" is the catalog's own substitute for a name and does not belong in games.tsv.
        missing_names=tuple(game for game in kept if game.id not in names and game.name != f"game {game.id}"),
        scan=scan,
        frames=len(snapshot.paths) - len(removed_paths) + len(new_frames),
    )


def apply_plan(plan: SyncPlan, store: FrameStore, catalog: Catalog) -> None:
    """Make the plan's changes. Raises CatalogUnavailable, FolderError; the next run does what is left."""
    changes = plan.changes
    if changes.games or changes.removed_games or changes.frames or changes.removed_paths or plan.wrong_counts:
        catalog.apply(changes)
    if plan.missing_names:
        store.add_games(plan.missing_names)
    # Last: a failure here leaves only hidden files, which nobody reads.
    store.remove_stale_files(plan.scan)


def report_lines(plan: SyncPlan, *, dry_run: bool = False, all_unrecognised: bool = False) -> list[str]:
    """Return the lines to print: each change with its count, unrecognised and unreadable paths, the totals."""
    be = "would be " if dry_run else ""
    lines = [f"{plural(len(items), noun)} {what}: {be}{done}" for items, noun, what, done in _steps(plan) if items]
    holds = "would then hold" if dry_run else "holds"
    total = f"The catalog {holds} {plural(len(plan.scan.games), 'game')} and {plural(plan.frames, 'frame')}."
    return [*(lines or ["Nothing to repair."]), *_unrecognised_lines(plan.scan, all_unrecognised), total]


def _unrecognised_lines(scan: FolderScan, all_unrecognised: bool) -> list[str]:
    paths = scan.unrecognised if all_unrecognised else scan.unrecognised[:_MAX_UNRECOGNISED]
    lines = [f"{plural(len(scan.unrecognised), 'unrecognised path')}: not touched"] if paths else []
    # Names of files may hold escape codes and invalid UTF-8.
    lines += [f"  {path if path.isprintable() else ascii(path)}" for path in paths]
    if len(paths) < len(scan.unrecognised):
        lines.append(f"  and {len(scan.unrecognised) - len(paths):,} more; -v lists them all")
    return lines + [f"{path} cannot be read: its rows are not touched" for path in scan.unreadable]


def _steps(plan: SyncPlan) -> list[tuple[Sequence[object], str, str, str]]:
    """Return each kind of change: what it changes, the noun for one of these, what is wrong, and what is done."""
    changes = plan.changes
    return [
        (changes.removed_paths, "row", "without a file", "removed"),
        (changes.removed_games, "game", "without a folder", "removed"),
        ([frame.path for frame in changes.frames], "file", "without a row", "adopted"),
        (plan.added, "game", "without a row", "added"),
        (plan.renamed, "game", "with another name in games.tsv", "renamed"),
        (plan.wrong_counts, "game", "with a wrong count", "corrected"),
        (plan.missing_names, "name", "missing in games.tsv", "written"),
        (plan.scan.stale_files, "temporary file", "of a process that is gone", "removed"),
    ]


if __name__ == "__main__":
    sys.exit(main())
