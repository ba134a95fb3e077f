"""python -m data.info: what the dataset holds: size on disk, games, frames, streamers."""

from __future__ import annotations

import argparse
import json
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from data import cli

if TYPE_CHECKING:
    from config import Settings
    from data.storage.catalog import Catalog, GameSummary
    from data.storage.frame_folder import Folder

_EPILOG = """\
--json prints one object, with these keys:
  path            folder of the frames
  size_bytes      size of its files, bytes
  game_count      number of games
  frame_count     number of frames
  smallest_game   the game with the fewest frames, as in games; null if there is none
  largest_game    the game with the most
  games           all, by name: [{"id", "name", "frames", "streamers"}]
"""


@dataclass(frozen=True, slots=True)
class Report:
    """The dataset's figures. `path`: folder of the frames. `games`: by name, whatever the case of its letters."""

    path: str
    size_bytes: int
    games: Sequence[GameSummary]

    @property
    def frames(self) -> int:
        """Frames of all games."""
        return sum(summary.frames for summary in self.games)

    @property
    def smallest(self) -> GameSummary:
        """The game with the fewest frames, the lowest id among equals; there must be one."""
        return min(self.games, key=lambda summary: (summary.frames, summary.game.id))

    @property
    def largest(self) -> GameSummary:
        """The game with the most frames, the lowest id among equals; there must be one."""
        return max(self.games, key=lambda summary: (summary.frames, -summary.game.id))


def main(argv: list[str] | None = None) -> int:
    """Parse, read, print; returns the exit code."""
    parser = cli.parser("data.info", "Show what the dataset holds.", _EPILOG)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")
    args = parser.parse_args(argv)
    return cli.run(args, _work)


def _work(args: argparse.Namespace, settings: Settings) -> int:
    from data.storage.catalog import Catalog
    from data.storage.database import connect
    from data.storage.frame_folder import Folder

    folder = Folder(settings.download_path / "frames")
    with connect(settings) as engine:
        found = report(folder, Catalog(engine, settings.db_wait_s))
    print(as_json(found) if args.json else "\n".join(lines(found)))
    return 0


def report(folder: Folder, catalog: Catalog) -> Report:
    """Read the figures: sizes from the folder, counts from the catalogue. Raises CatalogUnavailable."""
    games = sorted(catalog.games(), key=lambda summary: (summary.game.name.casefold(), summary.game.id))
    return Report(str(folder.root), folder.size_bytes(), games)


def figures(folder: Folder, catalog: Catalog) -> list[str]:
    """The lines that the command prints. Raises CatalogUnavailable."""
    return lines(report(folder, catalog))


def lines(found: Report) -> list[str]:
    """The report as text: the figures, then a table of the games."""
    size = f"Size on disk:   {_human(found.size_bytes)} in {found.path}"
    if not found.games:
        return [
            size,
            "The catalogue is empty. Collect frames with: python -m data.download",
            "Or take up the frames that are in the folder: python -m data.dbSync",
        ]
    return [
        size,
        f"Games:          {len(found.games):,}",
        f"Frames:         {found.frames:,}",
        f"Smallest game:  {found.smallest.game.name} ({_frames(found.smallest)})",
        f"Largest game:   {found.largest.game.name} ({_frames(found.largest)})",
        "",
        *_table(found.games),
    ]


def as_json(found: Report) -> str:
    """The report as the JSON object that `--help` describes."""
    answer = {
        "path": found.path,
        "size_bytes": found.size_bytes,
        "game_count": len(found.games),
        "frame_count": found.frames,
        "smallest_game": _values(found.smallest) if found.games else None,
        "largest_game": _values(found.largest) if found.games else None,
        "games": [_values(summary) for summary in found.games],
    }
    return json.dumps(answer, indent=2)


def _values(summary: GameSummary) -> dict[str, Any]:
    return {
        "id": summary.game.id,
        "name": summary.game.name,
        "frames": summary.frames,
        "streamers": summary.streamers,
    }


def _table(games: Sequence[GameSummary]) -> list[str]:
    width = max(_width(name) for name in ["Game", *(summary.game.name for summary in games)])
    rows = [f"{'Game':<{width}}  {'Id':>10}  {'Frames':>9}  {'Streamers':>9}"]
    for summary in games:
        name = summary.game.name + " " * (width - _width(summary.game.name))
        rows.append(f"{name}  {summary.game.id:>10}  {summary.frames:>9,}  {summary.streamers:>9,}")
    return rows


def _width(text: str) -> int:
    """Columns that `text` takes in a terminal: Chinese, Japanese and Korean letters take two, accents none."""
    return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF") for c in text)


def _frames(summary: GameSummary) -> str:
    return "1 frame" if summary.frames == 1 else f"{summary.frames:,} frames"


def _human(size_bytes: float) -> str:
    """For example 1.5 GB: powers of 1000, as disks are sold."""
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 1000:
            return f"{size_bytes:.0f} B" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.1f} TB"


if __name__ == "__main__":
    sys.exit(main())
