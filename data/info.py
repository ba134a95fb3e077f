"""COMMAND: print what the dataset holds: size on disk, games, frames, streamers."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from data import cli
from data.commands import command_line
from data.text import plural, printable

if TYPE_CHECKING:
    from config import Settings
    from data.storage.catalog import Catalog, GameSummary
    from data.storage.frame_store import FrameStore

_EPILOG = """\
--json prints one object with these keys:
  path            folder of the frames
  size_bytes      size of its files, bytes
  game_count      number of games
  frame_count     number of frames
  smallest_game   the game with the fewest frames, as in games; null without games
  largest_game    the game with the most frames, as in games; null without games
  games           all games, by name: [{"id", "name", "frames", "streamers"}]
"""


@dataclass(frozen=True, slots=True)
class DatasetReport:
    """Numbers of the dataset."""

    path: str  # of the frames
    size_bytes: int  # of all files
    games: Sequence[GameSummary]  # by name, without regard to case

    @property
    def frames(self) -> int:
        """Number of frames of all games."""
        return sum(summary.frames for summary in self.games)

    @property
    def smallest(self) -> GameSummary:
        """The game with the fewest frames, the lowest id among equals. Raises ValueError without games."""
        return min(self.games, key=lambda summary: (summary.frames, summary.game.id))

    @property
    def largest(self) -> GameSummary:
        """The game with the most frames, the lowest id among equals. Raises ValueError without games."""
        return max(self.games, key=lambda summary: (summary.frames, -summary.game.id))


def main(argv: list[str] | None = None) -> int:
    """Parse the arguments, run the command, and return the exit code."""
    parser = cli.make_parser("data.info", "Show what the dataset holds.", _EPILOG)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")
    return cli.run_command(parser.parse_args(argv), _work)


def _work(args: argparse.Namespace, settings: Settings) -> int:
    from data.factories import has_database, make_frame_store, open_catalog

    with open_catalog(settings, access="read") if has_database(settings) else nullcontext() as catalog:
        found = report(make_frame_store(settings), catalog)
    print(as_json(found) if args.json else "\n".join(map(printable, report_lines(found))))
    return 0


def report(store: FrameStore, catalog: Catalog | None) -> DatasetReport:
    """Return the numbers: sizes from the store, counts from the catalog, if any. Raises CatalogUnavailable."""
    # casefold: "apex" stands before "Zelda"; the id makes the order of equal names stable.
    summaries = catalog.games() if catalog else ()
    games = sorted(summaries, key=lambda summary: (summary.game.name.casefold(), summary.game.id))
    return DatasetReport(store.location, store.size_bytes(), games)


def report_lines(found: DatasetReport) -> list[str]:
    """Return the report as lines of text: the totals, then a table of the games."""
    from rich.filesize import decimal  # powers of 1000, as disks are sold

    collect = f"Collect frames: {command_line('data.download')}"
    if not (found.games or found.size_bytes):
        return [f"There is no dataset in {found.path} yet. {collect}"]
    size = f"Size on disk:   {decimal(found.size_bytes)} in {found.path}"
    if not found.games:
        adopt = f"Or add the frames that are already in the folder: {command_line('data.dbSync')}"
        return [size, f"The catalog is empty. {collect}", adopt]
    return [
        size,
        f"Games:          {len(found.games):,}",
        f"Frames:         {found.frames:,}",
        f"Smallest game:  {found.smallest.game.name} ({plural(found.smallest.frames, 'frame')})",
        f"Largest game:   {found.largest.game.name} ({plural(found.largest.frames, 'frame')})",
        "",
        *_table(found.games),
    ]


def as_json(found: DatasetReport) -> str:
    """Return the report as the JSON object that `--help` describes."""
    # Scripts read these keys: add new ones, never rename or remove one.
    content = {
        "path": found.path,
        "size_bytes": found.size_bytes,
        "game_count": len(found.games),
        "frame_count": found.frames,
        "smallest_game": _values(found.smallest) if found.games else None,
        "largest_game": _values(found.largest) if found.games else None,
        "games": [_values(summary) for summary in found.games],
    }
    return json.dumps(content, indent=2)


def _values(summary: GameSummary) -> dict[str, Any]:
    return asdict(summary.game) | {"frames": summary.frames, "streamers": summary.streamers}


def _table(games: Sequence[GameSummary]) -> list[str]:
    from rich.cells import cell_len, set_cell_size

    # Chinese, Japanese and Korean characters take two columns of a terminal, combining accents none.
    width = max(cell_len(name) for name in ["Game", *(summary.game.name for summary in games)])
    rows = [f"{'Game':<{width}}  {'Id':>10}  {'Frames':>9}  {'Streamers':>9}"]
    for summary in games:
        name = set_cell_size(summary.game.name, width)
        rows.append(f"{name}  {summary.game.id:>10}  {summary.frames:>9,}  {summary.streamers:>9,}")
    return rows


if __name__ == "__main__":
    cli.end_process(main())
