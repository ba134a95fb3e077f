"""Kill test of datasets on an object store: saves, changes and compactions, killed by SIGKILL at random moments.

    python -m benchmarks.store_kills [--kills N] [--races N] [--seed N]

The store is a real S3 server (moto's), the rows are in a real PostgreSQL. Every third process saves fifteen frames,
every third one moves frames or undoes that, every third one merges a manifest. After each kill the next command's
repair runs, then: no frame is lost or half-written, each has its line in the manifest, a change is whole or not begun,
rows and files agree. Each race lets two processes save to one game and finish one pending change without a lock.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import sqlalchemy as sa

from config import Settings
from data.entities import FrameDetails, Game, StoredFrame
from data.factories import connect_database
from data.storage import embedded_postgres
from data.storage.catalog import Catalog
from data.storage.changes import FrameChanges, Move
from data.storage.journal import Change
from data.storage.object_files import ObjectFiles
from data.storage.object_frames import ObjectFrames
from data.storage.synchronisation import synchronise
from tests.child_processes import start_child
from tests.s3_server import BUCKET, s3_server

_DETAILS = FrameDetails(1_700_000_000.0, "en", 12, "a title", "https://www.twitch.tv/ann")
_GAMES = Game(7, "Chess"), Game(8, "Go")
_UNHARMED = 6  # processes at the beginning, which show how long each kind of work takes
_MAX_DELAY = 1.3  # until a kill, in times of the work's own duration


class Dataset:
    """A dataset on an object store, its rows, and the contents that must be there."""

    def __init__(self, engine: sa.Engine, home: Path) -> None:
        self._engine = engine
        self.store = ObjectFrames(ObjectFiles(f"s3://{BUCKET}/frames"), home)
        self.catalog = Catalog(engine)
        self.changes = FrameChanges(self.store, self.catalog)
        self._saves = 0
        self.expected: Counter[bytes] = Counter()
        self.durations = [0.0, 0.0, 0.0]  # s, of each kind of work
        self.store.add_games(_GAMES)
        self.catalog.add_games(_GAMES)

    def new_frames(self, count: int) -> list[bytes]:
        """Return contents that no frame has yet."""
        self._saves += 1
        return [f"{self._saves}-{index} ".encode() * 500 for index in range(count)]

    def start(self, work: Callable[[], object]) -> int:
        """Start `work` in a process of its own; return the process's id."""

        def run() -> None:
            self._engine.dispose(close=False)
            work()

        return start_child(run)

    def errors(self) -> Iterator[str]:
        """Repair as the next commands do; yield what is wrong afterwards."""
        self.changes.finish_pending()
        moved = {journal.id: len(journal.moves) for journal in self.changes.changes() if not journal.is_done}
        if moved:
            yield f"changes are still pending: {moved}"
        plan = synchronise(self.store, self.catalog)
        if plan.scan.unrecognised:
            yield f"other files: {plan.scan.unrecognised}"
        frames = self.store.described(self.store.frames())
        if self.catalog.snapshot().paths != {frame.path for frame in frames}:
            yield "rows and files differ"
        yield from (f"{frame.path} has no line" for frame in frames if not frame.details.title)
        yield from (f"{f.path} has another hash" for f in frames if f.sha256 != self.store.sha256(f))

    def contents(self) -> Counter[bytes]:
        """Return the contents of all frames, those in the trash too."""
        paths = [path for path in self.store.files.walk("") if path.endswith(".jpg")]
        return Counter(self.store.files.each(lambda path: self.store.files.read(path, 1 << 20), paths))


def main(argv: list[str] | None = None) -> int:
    """Kill and race processes, check, print the result; return 1 for any error."""
    parser = argparse.ArgumentParser(description="Kill saves, changes and compactions on an object store.")
    parser.add_argument("--kills", type=int, default=60, help="default: %(default)s")
    parser.add_argument("--races", type=int, default=8, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=random.randrange(10_000), help="default: another one each time")
    args = parser.parse_args(argv)
    rng = random.Random(args.seed)
    with _dataset() as dataset:
        wrong = [error for index in range(_UNHARMED + args.kills) for error in _kill(dataset, index, rng)]
        wrong += [error for _ in range(args.races) for error in _race(dataset)]
        frames = sum(dataset.contents().values())
        changes = len(dataset.changes.changes())
    for line in wrong:
        print(line, file=sys.stderr)
    counts = {
        "seed": args.seed,
        "kills": args.kills,
        "races": args.races,
        "frames": frames,
        "changes": changes,
        "wrong": len(wrong),
    }
    print(json.dumps({"name": "store_kills", **counts}), flush=True)
    return int(bool(wrong))


def _kill(dataset: Dataset, index: int, rng: random.Random) -> Iterator[str]:
    """Start a process, kill it, and yield what is wrong then."""
    new: list[bytes] = []
    if index % 3 == 0:
        new = dataset.new_frames(15)
        work: Callable[[], object] = partial(dataset.store.save, 7, "ann", new, [_DETAILS] * 15)
    elif index % 3 == 1:
        work = _change(dataset)
    else:
        work = partial(dataset.store.compact, [7, 8])
    child = dataset.start(work)
    start = time.monotonic()
    if index >= _UNHARMED:
        time.sleep(rng.uniform(0, _MAX_DELAY * dataset.durations[index % 3]))
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    if index < _UNHARMED:
        dataset.durations[index % 3] = time.monotonic() - start
    yield from (f"kill {index}: {error}" for error in dataset.errors())
    found = dataset.contents()
    saved = found - dataset.expected
    if dataset.expected - found or saved.keys() - set(new) or any(count > 1 for count in found.values()):
        yield f"kill {index}: frames are lost, half-written or there twice"
    dataset.expected = found


def _change(dataset: Dataset) -> Callable[[], object]:
    """Return the undoing of the last change, or else a change of some frames."""
    done = dataset.changes.changes()
    if done and not done[-1].undoes:
        return dataset.changes.undo
    frames = sorted((frame for frame in dataset.store.frames() if frame.game_id == 7), key=lambda f: f.number)[:20]
    return partial(dataset.changes.apply, [_move(index, frame) for index, frame in enumerate(frames)], "check")


def _move(index: int, frame: StoredFrame) -> Move:
    return Move(frame, 8 if index % 2 else None)


class _Interrupted(FrameChanges):
    def _finish(self, change: Change) -> Change:
        raise InterruptedError(change.id)


class _Unlocked(ObjectFiles):
    def locked(self, *_: object) -> threading.Lock:  # type: ignore[override]
        return threading.Lock()


def _race(dataset: Dataset) -> Iterator[str]:
    """Let two processes save to one game and finish one change at the same time; yield what is wrong then."""
    frames = sorted((frame for frame in dataset.store.frames() if frame.game_id == 7), key=lambda f: f.number)[:6]
    with suppress(InterruptedError):
        _Interrupted(dataset.store, dataset.catalog).apply([_move(i, frame) for i, frame in enumerate(frames)], "race")
    unlocked = ObjectFrames(_Unlocked(dataset.store.location), dataset.store.features)
    finisher = FrameChanges(unlocked, dataset.catalog)
    new = [dataset.new_frames(4) for _ in range(2)]
    children = [dataset.start(partial(dataset.store.save, 8, "ann", each, [_DETAILS] * 4)) for each in new]
    children += [dataset.start(finisher.finish_pending) for _ in range(2)]
    if any([os.waitpid(child, 0)[1] for child in children]):
        yield "race: a process failed"
    yield from (f"race: {error}" for error in dataset.errors())
    dataset.expected += Counter(jpeg for each in new for jpeg in each)
    if dataset.contents() != dataset.expected:
        yield "race: frames are lost or there twice"


@contextmanager
def _dataset() -> Iterator[Dataset]:
    with tempfile.TemporaryDirectory(prefix="kills-") as name, s3_server():
        home = Path(name)
        with embedded_postgres.running_server(home / "postgres") as socket:
            names = {"db_host": str(socket), "db_port": embedded_postgres.PORT, "db_name": "postgres"}
            settings = Settings(_env_file=None, db_user="postgres", download_path=home, **names)
            with connect_database(settings) as engine:
                yield Dataset(engine, home / "features")


if __name__ == "__main__":
    sys.exit(main())
