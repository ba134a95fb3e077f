"""COMMAND: remove frames that are older than a given age, from the trash too.

A frame's time is that in the manifest; without one the earlier of its row's date and its file's time.
"""

from __future__ import annotations

import argparse
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from data import cli
from data.entities import StoredFrame
from data.text import plural

if TYPE_CHECKING:
    from config import Settings
    from data.storage.catalog import Catalog
    from data.storage.erasure import Doomed, Erased
    from data.storage.frame_store import FrameStore
    from data.storage.journal import Change, FileMove
    from data.storage.store_files import StoreFiles

_AGE = cli.duration({"h": 3600, "d": 86400, "w": 7 * 86400}, "a whole number and h, d or w, such as 30d")
_EPILOG = """\
The command also removes the frames' rows, lines of manifests, features, findings of the last check, and moves in
journals; and of audits and surveys the streams that were last looked at before. Games stay, also those without a frame
left. A frame whose time is in the future stays.
"""


def main(argv: list[str] | None = None) -> int:
    """Parse the arguments, run the command, and return the exit code."""
    parser = cli.make_parser("data.purge", "Remove frames that are older than a given age.", _EPILOG)
    parser.add_argument(
        "--older-than", required=True, type=_AGE, metavar="AGE", help="a number of hours, days or weeks: 36h, 30d, 8w"
    )
    parser.add_argument("--dry-run", action="store_true", help="change nothing; print what a run would remove")
    return cli.run_command(parser.parse_args(argv), _work)


def _work(args: argparse.Namespace, settings: Settings) -> int:
    from data.factories import find_mirror, make_frame_store, open_existing_catalog
    from data.storage.answer_erasure import in_answers

    store = make_frame_store(settings)
    before = time.time() - args.older_than
    with open_existing_catalog(settings, "dry run" if args.dry_run else "write") as catalog:
        if args.dry_run:
            found = find_older(store, catalog, before)
            removed = found.counts() + in_answers(catalog, lambda runs: runs.remove_older(before, dry_run=True))
        else:
            found, removed = purge(store, catalog, before)
            if mirror := find_mirror(settings):
                removed += mirror.erase(set(found.frames).__contains__)
    verb = "Would remove" if args.dry_run else "Removed"
    day = datetime.fromtimestamp(max(before, 0), timezone.utc)
    print(f"{verb} {removed} from before {day:%Y-%m-%d %H:%M} UTC.")
    print("\n".join(_game_lines(found, store.game_names())), end="\n" if found.frames else "")
    return 0


def find_older(store: FrameStore, catalog: Catalog | None, before: float) -> Doomed:
    """Return the frames from before a time, epoch seconds. Raises FolderError, CatalogUnavailable."""
    from data.storage.erasure import Doomed, Eraser
    from data.storage.trash import trashed_frames

    eraser = Eraser(store, catalog)
    rows, scan, files = eraser.rows(), store.scan(), store.files
    described = {frame.path: frame for frame in store.described(scan.frames)}
    found = _older(files, described, rows, before)
    frames = tuple(frame for path, frame in described.items() if path in found)
    known = {move.target: move.frame for change in eraser.changes() for move in change.moves}
    items = {item.path: item for item in trashed_frames(files)}
    old_items = _older(files, {path: known.get(path, item.frame) for path, item in items.items()}, {}, before)
    trashed = tuple(item for path, item in items.items() if path in old_items)
    # A killed run has left rows of files that are gone.
    kept = {frame.path for frame in scan.frames} - found
    old = {path: row for path, row in rows.items() if path in found or (path not in kept and _is_old(row, before))}
    return Doomed(frames, trashed, old if not scan.unreadable else {path: rows[path] for path in found & rows.keys()})


def purge(store: FrameStore, catalog: Catalog | None, before: float) -> tuple[Doomed, Erased]:
    """Remove the frames from before a time, epoch seconds; return them and the counts.

    Raises FolderError, CatalogUnavailable.
    """
    from data.storage.answer_erasure import in_answers
    from data.storage.erasure import Eraser

    eraser = Eraser(store, catalog)
    with eraser.locked():
        found = find_older(store, catalog, before)
        gone = {*found.frames, *found.rows.values()}
        removed = eraser.erase(found, gone.__contains__, _is_useless(store.files, before))
    removed += in_answers(catalog, lambda runs: runs.remove_older(before))
    eraser.check_readable()
    return found, removed


def _is_old(frame: StoredFrame, before: float) -> bool:
    return frame.details.grabbed_at is not None and frame.details.grabbed_at < before


def _older(
    files: StoreFiles, frames: Mapping[str, StoredFrame], rows: Mapping[str, StoredFrame], before: float
) -> set[str]:
    """Return the paths of the files, which are given with their frames, from before a time, epoch seconds."""
    undated = [path for path, frame in frames.items() if frame.details.grabbed_at is None]
    written = dict(zip(undated, files.each(files.modified_at, undated), strict=True))
    return {path for path, frame in frames.items() if _time(frame, rows.get(path), written.get(path)) < before}


def _time(frame: StoredFrame, row: StoredFrame | None, written: float | None) -> float:
    """Return the time of a frame, epoch seconds; infinity for a file that is gone. written: when its file was."""
    if frame.details.grabbed_at is not None:
        return frame.details.grabbed_at
    if written is None:
        return math.inf
    # A row that dbSync made is younger than the file, and a copied file is younger than its row.
    dated = row.details.grabbed_at if row else None
    return written if dated is None else min(dated, written)


def _is_useless(files: StoreFiles, before: float) -> Callable[[Change, FileMove], bool]:
    """Return whether a move cannot be undone, for its file is gone, and is of a frame from before a time."""

    def is_useless(change: Change, move: FileMove) -> bool:
        grabbed_at = move.frame.details.grabbed_at
        is_old = (change.time if grabbed_at is None else grabbed_at) < before
        return is_old and not files.exists(move.target)

    return is_useless


def _game_lines(found: Doomed, names: Mapping[int, str]) -> Iterator[str]:
    """Yield a line for each game, the most frames first."""
    for game_id, count in Counter(frame.game_id for frame in found.frames).most_common():
        yield f"  {names.get(game_id, f'game {game_id}')}: {plural(count, 'frame')}"


if __name__ == "__main__":
    cli.end_process(main())
