"""COMMAND: print what the dataset holds: size on disk, games, frames, streamers, languages, dates, suspects, trash."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from data import cli
from data.commands import command_line
from data.contact_sheet import write_sheet
from data.dataset_report import DatasetReport, as_json, iso_time, report
from data.text import plural, printable

if TYPE_CHECKING:
    from config import Settings
    from data.storage.suspects import SuspectCount

_EPILOG = """\
--json prints one object with these keys:
  path            folder of the frames
  size_bytes      size of its files, bytes
  game_count      number of games
  frame_count     number of frames
  smallest_game   the game with the fewest frames, as in games; null without games
  largest_game    the game with the most frames, as in games; null without games
  games           all games, by name: [{"id", "name", "frames", "streamers", "languages", "first", "last", "checked",
                  "suspects"}]
  languages       number of frames by language, ISO 639-1 or other; frames of unknown language are left out
  first, last     times of the oldest and the newest frame, ISO 8601 in UTC; null if unknown
  checked         number of frames in the last check, python -m model.check; null without one
  suspects        number of those that look as if they belonged elsewhere; null without a check
  removed_games   games that a download leaves out as their folders were removed: [{"id", "name"}]
  trash_count     number of frames in the trash
  forgotten_count number of streamers whose frames are not collected again
"""

_MIN_NAME = 12  # columns
_TABLE_WIDTH = 80  # columns, unless the terminal is wider
_MAX_LISTED = 5  # languages and removed games in the totals
_MAX_CODE = 8  # characters of a language, whose codes have two


def main(argv: list[str] | None = None) -> int:
    """Parse the arguments, run the command, and return the exit code."""
    parser = cli.make_parser("data.info", "Show what the dataset holds.", _EPILOG)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")
    parser.add_argument(
        "--sheet", type=cli.word, metavar="FILE.png", help="also write a picture with frames of each game"
    )
    return cli.run_command(parser.parse_args(argv), _work)


def _work(args: argparse.Namespace, settings: Settings) -> int:
    from data.factories import make_frame_store, open_existing_catalog

    store = make_frame_store(settings)
    with open_existing_catalog(settings, "read") as catalog:
        found = report(store, catalog)
    if args.sheet:
        write_sheet(store, Path(args.sheet))
    width = max(_TABLE_WIDTH, shutil.get_terminal_size((_TABLE_WIDTH, 24)).columns)
    print(as_json(found) if args.json else "\n".join(map(printable, report_lines(found, width))))
    return 0


def report_lines(found: DatasetReport, width: int = _TABLE_WIDTH) -> list[str]:
    """Return the report as lines of text: the totals, then a table of the games in `width` columns."""
    from rich.filesize import decimal  # powers of 1000, as disks are sold

    collect = f"Collect frames: {command_line('data.download')}"
    if not (found.games or found.size_bytes):
        return [f"There is no dataset in {found.path} yet. {collect}"]
    size = f"Size on disk:   {decimal(found.size_bytes)} in {found.path}"
    if not found.games:
        adopt = f"Or add the frames that are already in the folder: {command_line('data.dbSync')}"
        return [size, *_set_aside(found), f"The catalog is empty. {collect}", adopt]
    return [
        size,
        f"Games:          {len(found.games):,}",
        f"Frames:         {found.frames:,}",
        f"Smallest game:  {found.smallest.game.name} ({plural(found.smallest.frames, 'frame')})",
        f"Largest game:   {found.largest.game.name} ({plural(found.largest.frames, 'frame')})",
        *_details(found),
        *_set_aside(found),
        "",
        *_table(found, width),
    ]


def _details(found: DatasetReport) -> Iterator[str]:
    """Yield what is known of the frames as a whole: languages, dates, suspects."""
    if languages := found.languages:
        total, most = languages.total(), languages.most_common(_MAX_LISTED)
        shares = [f"{_code(language)} {frames / total:.0%}" for language, frames in most]
        yield f"Languages:      {_listed(shares, len(languages))}"
    first, last = map(_date, found.dates)
    if first:
        yield f"Dates:          {first}{f' to {last}' if last != first else ''}"
    if (count := found.checked) and count.checked:
        share = f"{count.suspects / count.checked:.1%}"
        yield f"Suspects:       {count.suspects:,} of {plural(count.checked, 'checked frame')} ({share})"


def _set_aside(found: DatasetReport) -> Iterator[str]:
    """Yield what the dataset has no more: removed games, trash, forgotten streamers."""
    if found.removed_games:
        names = [game.name for game in found.removed_games[:_MAX_LISTED]]
        yield f"Removed games:  {_listed(names, len(found.removed_games))}"
    if found.trash:
        yield f"Trash:          {plural(found.trash, 'frame')}"
    if found.forgotten:
        yield f"Forgotten:      {plural(found.forgotten, 'streamer')}"


def _table(found: DatasetReport, width: int) -> list[str]:
    """Return a header and a line for each game. A column without content is left out; long names are cut to fit."""
    from rich.cells import cell_len, set_cell_size

    games = found.games
    columns = {
        "Id": [str(summary.game.id) for summary in games],
        "Frames": [f"{summary.frames:,}" for summary in games],
        "Streamers": [f"{summary.streamers:,}" for summary in games],
        "Lang.": [_few_languages(summary.languages) for summary in games],
        "Dates": [_months(summary.first, summary.last) for summary in games],
        "Suspect": [_share((found.suspects or {}).get(summary.game.id)) for summary in games],
    }
    cells = [[title, *column] for title, column in columns.items() if any(column)]
    widths = [max(map(len, column)) for column in cells]
    # Chinese, Japanese and Korean characters take two columns of a terminal, combining accents none.
    names = ["Game", *(summary.game.name for summary in games)]
    left = min(max(map(cell_len, names)), max(_MIN_NAME, width - sum(widths) - 2 * len(widths)))
    fitting = (name if cell_len(name) <= left else f"{set_cell_size(name, left - 1)}…" for name in names)
    numbers = zip(
        *([cell.rjust(size) for cell in column] for column, size in zip(cells, widths, strict=True)), strict=True
    )
    return ["  ".join([set_cell_size(name, left), *row]).rstrip() for name, row in zip(fitting, numbers, strict=True)]


def _few_languages(languages: Mapping[str, int]) -> str:
    """Return the most frequent language and the number of others, such as "en +12"."""
    others = f" +{len(languages) - 1}" if len(languages) > 1 else ""
    return f"{_code(next(iter(languages), ''))}{others}"


def _listed(items: Sequence[str], total: int) -> str:
    return ", ".join([*items, *([f"{total - len(items):,} more"] if total > len(items) else [])])


def _code(language: str) -> str:
    return language[:_MAX_CODE]  # it comes from the network


def _months(first: float | None, last: float | None) -> str:
    """Return "2026-11", "2026-01–11" or "2025-12–2026-01"."""
    begin, end = _date(first)[:7], _date(last)[:7]
    if begin == end:
        return begin
    return f"{begin}–{end[5:] if begin[:4] == end[:4] else end}"


def _share(count: SuspectCount | None) -> str:
    return f"{count.suspects / count.checked:.1%}" if count and count.checked else ""


def _date(epoch_s: float | None) -> str:
    return (iso_time(epoch_s) or "")[:10]


if __name__ == "__main__":
    cli.end_process(main())
