"""COMMAND: export the dataset as Parquet, WebDataset, an image folder or a FiftyOne dataset, split by streamer."""

from __future__ import annotations

import argparse
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from data import cli
from data.errors import DatasetError, FolderError
from data.text import plural, printable, time_left

if TYPE_CHECKING:
    from config import Settings
    from data.exchange.destination import Destination
    from data.exchange.exporter import ExportSettings
    from data.exchange.facts import Facts
    from data.exchange.sample_reader import SampleReader
    from data.storage.frame_store import FrameStore

_FORMATS = ("parquet", "webdataset", "imagefolder", "fiftyone")
_EPILOG = """\
FORMAT is one of
  parquet      data/train-00000-of-00002.parquet, pictures inside: what the Hugging Face Hub and `datasets` read
  webdataset   data/train-00000-of-00002.tar: what `webdataset` reads
  imagefolder  train|val|test/GAME/LOGIN-N.jpg and metadata.jsonl: what Keras, Ultralytics and `datasets` read
  fiftyone     samples.json and data/: what FiftyOne imports as a FiftyOneDataset
Each comes with a dataset card (README.md), croissant.json, games.tsv, and at last export.json, which says what there
must be. What was written is read back and compared. A streamer is in one split only, and every game is in train;
--split 1 puts everybody there.

Without --logins the streamers' logins become keyed hashes, also in file names, and titles and origins are left out,
which may name people. data.add imports an export with --logins unaltered.
Credentials for s3:// and gs:// are taken from where their own tools take them, such as AWS_ACCESS_KEY_ID.
"""

log = logging.getLogger(__name__)


def main(argv: list[str] | None = None) -> int:
    """Parse the arguments, run the command, and return the exit code."""
    parser = cli.make_parser("data.export", "Export the dataset for other tools, split by streamer.", _EPILOG)
    parser.add_argument("--format", choices=_FORMATS, default="parquet", help="default: %(default)s")
    parser.add_argument("--out", required=True, metavar="FOLDER|URL", help="a new folder, or s3://…, gs://…")
    parser.add_argument(
        "--split",
        type=_fractions,
        default="0.8,0.1,0.1",
        metavar="F,F,F",
        help="fractions of each game's streamers for train, validation and test (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, help="another one splits otherwise (default: %(default)s)")
    parser.add_argument("--game", action="append", default=[], metavar="NAME|ID", help="only this game; repeatable")
    parser.add_argument("--without-pictures", action="store_true", help="only the columns and features, as Parquet")
    parser.add_argument("--logins", action="store_true", help="with logins, titles and origins")
    parser.add_argument("--overwrite", action="store_true", help="replace an export that is there")
    size = cli.bounded_number(float, 0.001, 1000, "a number of megabytes from 0.001 to 1000")
    parser.add_argument("--shard-mb", type=size, default=100, help="megabytes of a shard (default: %(default)s)")
    args = parser.parse_args(argv)
    if args.without_pictures and args.format != "parquet":
        parser.error("--without-pictures goes with --format parquet only")
    return cli.run_command(args, _work)


def _work(args: argparse.Namespace, settings: Settings) -> int:
    from data.exchange.exporter import ExportSettings
    from data.factories import local_frames, make_frame_store

    wanted = ExportSettings(
        format=args.format,
        fractions=args.split,
        seed=args.seed,
        shard_bytes=round(args.shard_mb * 1e6),
        pictures=not args.without_pictures,
        logins=args.logins,
    )
    store = make_frame_store(settings)
    source = local_frames(settings, store, _progress) if wanted.pictures else store
    options = {"games": args.game, "overwrite": args.overwrite, "show": _display}
    facts = export_dataset(store, args.out, wanted, source=source, **options)
    print("\n".join(report_lines(facts, args.out)))
    return 0


def export_dataset(
    store: FrameStore,
    out: str,
    settings: ExportSettings,
    *,
    source: FrameStore | None = None,
    games: Sequence[str] = (),
    overwrite: bool = False,
    show: Callable[[SampleReader, int], AbstractContextManager[object]] = lambda *_: nullcontext(),
) -> Facts:
    """Export the frames of `store` to the folder or address `out` and return what lies there.

    source: what the frames are read from, such as a mirror of the store; None: the store.
    games: names or ids; empty for all. show: returns a context manager that shows the reader's progress towards a
    number of frames. Raises DatasetError: an unknown game, or no frames; FolderError; ExtraMissing.
    """
    from data.exchange.exporter import Exporter
    from data.exchange.sample_reader import SampleReader, newest_features
    from data.storage.pseudonyms import Pseudonyms

    source = source or store
    names = source.game_names()
    frames = list(source.frames())
    if games:
        chosen = _game_ids(games, {frame.game_id: names.get(frame.game_id, "") for frame in frames})
        frames = [frame for frame in frames if frame.game_id in chosen]
    is_forgotten = store.forgotten.current()  # a command that forgets somebody may have been interrupted
    unwanted = set(filter(is_forgotten, {frame.login for frame in frames}))
    frames = source.described(frame for frame in frames if frame.login not in unwanted)
    found = {game_id: names.get(game_id, f"game {game_id}") for game_id in sorted({f.game_id for f in frames})}
    pseudonym = None if settings.logins else cache(Pseudonyms(store.files).of)
    features = None if settings.pictures else newest_features(store.features)
    if not settings.pictures and not features:
        log.warning("The dataset has no features: python -m model.check computes them. Only the columns are exported.")
    reader = SampleReader(source, found, pseudonym, pictures=settings.pictures, features=features)
    with open_destination(out, store.location, overwrite=overwrite) as destination, show(reader, len(frames)):
        return Exporter(reader, destination, settings).export(frames, found)


def open_destination(out: str, frames: str, *, overwrite: bool = False) -> AbstractContextManager[Destination]:
    """Return a context manager: a folder or an address that gets an export, if its block ends without an error.

    frames: the dataset's folder or address, where no export may lie. Raises FolderError: `out` lies there.
    """
    from data.exchange.local_folder import new_folder
    from data.exchange.remote_store import new_place

    protocol, separator, rest = out.partition("://")
    if separator and protocol not in ("file", "local"):
        if f"{out.rstrip('/')}/".startswith(f"{frames}/"):
            raise FolderError(f"{printable(out)} lies in the dataset: export to another place.")
        return new_place(out, overwrite=overwrite)
    return new_folder(Path(rest if separator else out), Path(frames), overwrite=overwrite)


def report_lines(facts: Facts, out: str) -> list[str]:
    """Return what was exported as lines of text."""
    from rich.filesize import decimal

    lines = []
    for split in facts.splits:
        frames, streamers = plural(facts.samples_of(split), "frame"), plural(facts.streamers_of(split), "streamer")
        missing = facts.games_without(split)
        few = f"; none of {plural(missing, 'game')} with too few streamers" if missing else ""
        lines.append(f"{split + ':':<12}{frames} of {streamers}{few}")
    games = plural(len(facts.layout.games), "game")
    total = f"Exported {plural(facts.total, 'frame')} of {games}, {decimal(facts.size_bytes)}, to {printable(out)}"
    left_out = [f"Left out, as unreadable: {plural(facts.left_out, 'frame')}"] if facts.left_out else []
    return [*lines, *left_out, f"{total}: counted there."]


@contextmanager
def _display(reader: SampleReader, total: int) -> Iterator[None]:
    """On a terminal show on stderr during the block how many frames were exported."""
    with _line(lambda: reader.seen, total):
        yield


@contextmanager
def _progress(text: str, total: int) -> Iterator[Callable[[int], object]]:
    """Yield what counts steps in the block; show them as `_display` does."""
    steps = [0]

    def advance(count: int) -> None:
        steps[0] += count

    with _line(lambda: steps[0], total, f"{text}: "):
        yield advance


@contextmanager
def _line(seen: Callable[[], int], total: int, text: str = "") -> Iterator[None]:
    """On a terminal show a line on stderr during the block: text, frames seen, their total, and the time left."""
    from rich.console import Console
    from rich.live import Live

    console, start = Console(stderr=True), time.monotonic()

    def line() -> str:
        left = time_left(seen(), total, time.monotonic() - start)
        return f"{text}{seen():,} of {total:,} frames" + (left and f", {left}")

    live = Live(get_renderable=line, console=console, refresh_per_second=2, transient=True, redirect_stdout=False)
    with live if console.is_terminal else nullcontext():
        yield


def _game_ids(wanted: Sequence[str], names: Mapping[int, str]) -> set[int]:
    """Return the ids of the games that are wanted by name or id. Raises DatasetError for one without frames."""
    by_name: dict[str, set[int]] = {}
    for game_id, name in names.items():
        for key in (name.casefold(), str(game_id)):
            by_name.setdefault(key, set()).add(game_id)
    found: set[int] = set()
    for text in wanted:
        key = text.strip().casefold()
        if key not in by_name:
            close = [names[min(by_name[other])] for other in get_close_matches(key, by_name, 3)]
            hint = f" Did you mean {' or '.join(map(printable, close))}?" if close else ""
            raise DatasetError(f"The dataset has no frames of the game {printable(text)!r}.{hint}")
        found |= by_name[key]
    return found


def _fractions(text: str) -> tuple[float, ...]:
    """Parse one to three fractions whose sum is 1; those that are missing are 0."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if not (
        1 <= len(values) <= 3 and values[0] > 0 and min(values) >= 0 and math.isclose(sum(values), 1, abs_tol=1e-6)
    ):
        raise argparse.ArgumentTypeError(f"invalid value {text!r}: must be up to three fractions such as 0.8,0.1,0.1")
    return (*values, 0.0, 0.0)[:3]


if __name__ == "__main__":
    cli.end_process(main())
