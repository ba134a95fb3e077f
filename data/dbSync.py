"""COMMAND: repair the catalog so that it matches the folder, which is the truth (data.storage.synchronisation)."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from data import cli
from data.startup import collection_paused
from data.storage.synchronisation import SyncPlan, plan_sync, synchronise
from data.text import plural

if TYPE_CHECKING:
    from config import Settings
    from data.storage.catalog import CatalogSnapshot

log = logging.getLogger(__name__)

_MAX_LINES = 20  # paths of a kind printed without -v


def main(argv: list[str] | None = None) -> int:
    """Parse the arguments, run the command, and return the exit code."""
    parser = cli.make_parser(
        "data.dbSync",
        "Make the catalog match the folder: remove rows without a file and games without a folder, add rows\n"
        "for files without one, complete hashes and manifests, correct wrong counts, delete frames of forgotten\n"
        "streamers. Unrecognised files are listed and stay as they are. The command may run while a download\n"
        "does. -v lists every path.",
    )
    parser.add_argument("--dry-run", action="store_true", help="change nothing; print what a run would do")
    return cli.run_command(parser.parse_args(argv), _work)


def _work(args: argparse.Namespace, settings: Settings) -> int:
    with collection_paused():  # it would look at each of 400,000 objects again and again
        return _synchronise(args, settings)


def _synchronise(args: argparse.Namespace, settings: Settings) -> int:
    from data.factories import make_frame_store, open_catalog

    store = make_frame_store(settings)
    if args.dry_run:
        snapshot = _snapshot_of_dry_run(settings)
        plan = plan_sync(snapshot, store.scan(), store.game_names(), store, store.forgotten.current())
    else:
        with open_catalog(settings) as catalog:
            plan = synchronise(store, catalog)
    for items, noun, what, _ in _steps(plan):
        for item in items:
            log.info("%s %s: %s", noun, what, item)
    print("\n".join(report_lines(plan, dry_run=args.dry_run, all_unrecognised=args.verbose > 0)))
    return 0


def _snapshot_of_dry_run(settings: Settings) -> CatalogSnapshot:
    """Return the rows as a run would find them, migrated if necessary; make no database where there is none."""
    from data.factories import open_existing_catalog
    from data.storage.catalog import CatalogSnapshot

    with open_existing_catalog(settings, "dry run") as catalog:
        return catalog.snapshot() if catalog else CatalogSnapshot({}, {}, frozenset())


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
    unhashed = {frame.path for frame in plan.unhashed}
    return [
        ([frame.path for frame in plan.forgotten], "frame", "of a forgotten streamer", "deleted"),
        (changes.removed_paths, "row", "without a file", "removed"),
        (changes.removed_games, "game", "without a folder", "removed"),
        ([frame.path for frame in changes.frames], "file", "without a row", "adopted"),
        ([frame.path for frame in plan.unhashed], "row", "without a hash", "completed"),
        (
            [frame.path for frame in changes.updated if frame.path not in unhashed],
            "row",
            "unlike its manifest",
            "corrected",
        ),
        ([frame.path for frame in plan.undescribed], "file", "without a line in its manifest", "described"),
        (plan.games.added, "game", "without a row", "added"),
        (plan.games.renamed, "game", "with another name in games.tsv", "renamed"),
        (plan.games.wrong_counts, "game", "with a wrong count", "corrected"),
        (plan.games.missing_names, "name", "missing in games.tsv", "written"),
        (plan.scan.stale_files, "temporary file", "of a process that is gone", "removed"),
    ]


if __name__ == "__main__":
    cli.end_process(main())
