"""Times of an object store beside a local folder, in turn: scan, data.dbSync and data.info on 100,000 frames.

    python -m benchmarks.store_100k [--frames N] [--new N] [--runs N]

The store is a real S3 server (moto's) in a process of its own, whose objects are put into its memory; PostgreSQL is one
server with a database for each place. moto walks through all objects for each page of a list, so it gets an index of
its names here, as S3 has one.

Manifests describe all frames, as after a download. The store's database is a copy of the folder's, for data.dbSync
reads each file that has no row, here through moto some hundred a second: `--new` files show that. Both places must give
the same result.
"""

from __future__ import annotations

import argparse
import bisect
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from benchmarks.dataset_100k import make_files
from data.entities import FrameDetails, Game
from data.storage import embedded_postgres
from data.storage.frame_folder import FrameFolder
from data.storage.frame_store import FrameStore
from data.storage.object_files import ObjectFiles
from data.storage.object_frames import ObjectFrames
from tests.s3_server import BUCKET, s3_server

_REPOSITORY = Path(__file__).parent.parent
_ADDRESS = f"s3://{BUCKET}/frames"
_PADDING = bytes(1_840)  # makes files of 2 kB
_DETAILS = FrameDetails(1_700_000_000.0, "en", 12, "a title of some words", "https://www.twitch.tv/streamer")


def main(argv: list[str] | None = None) -> int:
    """Fill both places, time the commands in turn, print the medians, and return the exit code."""
    parser = argparse.ArgumentParser(description="Time commands on an object store and on a folder.")
    parser.add_argument("--frames", type=int, default=100_000, help="default: %(default)s")
    parser.add_argument("--new", type=int, default=1000, help="files without rows; default: %(default)s")
    parser.add_argument("--runs", type=int, default=2, help="of each command; default: %(default)s")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="store-") as name:
        home = Path(name)
        folder = _make_folder(home / "frames", args.frames)
        with _server(folder.root) as variables, embedded_postgres.running_server(home / "postgres") as socket:
            os.environ |= variables
            environments = {place: _settings(home, socket, place) for place in ("folder", "store")}
            environments["store"]["STORE_URL"] = _ADDRESS
            stores: dict[str, FrameStore] = {
                "folder": folder,
                "store": ObjectFrames(ObjectFiles(_ADDRESS), home / "features"),
            }
            print(f"{args.frames:,} frames, {os.cpu_count()} cores; median of {args.runs} runs, in turn")
            _create_database(socket, "folder", "template1")
            start = time.perf_counter()
            _run("data.dbSync", environments["folder"])
            print(f"  {'data.dbSync, all rows':<34} folder {time.perf_counter() - start:.2f} s (one run)")
            _create_database(socket, "store", "folder")
            _measure(stores, environments, args)
    return 0


def _measure(
    stores: Mapping[str, FrameStore], environments: Mapping[str, Mapping[str, str]], args: argparse.Namespace
) -> None:
    assert len({frozenset(store.scan().frames) for store in stores.values()}) == 1
    _row("scan", {place: (store.scan,) * args.runs for place, store in stores.items()})
    sync = {place: partial(_run, "data.dbSync", environment) for place, environment in environments.items()}
    outputs = _row("data.dbSync, nothing to do", {place: (work,) * args.runs for place, work in sync.items()})
    assert len(set(outputs.values())) == 1, outputs
    info = {place: partial(_run, "data.info", environment) for place, environment in environments.items()}
    _row("data.info", {place: (work,) * args.runs for place, work in info.items()})
    for store in stores.values():
        for index in range(args.new):
            store.files.replace(f"1000/new-{index + 1}.jpg", b"new%d" % index + _PADDING)
    outputs = _row(f"data.dbSync, {args.new:,} new files", {place: (work,) for place, work in sync.items()})
    assert len(set(outputs.values())) == 1, outputs


def _row(name: str, work: Mapping[str, tuple[Callable[[], object], ...]]) -> dict[str, object]:
    """Do the work of the places in turn; print the medians; return the last results by place."""
    times: dict[str, list[float]] = {place: [] for place in work}
    results: dict[str, object] = {}
    for turn in zip(*work.values(), strict=True):
        for place, function in zip(work, turn, strict=True):
            start = time.perf_counter()
            results[place] = function()
            times[place].append(time.perf_counter() - start)
    medians = {place: statistics.median(each) for place, each in times.items()}
    shown = ", ".join(f"{place} {seconds:.2f} s" for place, seconds in medians.items())
    print(f"  {name:<34} {shown} ({medians['store'] / medians['folder']:.1f} times)", flush=True)
    return results


def _run(module: str, environment: Mapping[str, str]) -> str:
    """Return what a command prints."""
    command = [sys.executable, "-m", module]
    done = subprocess.run(command, cwd=_REPOSITORY, env=dict(environment), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _settings(home: Path, socket: Path, place: str) -> dict[str, str]:
    """Return the environment of commands whose database has the place's name."""
    names = {"DB_HOST": str(socket), "DB_PORT": str(embedded_postgres.PORT), "DB_NAME": place, "DB_USER": "postgres"}
    files = {"DOWNLOAD_PATH": str(home), "OUTBOX_PATH": str(home / "outbox.sqlite")}
    return {**os.environ, **names, **files, "DB_PASSWORD": ""}


def _create_database(socket: Path, name: str, template: str) -> None:
    url = sa.URL.create("postgresql+psycopg2", "postgres", None, str(socket), embedded_postgres.PORT, "postgres")
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name} TEMPLATE {template}"))
    engine.dispose()


def _make_folder(root: Path, frames: int) -> FrameFolder:
    """Return a folder with that many frames and their manifests."""
    make_files(root, frames, _PADDING)
    folder = FrameFolder(root)
    found = list(folder.frames())
    folder.add_details(replace(frame, sha256=folder.sha256(frame), details=_DETAILS) for frame in found)
    folder.record_names(Game(game_id, f"game {game_id}") for game_id in {frame.game_id for frame in found})
    return folder


@contextmanager
def _server(root: Path) -> Iterator[dict[str, str]]:
    """Yield the variables of an S3 server that has the files below `root`."""
    context = multiprocessing.get_context("spawn")
    own, other = context.Pipe()
    process = context.Process(target=_serve, args=(other, root), daemon=True)
    process.start()
    other.close()
    try:
        yield json.loads(own.recv())
    finally:
        own.close()
        process.join()


def _serve(connection: Connection, root: Path) -> None:
    """Run an S3 server with these files until the connection ends."""
    from moto.core import DEFAULT_ACCOUNT_ID
    from moto.s3.models import s3_backends

    with s3_server() as variables:
        backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
        _index_names(backend)
        for path in (path for path in root.rglob("*") if path.is_file()):
            backend.put_object(BUCKET, f"frames/{path.relative_to(root).as_posix()}", path.read_bytes())
        connection.send(json.dumps(variables))
        try:
            connection.recv()
        except EOFError:
            return


def _index_names(backend: Any) -> None:
    """Give moto's storage a sorted list of its bucket's names, which lists use."""
    names: list[str] = []
    keys, put, delete = backend.get_bucket(BUCKET).keys, backend.put_object, backend.delete_object

    def put_object(bucket: str, name: str, *args: Any, **options: Any) -> Any:
        if name not in keys:
            bisect.insort(names, name)
        return put(bucket, name, *args, **options)

    def delete_object(bucket: str, name: str, *args: Any, **options: Any) -> Any:
        if name in keys:
            del names[bisect.bisect_left(names, name)]
        return delete(bucket, name, *args, **options)

    def list_objects(
        _bucket: Any, prefix: str | None, delimiter: str | None, **_: Any
    ) -> tuple[list[Any], list[str], bool, None]:
        prefix, found, folders = prefix or "", [], []
        position = bisect.bisect_left(names, prefix)
        while position < len(names) and names[position].startswith(prefix):
            first, separator, _rest = names[position][len(prefix) :].partition(delimiter or "\0")
            if separator:
                folders.append(f"{prefix}{first}{separator}")
                position = bisect.bisect_left(names, f"{prefix}{first}{chr(ord(separator) + 1)}")
            else:
                found.append(keys[names[position]])
                position += 1
        return found, folders, False, None

    backend.put_object, backend.delete_object, backend.list_objects = put_object, delete_object, list_objects


if __name__ == "__main__":
    sys.exit(main())
