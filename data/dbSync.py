"""COMMAND: repair the catalog so that it matches the folder, which is the truth.

    snapshot = rows of the catalog           rows first: a frame that a download saves in between
    scan = files of the folder               is then a file without a row, never a row without a file
    remove rows without a file
    remove games without a folder
    add rows for files without a row
    add hashes of files to rows without one
    correct wrong counts
    remove temporary files of dead processes
    report files that are identical to another one: the user decides which to delete

An empty folder keeps its game, with 0 frames.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from data import cli
from data.entities import Game, StoredFrame
from data.errors import FolderError
from data.text import plural

if TYPE_CHECKING:
    from config import Settings
    from data.storage.catalog import Catalog, CatalogChanges, CatalogSnapshot
    from data.storage.frame_store import FolderScan, FrameStore

log = logging.getLogger(__name__)

_MAX_LINES = 20  # paths of a kind printed without -v


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
    identical: tuple[tuple[str, str], ...] = ()  # paths of a file and of an earlier one with the same bytes


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
    if args.dry_run:
        plan = _plan(_snapshot_of_dry_run(settings), store)
    else:
        with open_catalog(settings) as catalog:
            plan = _plan(catalog.snapshot(), store)
            apply_plan(plan, store, catalog)
    for items, noun, what, _ in _steps(plan):
        for item in items:
            log.info("%s %s: %s", noun, what, item)
    print("\n".join(report_lines(plan, dry_run=args.dry_run, all_unrecognised=args.verbose > 0)))
    return 0


def _snapshot_of_dry_run(settings: Settings) -> CatalogSnapshot:
    """Return the rows as a run would find them, migrated if necessary; make no database where there is none."""
    from data.factories import has_database, open_catalog
    from data.storage.catalog import CatalogSnapshot

    if not has_database(settings):
        return CatalogSnapshot(frozenset(), {}, frozenset())
    with open_catalog(settings, access="dry run") as catalog:
        return catalog.snapshot()


def _plan(snapshot: CatalogSnapshot, store: FrameStore) -> SyncPlan:
    # The rows were read before the files, as the module's docstring demands.
    return plan_sync(snapshot, store.scan(), store.game_names(), store.sha256)


def plan_sync(
    snapshot: CatalogSnapshot,
    scan: FolderScan,
    names: Mapping[int, str],
    sha256: Callable[[StoredFrame], bytes] | None = None,
) -> SyncPlan:
    """Return the changes that make `snapshot`, read before `scan`, match it.

    names: by game id, from games.tsv. sha256: of a frame's file, or FolderError; None: hashes are no matter.
    """
    from data.storage.catalog import CatalogChanges

    # Sets keep this fast: 100,000 rows and as many files take well under a second.
    files = {frame.path: frame for frame in scan.frames}
    unreadable = tuple(f"{name}/" for name in scan.unreadable)  # their frames are unknown: keep those rows
    removed_paths = sorted(path for path in snapshot.paths - files.keys() if not path.startswith(unreadable))
    removed_games = sorted(snapshot.games.keys() - scan.games)
    hashed = [_with_hash(files[path], sha256) for path in sorted(files.keys() - snapshot.hashes.keys())]
    new_frames = [frame for frame in hashed if frame.path not in snapshot.paths]
    new_games = sorted(scan.games - snapshot.games.keys())
    added = tuple(Game(game_id, names.get(game_id, f"game {game_id}")) for game_id in new_games)
    kept = [snapshot.games[game_id] for game_id in sorted(snapshot.games.keys() & scan.games)]
    renamed = tuple(Game(game.id, names[game.id]) for game in kept if names.get(game.id, game.name) != game.name)
    return SyncPlan(
        changes=CatalogChanges(
            games=(*added, *renamed),
            removed_games=removed_games,
            frames=new_frames,
            removed_paths=removed_paths,
            hashed=[frame for frame in hashed if frame.path in snapshot.paths and frame.sha256],
        ),
        added=added,
        renamed=renamed,
        wrong_counts=tuple(game.id for game in kept if game.id in snapshot.wrong_counts),
        # "game 7" is the catalog's own substitute for a name and does not belong in games.tsv.
        missing_names=tuple(game for game in kept if game.id not in names and game.name != f"game {game.id}"),
        scan=scan,
        frames=len(snapshot.paths) - len(removed_paths) + len(new_frames),
        identical=_identical(files, {**snapshot.hashes, **{frame.path: frame.sha256 for frame in hashed}}),
    )


def _with_hash(frame: StoredFrame, sha256: Callable[[StoredFrame], bytes] | None) -> StoredFrame:
    """Return the frame with its hash; without one if its file cannot be read."""
    try:
        return replace(frame, sha256=sha256(frame)) if sha256 else frame
    except FolderError:
        return frame


def _identical(files: Mapping[str, StoredFrame], hashes: Mapping[str, bytes]) -> tuple[tuple[str, str], ...]:
    """Return each file that has the hash of an earlier one, with that one; the order is by game, login and number."""
    first: dict[bytes, str] = {}
    ordered = sorted(files.values(), key=lambda frame: (frame.game_id, frame.login, frame.number))
    paths = [frame.path for frame in ordered if hashes.get(frame.path)]
    pairs = ((path, first.setdefault(hashes[path], path)) for path in paths)
    return tuple((path, other) for path, other in pairs if path != other)


def apply_plan(plan: SyncPlan, store: FrameStore, catalog: Catalog) -> None:
    """Make the plan's changes. Raises CatalogUnavailable, FolderError; the next run does what is left."""
    changes = plan.changes
    rows = (changes.games, changes.removed_games, changes.frames, changes.removed_paths, changes.hashed)
    if any((*rows, plan.wrong_counts)):
        catalog.apply(changes)
    if plan.missing_names:
        store.add_games(plan.missing_names)
    # Last: a failure here leaves only hidden files, which nobody reads.
    store.remove_stale_files(plan.scan)


def report_lines(plan: SyncPlan, *, dry_run: bool = False, all_unrecognised: bool = False) -> list[str]:
    """Return the lines to print: each change with its count, paths for the user to decide, the totals."""
    be = "would be " if dry_run else ""
    lines = [f"{plural(len(items), noun)} {what}: {be}{done}" for items, noun, what, done in _steps(plan) if items]
    holds = "would then hold" if dry_run else "holds"
    total = f"The catalog {holds} {plural(len(plan.scan.games), 'game')} and {plural(plan.frames, 'frame')}."
    return [*(lines or ["Nothing to repair."]), *_untouched_lines(plan, all_unrecognised), total]


def _untouched_lines(plan: SyncPlan, all_unrecognised: bool) -> Iterator[str]:
    """Yield what the user has to decide: identical files, unrecognised paths, unreadable folders."""
    identical = [f"{path} = {other}" for path, other in plan.identical]
    for paths, noun in ((identical, "identical frame"), (plan.scan.unrecognised, "unrecognised path")):
        shown = paths if all_unrecognised else paths[:_MAX_LINES]
        if paths:
            yield f"{plural(len(paths), noun)}: not touched"
        # Names of files may hold escape codes and invalid UTF-8.
        yield from (f"  {path if path.isprintable() else ascii(path)}" for path in shown)
        if len(shown) < len(paths):
            yield f"  and {len(paths) - len(shown):,} more; -v lists them all"
    yield from (f"{path} cannot be read: its rows are not touched" for path in plan.scan.unreadable)


def _steps(plan: SyncPlan) -> list[tuple[Sequence[object], str, str, str]]:
    """Return each kind of change: what it changes, the noun for one of these, what is wrong, and what is done."""
    changes = plan.changes
    return [
        (changes.removed_paths, "row", "without a file", "removed"),
        (changes.removed_games, "game", "without a folder", "removed"),
        ([frame.path for frame in changes.frames], "file", "without a row", "adopted"),
        ([frame.path for frame in changes.hashed], "row", "without a hash", "completed"),
        (plan.added, "game", "without a row", "added"),
        (plan.renamed, "game", "with another name in games.tsv", "renamed"),
        (plan.wrong_counts, "game", "with a wrong count", "corrected"),
        (plan.missing_names, "name", "missing in games.tsv", "written"),
        (plan.scan.stale_files, "temporary file", "of a process that is gone", "removed"),
    ]


if __name__ == "__main__":
    cli.end_process(main())
