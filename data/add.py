"""COMMAND: add pictures, recordings, or an exported dataset.

The functions are a library too:

    with open_importer(settings) as importer:
        add_folder(importer, "kaggle-set")
        add_recordings(importer, settings, "ELDEN RING", ["run1.mp4", "https://www.twitch.tv/videos/1"])
        print(importer.stats.summary())
"""

from __future__ import annotations

import argparse
import logging
import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from data import cli
from data.errors import DatasetError, StreamError
from data.text import printable, time_left

if TYPE_CHECKING:
    from config import Settings
    from data.entities import Game
    from data.exchange.import_stats import ImportStats
    from data.exchange.importer import Importer
    from data.exchange.logins import Streamer
    from data.storage.catalog import Catalog
    from data.storage.frame_store import FrameStore

log = logging.getLogger(__name__)

_EPILOG = """\
FOLDER is one of:
  a folder of pictures for each game: Chess/img.png, train/Chess/img.jpg, Chess/ann/1.webp
  what data.export wrote, or the folder of frames of another dataset
GAME is a name as Twitch spells it, or an id. SOURCE is a video file, the address of a recording, a clip or a channel,
or pictures of that game: a file or a folder. A game that Twitch does not know, and without credentials each new one,
gets an id of our own, from 1,000,000,000,000 on.

Pictures of another size than IMG_SIZE are resized; a JPEG of that size is kept as it is. A frame that the dataset or
its trash has already is left out, so the same command may be repeated, after an interruption too. The originals are
only read.
"""


def main(argv: list[str] | None = None) -> int:
    """Parse the arguments, run the command, and return the exit code."""
    parser = cli.make_parser("data.add", "Add pictures, recordings or an exported dataset to the dataset.", _EPILOG)
    parser.usage = f"{parser.prog} [options] FOLDER\n       {parser.prog} [options] GAME SOURCE [SOURCE ...]"
    parser.add_argument(
        "words", nargs="+", type=cli.word, metavar="FOLDER | GAME SOURCE", help="what to add, see below"
    )
    count = cli.bounded_number(int, 1, math.inf, "a whole number, at least 1")
    parser.add_argument("--frames", type=count, help="frames of each recording (default: FRAMES_PER_STREAM)")
    parser.add_argument(
        "--streamer",
        choices=("folder", "prefix", "file"),
        default="folder",
        help="what stands for the streamer: the folder (default), ann in ann-12.jpg (prefix), or each file",
    )
    parser.add_argument("--dry-run", action="store_true", help="add nothing; print what a run would add")
    return cli.run_command(parser.parse_args(argv), _work)


def _work(args: argparse.Namespace, settings: Settings) -> int:
    first, *sources = args.words
    if sources and os.path.isdir(first):  # noqa: PTH112 - false for what is no path
        raise DatasetError(
            f"{printable(first)} is a folder, and stands for a game's name here: add one folder at a time."
        )
    with open_importer(settings, dry_run=args.dry_run) as importer:
        total = None if sources else _count_files(first)
        failure = None
        with _interruption(importer.stats, dry_run=args.dry_run), _display(importer.stats, total):
            if sources:
                options = {"max_frames": args.frames, "streamer": args.streamer}
                failure = add_recordings(importer, settings, first, sources, **options)
            else:
                add_folder(importer, first, args.streamer)
    stats, new = importer.stats, {game.name for game in importer.games.added}
    counts = sorted(stats.frames.items())
    lines = [f"  {printable(name)}: {count:,}{' (new)' * (name in new)}" for name, count in counts]
    print("\n".join([stats.summary(dry_run=args.dry_run), *lines]))
    return failure.exit_code if failure else int(stats.bad == stats.seen)  # 1 if nothing at all could be read


@contextmanager
def open_importer(settings: Settings, *, dry_run: bool = False) -> Iterator[Importer]:
    """Yield an importer into the dataset of the settings, which is repaired first as data.dbSync does.

    dry_run: the importer writes nothing. Raises FolderError, CatalogUnavailable, SettingsError.
    """
    from data import factories
    from data.exchange.game_ids import GameIds
    from data.exchange.importer import Importer
    from data.video.images import picture_to_frame

    store = factories.make_frame_store(settings)
    with ExitStack() as stack:
        catalog = None if dry_run else stack.enter_context(factories.open_catalog(settings))
        known = _known_hashes(store, catalog)  # first: the repair may add names to games.tsv
        yield Importer(
            store=store,
            rows=catalog,
            games=GameIds(store, catalog, stack.enter_context(_category_finder(settings))),
            known=known,
            trashed=store.trashed_hashes(),
            is_unwanted=factories.make_exclusion(settings),
            to_frame=partial(picture_to_frame, img_size=settings.img_size, jpeg_quality=settings.jpeg_quality),
        )


def add_folder(importer: Importer, folder: str, streamer: Streamer = "folder") -> ImportStats:
    """Add a folder of pictures for each game, an exported dataset, or another dataset's frames; return the counts.

    folder: a path; of an export also an address for fsspec, such as s3://bucket/set.
    streamer: what stands for the streamer in a folder of pictures, as in `data.exchange.class_folders`.
    Raises DatasetError: nothing to add is there. For others see `data.exchange.importer.Importer.add`.
    """
    from data.exchange.class_folders import ARCHIVE, find_pictures, is_archive
    from data.exchange.exported import find_export

    path, shown = Path(folder), printable(folder)
    if pictures := find_export(folder):
        importer.add(pictures(importer.stats))
    elif os.path.isdir(path):  # noqa: PTH112 - false for what is no path
        importer.add(find_pictures(path, importer.stats, streamer=streamer))
    elif is_archive(path):
        raise DatasetError(f"{shown}: {ARCHIVE}.")
    else:
        raise DatasetError(f"{shown} is no folder; to add a recording, name its game first: GAME {shown}")
    if not importer.stats.seen:
        raise DatasetError(f"{shown} holds no picture; it needs a folder for each game, as Chess/img.png")
    return importer.stats


def add_recordings(
    importer: Importer,
    settings: Settings,
    game: str,
    sources: Iterable[str],
    *,
    max_frames: int | None = None,
    streamer: Streamer = "folder",
) -> StreamError | None:
    """Add frames of sources that show `game`; return the error of the last source that could not be read.

    game: name or id. sources: files, addresses, logins, pictures. max_frames: of a source; None: FRAMES_PER_STREAM.
    For errors that end the import see `data.exchange.importer.Importer.add`.
    """
    from data.exchange.recordings import RecordingReader
    from data.factories import make_frame_filter, make_grabber

    with make_grabber(settings) as grabber:
        count = max_frames or settings.frames_per_stream
        frames = partial(grabber.frames, max_frames=count, ad_wait_s=settings.ad_wait_s)
        reject_reason = make_frame_filter(settings).reject_reason
        reader = RecordingReader(frames, reject_reason, importer.stats, importer.is_unwanted)
        importer.add(reader.pictures(game, sources, streamer))
    return reader.failure


@contextmanager
def _category_finder(settings: Settings) -> Iterator[Callable[[str], Game] | None]:
    """Yield a function that returns Twitch's category of a name or an id; None without credentials."""
    if not settings.client_id or not (settings.access_token or settings.client_secret):
        yield None
        return
    from data.factories import make_helix
    from data.http.session import new_session
    from data.twitch.categories import resolve_games

    with new_session(settings.timeout_s, settings.twitch_standin, deadline_s=settings.deadline_s) as session:
        helix = make_helix(settings, session)
        yield lambda name: resolve_games(helix, [name])[0]


def _known_hashes(store: FrameStore, catalog: Catalog | None) -> set[bytes]:
    """Return the SHA-256 of the dataset's frames. With a catalog, repair it first: a killed import lacks rows."""
    from data.storage.synchronisation import synchronise

    if catalog is None:
        return set(store.files.each(lambda frame: frame.sha256 or store.sha256(frame), store.described(store.frames())))
    # A missing folder is a new dataset, unless the catalog has frames: then it says what to do.
    if store.exists() or catalog.snapshot().frames:
        synchronise(store, catalog)
    return {frame.sha256 for frame in catalog.snapshot().frames.values() if frame.sha256}


@contextmanager
def _display(stats: ImportStats, total: int | None) -> Iterator[None]:
    """On a terminal show the counts on stderr during the block. total: number of pictures; None: unknown."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console, start = Console(stderr=True), time.monotonic()

    def line() -> Text:
        left = time_left(stats.seen, total or 0, time.monotonic() - start)
        goal = f" of {total:,}" if total else ""
        counts = stats.summary().replace("Added", "added", 1)
        return Text(printable(f"{stats.seen:,}{goal} pictures, {left and f'{left}; '}{counts}"))

    live = Live(get_renderable=line, console=console, refresh_per_second=2, transient=True, redirect_stdout=False)
    with live if console.is_terminal else ExitStack():
        yield


@contextmanager
def _interruption(stats: ImportStats, *, dry_run: bool) -> Iterator[None]:
    """Say what stays if the block is interrupted."""
    try:
        yield
    except KeyboardInterrupt:
        if not dry_run:
            log.warning("%s The same command goes on from here.", stats.summary())
        raise


def _count_files(folder: str) -> int:
    """Return the number of pictures below a folder, about; 0 if nobody sees it."""
    from data.exchange.class_folders import is_picture

    if not sys.stderr.isatty():
        return 0
    return sum(is_picture(Path(name)) for _, _, names in os.walk(folder) for name in names)


if __name__ == "__main__":
    cli.end_process(main())
