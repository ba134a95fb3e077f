"""python -m data.dbSync: make the catalogue match the folder, which is the truth.

    rows = the catalogue's; files = the folder's      rows first: a frame that a download saves in
    rows without a file go                            between is then a file without a row, and is
    games without a folder go                         adopted, never a row that loses its file
    files without a row are adopted
    counts are set right
    temporary files of processes that are gone go

A game's empty folder keeps the game, with 0 frames.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from data import cli
from data.entities import Game

if TYPE_CHECKING:
    from config import Settings
    from data.storage.catalog import Catalog, Changes, Rows
    from data.storage.frame_folder import Contents, Folder

log = logging.getLogger(__name__)

_MOST_FOREIGN = 20  # named without -v


@dataclass(frozen=True, slots=True)
class Plan:
    """All that is to be done. `added` and `renamed` together are the games in `changes`.

    `unwritten`: games that the catalogue can name and games.tsv cannot. `games`, `frames`: totals afterwards.
    """

    changes: Changes
    added: tuple[Game, ...]
    renamed: tuple[Game, ...]
    miscounted: tuple[int, ...]
    unwritten: tuple[Game, ...]
    contents: Contents
    games: int
    frames: int


def main(argv: list[str] | None = None) -> int:
    """Parse, compare, mend, report; returns the exit code."""
    parser = cli.parser(
        "data.dbSync",
        "Make the catalogue match the folder: rows without a file and games without a folder go, files\n"
        "without a row are adopted, counts are set right. Foreign files are named and left alone.\n"
        "It may run while a download does. -v names every path.",
    )
    parser.add_argument("--dry-run", action="store_true", help="change nothing, say what would be done")
    args = parser.parse_args(argv)
    return cli.run(args, _work)


def _work(args: argparse.Namespace, settings: Settings) -> int:
    from data.storage.catalog import Catalog
    from data.storage.database import connect
    from data.storage.frame_folder import Folder

    folder = Folder(settings.download_path / "frames")
    with connect(settings) as engine:
        catalog = Catalog(engine, settings.db_wait_s)
        plan = compare(catalog.rows(), folder.scan(), folder.names())
        if not args.dry_run:
            carry_out(plan, folder, catalog)
    _tell_paths(plan)
    print("\n".join(lines(plan, dry_run=args.dry_run, all_foreign=args.verbose > 0)))
    return 0


def compare(rows: Rows, contents: Contents, names: Mapping[int, str]) -> Plan:
    """What the folder's `contents` and the `names` from its games.tsv ask of the catalogue's `rows`.

    The frames of a folder that could not be read are not touched: nothing is known of them.
    """
    from data.storage.catalog import Changes

    files = {frame.path: frame for frame in contents.frames}
    unknown = tuple(f"{name}/" for name in contents.unreadable)
    lost = sorted(path for path in rows.paths - files.keys() if not path.startswith(unknown))
    gone = sorted(rows.games.keys() - contents.games)
    adopted = [files[path] for path in sorted(files.keys() - rows.paths)]
    new = sorted(contents.games - rows.games.keys())
    added = tuple(Game(game_id, names.get(game_id, f"game {game_id}")) for game_id in new)
    kept = [rows.games[game_id] for game_id in sorted(rows.games.keys() & contents.games)]
    renamed = tuple(Game(game.id, names[game.id]) for game in kept if names.get(game.id, game.name) != game.name)
    return Plan(
        changes=Changes((*added, *renamed), gone, adopted, lost),
        added=added,
        renamed=renamed,
        miscounted=tuple(game.id for game in kept if game.id in rows.miscounted),
        unwritten=tuple(game for game in kept if game.id not in names and game.name != f"game {game.id}"),
        contents=contents,
        games=len(contents.games),
        frames=len(rows.paths) - len(lost) + len(adopted),
    )


def carry_out(plan: Plan, folder: Folder, catalog: Catalog) -> None:
    """Do what the plan says. Raises CatalogUnavailable, FolderError; what is left undone, the next run does."""
    changes = plan.changes
    if changes.games or changes.removed_games or changes.frames or changes.removed_paths or plan.miscounted:
        catalog.apply(changes)
    if plan.unwritten:
        folder.remember(plan.unwritten)
    folder.remove_leftovers(plan.contents)


def lines(plan: Plan, *, dry_run: bool = False, all_foreign: bool = False) -> list[str]:
    """What was done, or would be, in words; foreign and unreadable paths by name."""
    changes, be = plan.changes, "would be " if dry_run else ""
    steps = (
        (changes.removed_paths, "row", "without a file", "removed"),
        (changes.removed_games, "game", "without a folder", "removed"),
        (changes.frames, "file", "without a row", "adopted"),
        (plan.added, "game", "without a row", "added"),
        (plan.renamed, "game", "named otherwise in games.tsv", "renamed"),
        (plan.miscounted, "game", "with a wrong count", "set right"),
        (plan.unwritten, "name", "missing in games.tsv", "written"),
        (plan.contents.leftovers, "temporary file", "of a process that is gone", "removed"),
    )
    said = [f"{_count(len(items), noun)} {what}: {be}{done}" for items, noun, what, done in steps if items]
    holds = "would then hold" if dry_run else "holds"
    total = f"The catalogue {holds} {_count(plan.games, 'game')} and {_count(plan.frames, 'frame')}."
    return [*(said or ["Nothing to mend."]), *_left_alone(plan.contents, all_foreign), total]


def _left_alone(contents: Contents, all_foreign: bool) -> list[str]:
    foreign = contents.foreign if all_foreign else contents.foreign[:_MOST_FOREIGN]
    said = [f"{_count(len(contents.foreign), 'foreign path')}: left alone"] if foreign else []
    said += [f"  {_shown(path)}" for path in foreign]
    if len(foreign) < len(contents.foreign):
        said.append(f"  and {len(contents.foreign) - len(foreign):,} more; -v names them all")
    return said + [f"{_shown(path)} cannot be read: its rows are left alone" for path in contents.unreadable]


def _tell_paths(plan: Plan) -> None:
    """Each path on stderr, with -v."""
    told: tuple[tuple[str, Iterable[object]], ...] = (
        ("row without a file", plan.changes.removed_paths),
        ("game without a folder", plan.changes.removed_games),
        ("file without a row", (frame.path for frame in plan.changes.frames)),
        ("temporary file of a process that is gone", plan.contents.leftovers),
    )
    for what, items in told:
        for item in items:
            log.info("%s: %s", what, item)


def _shown(path: str) -> str:
    """The path as it can be printed: names of files may hold anything, escape codes and broken UTF-8 too."""
    return path if path.isprintable() else ascii(path)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


if __name__ == "__main__":
    sys.exit(main())
