"""Frames and changes on an object store: memory:// or a real S3 server (moto's), kills, processes that race."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa

from data.entities import FrameDetails, Game, StoredFrame
from data.errors import FolderError, LoginForgotten
from data.forget import forget
from data.purge import purge
from data.storage import lease, object_manifests
from data.storage.catalog import Catalog
from data.storage.changes import FrameChanges, Move
from data.storage.journal import Change
from data.storage.moved_files import is_at
from data.storage.object_client import ListedFile, ObjectClient
from data.storage.object_files import ObjectFiles
from data.storage.object_frames import ObjectFrames
from data.storage.synchronisation import synchronise
from tests.child_processes import start_child, wait_for
from tests.data.kill_harness import run_and_kill_at_line
from tests.s3_server import address, s3

__all__ = ["address", "s3"]  # fixtures
pytestmark = pytest.mark.xdist_group("s3")  # which import moto
DETAILS = FrameDetails(1_700_000_000.0, "ja", 12, "a title", "https://www.twitch.tv/ann")
KILLS = 3  # benchmarks/store_kills.py: hundreds


@pytest.fixture
def store(address: str, tmp_path: Path) -> ObjectFrames:
    """Return a store with two games."""
    store = ObjectFrames(ObjectFiles(address), tmp_path / ".features")
    store.add_games([Game(7, "Chess"), Game(8, "Go")])
    return store


@pytest.fixture
def catalog(engine: sa.Engine) -> Catalog:
    """Return a catalog with the same games."""
    catalog = Catalog(engine)
    catalog.add_games([Game(7, "Chess"), Game(8, "Go")])
    return catalog


def jpegs(name: str, count: int) -> list[bytes]:
    """Return contents that differ."""
    return [f"{name}{number}".encode() for number in range(count)]


def check(store: ObjectFrames, catalog: Catalog) -> set[str]:
    """Check that rows, files and counts agree; return the paths."""
    snapshot = catalog.snapshot()
    assert snapshot.paths == {frame.path for frame in store.frames()}
    assert not snapshot.wrong_counts
    return set(snapshot.paths)


def errors(store: ObjectFrames) -> list[str]:
    """Return what is wrong with the frames: a hash or a title that the manifest lacks or has of another file."""
    frames = store.described(store.frames())
    return [f.path for f in frames if f.sha256 != store.sha256(f) or not f.details.title]


def test_frames_are_saved_scanned_and_described(store: ObjectFrames):
    """Numbers go on for each login; wanted ones are used where they are free; other objects are named."""
    first = store.save(7, "ann", jpegs("a", 3), [DETAILS] * 3)
    assert [frame.path for frame in first] == ["7/ann-1.jpg", "7/ann-2.jpg", "7/ann-3.jpg"]
    assert [f.number for f in store.save(7, "ann", jpegs("b", 2), [DETAILS] * 2, numbers=[2, 9])] == [10, 9]
    assert store.save(7, "an", jpegs("c", 1), [DETAILS])[0].number == 1
    assert store.save(7, "an", []) == []
    for name in ("notes.txt", "7/notes.txt", "7/sub/8.jpg", "other/7.jpg", "other.txt"):
        store.files.create(name, b"mine")
    scan = store.scan()
    assert {frame.path for frame in scan.frames} == {f"7/ann-{n}.jpg" for n in (1, 2, 3, 9, 10)} | {"7/an-1.jpg"}
    assert (scan.games, scan.stale_files, scan.unreadable) == ({7, 8}, (), ())
    assert scan.unrecognised == ("7/notes.txt", "7/sub", "notes.txt", "other", "other.txt")
    assert errors(store) == []
    assert [frame.details for frame in store.described(first)] == [DETAILS] * 3
    assert (store.compact([7, 8]), errors(store)) == (1, [])  # the line of ann-2, which was taken
    assert store.files.names("7/.manifest") == []
    assert store.size_bytes() > 100
    store.delete(first)
    assert (store.compact([7]), store.compact([7]), errors(store)) == (3, 0, [])


def test_store_with_nothing_in_it_is_no_empty_dataset(address: str, tmp_path: Path):
    """A typo in STORE_URL must not remove all rows."""
    store = ObjectFrames(ObjectFiles(address), tmp_path)
    assert not store.exists()
    with pytest.raises(FolderError, match="nothing is there: check STORE_URL"):
        store.scan()


def test_save_that_fails_or_is_forgotten_leaves_nothing(store: ObjectFrames, monkeypatch: pytest.MonkeyPatch):
    """A server that fails at one of fifteen frames and for reads; a streamer who is forgotten meanwhile."""
    before = list(store.files.walk("7"))
    create = store.files.create

    def fail(path: str, *_: object, **_options: object) -> None:
        raise FolderError(path)

    def fail_once(path: str, content: bytes, **options: bool) -> None:
        return (fail if path.endswith("-7.jpg") else create)(path, content, **options)

    def forget_first(path: str, content: bytes, **options: bool) -> None:
        if path.startswith("7/"):
            store.forgotten.add("ann")
        create(path, content, **options)

    def taken(*_: object) -> None:
        raise FileExistsError

    for attempt, error in ((fail_once, FolderError), (taken, FolderError), (forget_first, LoginForgotten)):
        with monkeypatch.context() as patch:
            patch.setattr(store.files, "create", attempt)
            if attempt is fail_once:
                patch.setattr(store.files, "read", fail)
            with pytest.raises(error):
                store.save(7, "ann", jpegs("a", 15), [DETAILS] * 15)
        assert list(store.files.walk("7")) == before


@pytest.mark.usefixtures("s3")
def test_two_processes_that_save_to_one_game_share_no_number_and_lose_no_line(store: ObjectFrames):
    """Both save frames of one login, while a third merges the manifest all the time."""

    def save(name: str) -> None:
        for index in range(2):
            store.save(7, "ann", jpegs(f"{name}{index}", 2), [DETAILS] * 2)

    savers = [start_child(partial(save, name)) for name in "ab"]
    wait_for(*savers, start_child(lambda: [store.compact([7]) for _ in range(2)]))
    contents = Counter(store.read(frame) for frame in store.frames())
    assert contents == Counter(jpeg for name in "ab" for index in range(2) for jpeg in jpegs(f"{name}{index}", 2))
    assert errors(store) == []
    store.compact([7])
    assert errors(store) == []


def test_lines_of_a_running_save_survive_a_compaction(store: ObjectFrames, monkeypatch: pytest.MonkeyPatch):
    """Lines whose frames are not there yet stay; after ten minutes, or a slow save, they are written again."""
    frames = store._new_frames(7, "ann", jpegs("a", 2), [DETAILS] * 2)([1, 2])
    store.add_details(frames)
    assert (store.compact([7]), len(store.files.names("7/.manifest"))) == (0, 1)
    create = store.files.create
    store.delete(store.save(7, "eve", jpegs("e", 1), [DETAILS]))
    with monkeypatch.context() as patch:  # eve's next frames get the number of the one that is gone

        def compact_first(path: str, content: bytes) -> None:
            store.compact([7])
            create(path, content)

        patch.setattr(store.files, "create", compact_first)
        store.save(7, "eve", jpegs("f", 2), [DETAILS] * 2)
    assert errors(store) == []
    monkeypatch.setattr(object_manifests, "_YOUNG_S", -10)
    assert store.compact([7]) >= 2
    assert store.files.names("7/.manifest") == []

    def slow(path: str, content: bytes) -> None:
        store.compact([7])
        create(path, content)

    monkeypatch.setattr(store.files, "create", slow)
    store.save(7, "bob", jpegs("b", 1), [DETAILS])
    assert errors(store) == []


def test_lines_that_another_compaction_merges_meanwhile_survive(
    address: str, store: ObjectFrames, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """One has listed the game; then frames are saved and merged by the other, whose manifest it must not shorten."""
    other = ObjectFrames(ObjectFiles(address), tmp_path)
    store.save(7, "ann", jpegs("a", 1), [DETAILS])
    store.compact([7])
    listing = store.files.listing

    def late(folder: str) -> list[ListedFile]:
        found = list(listing(folder))
        monkeypatch.undo()
        other.save(7, "bob", jpegs("b", 1), [DETAILS])
        other.compact([7])
        return found

    monkeypatch.setattr(store.files, "listing", late)
    store.compact([7])
    assert errors(store) == []


@pytest.mark.usefixtures("s3")
def test_kills_of_a_save_and_a_compaction_leave_whole_frames_and_all_lines(store: ObjectFrames):
    """SIGKILL at random moments: each frame is complete, has its line, and no temporary file is left."""
    seed = random.randrange(10_000)
    print(f"seed {seed}")
    rng = random.Random(seed)
    frames: set[str] = set()
    for index in range(KILLS):
        save = partial(store.save, 7, "ann", jpegs(f"{index}-", 15), [DETAILS] * 15)
        child = start_child(partial(store.compact, [7]) if index % 3 == 2 else save)
        time.sleep(rng.uniform(0, 0.15))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        found = {frame.path for frame in store.frames()}
        assert frames <= found
        frames = found
        assert errors(store) == []
        assert store.scan().unrecognised == ()
    contents = {store.read(frame) for frame in store.frames()}
    assert contents <= {jpeg for index in range(KILLS) for jpeg in jpegs(f"{index}-", 15)}


def moved(store: ObjectFrames, catalog: Catalog) -> tuple[FrameChanges, list[Move]]:
    """Save five frames; return the changes, and moves to another game and to the trash."""
    frames = store.save(7, "ann", jpegs("a", 5), [DETAILS] * 5)
    catalog.add_frames(frames)
    catalog.add_frames(store.save(8, "ann", jpegs("b", 1), [DETAILS]))
    return FrameChanges(store, catalog), [Move(frames[0], 8), Move(frames[1], 8), Move(frames[2], None)]


WHOLE = {f"7/ann-{n}.jpg" for n in range(1, 6)} | {"8/ann-1.jpg"}
CHANGED = {"7/ann-4.jpg", "7/ann-5.jpg", "8/ann-1.jpg", "8/ann-2.jpg", "8/ann-3.jpg"}


def test_change_its_undoing_dbsync_forget_and_purge_work_on_a_store(store: ObjectFrames, catalog: Catalog):
    """The public functions of the commands, in the order in which a dataset may see them."""
    changes, moves = moved(store, catalog)
    changes.apply(moves, "check")
    assert (check(store, catalog), store.trashed_frames(), errors(store)) == (CHANGED, 1, [])
    times = {store.modified_at(frame) for frame in store.frames()}
    changes.undo()
    assert (check(store, catalog), store.trashed_frames(), errors(store)) == (WHOLE, 0, [])
    store.files.create("7/bob-1.jpg", b"by hand")
    store.files.remove(["7/ann-5.jpg"])
    plan = synchronise(store, catalog)
    assert (len(plan.changes.frames), plan.changes.removed_paths) == (1, ["7/ann-5.jpg"])
    assert check(store, catalog) == WHOLE - {"7/ann-5.jpg"} | {"7/bob-1.jpg"}
    assert synchronise(store, catalog).changes.frames == []
    changes.apply([Move(StoredFrame(7, "ann", 4), None)], "check")
    assert str(forget(store, catalog, ["ann"])).startswith("4 frames, 1 file in the trash, 4 rows")
    assert check(store, catalog) == {"7/bob-1.jpg"}
    assert not [path for path in store.files.walk("") if b"ann" in store.files.read(path, 10_000) or "ann" in path]
    with pytest.raises(LoginForgotten):
        store.save(7, "ann", jpegs("c", 1))
    assert purge(store, catalog, time.time() + 100)[1].frames == 1
    assert check(store, catalog) == set()
    assert times  # a copy keeps its file's time


def test_forget_on_a_store_that_deletes_nothing_ends(
    store: ObjectFrames, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
):
    """A server that accepts deletions and keeps the objects."""
    store.save(7, "ann", jpegs("a", 1), [DETAILS])
    monkeypatch.setattr(store.files, "remove", lambda _: None)
    with pytest.raises(FolderError, match="frames come back after their removal"):
        forget(store, catalog, ["ann"])


class Killed(BaseException):
    """The end of a process, after which it sends nothing."""


def interrupt(client: ObjectClient, patch: pytest.MonkeyPatch, methods: Sequence[str], number: int) -> list[str]:
    """Carry out `number` calls of these methods: then one read fails, or the process sends no more writes.

    Return the methods that were called, in a list to which they are added meanwhile.
    """
    calls: list[str] = []

    def call(method: str, work: Callable[..., object], *args: object) -> object:
        calls.append(method)
        if method in ("put", "delete") and len(calls) > number:
            raise Killed
        if method in ("get", "head") and len(calls) == number + 1:
            raise OSError("no answer")
        return work(*args)

    for name in methods:
        patch.setattr(client, name, partial(call, name, getattr(client, name)))
    return calls


@pytest.mark.parametrize("methods", [("put", "delete"), ("get",), ("head",)])
def test_change_interrupted_at_any_request_is_finished_or_did_not_begin(
    store: ObjectFrames, catalog: Catalog, monkeypatch: pytest.MonkeyPatch, methods: Sequence[str]
):
    """A process ends before each of its writes, or each of its reads fails: the next command finishes what has begun.

    No frame is left out because the server did not answer when the change looked for it.
    """
    changes, moves = moved(store, catalog)
    monkeypatch.setattr(lease, "_is_dead", lambda _: True)
    with monkeypatch.context() as patch:
        requests = interrupt(store.files.client, patch, methods, sys.maxsize)
        changes.apply(moves, "check")
    changes.undo()
    outcomes = []
    for number in range(len(requests)):
        with monkeypatch.context() as patch, suppress(FolderError, Killed):
            sent = interrupt(store.files.client, patch, methods, number)
            changes.apply(moves, "check")
        assert len(sent) > number
        finished = changes.finish_pending()
        found = check(store, catalog)
        outcomes.append((found == CHANGED, finished))
        assert found in (WHOLE, CHANGED)
        assert errors(store) == []
        if found == CHANGED:
            changes.undo()
        assert check(store, catalog) == WHOLE
        store.files.remove(list(store.files.walk(".changes")))
    assert {(False, 0), (True, 1)} <= set(outcomes)
    assert store.trashed_frames() == 0


@pytest.mark.usefixtures("s3")
def test_change_killed_on_s3_is_finished_by_the_next_command(store: ObjectFrames, catalog: Catalog, engine: sa.Engine):
    """A child process ends as by SIGKILL: before its journal is written nothing has moved, after that all moves."""
    changes, moves = moved(store, catalog)
    for line, finished, paths in ((150, 0, WHOLE), (900, 1, CHANGED)):
        assert run_and_kill_at_line(line, engine, partial(changes.apply, moves, "check")) == 9
        assert changes.finish_pending() == finished
        assert check(store, catalog) == paths
        assert errors(store) == []


@pytest.mark.usefixtures("s3")
def test_two_processes_that_finish_one_change_agree(
    store: ObjectFrames, catalog: Catalog, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
):
    """Without any lock, and with targets that are taken: each frame is at one place, with its row and its line."""
    changes, moves = moved(store, catalog)
    monkeypatch.setattr(ObjectFiles, "locked", lambda *_: threading.Lock())

    class Interrupted(FrameChanges):
        def _finish(self, change: Change) -> Change:
            raise RuntimeError

    def finish() -> None:
        engine.dispose(close=False)
        changes.finish_pending()

    taken = jpegs("taken", 1)
    with pytest.raises(RuntimeError):
        Interrupted(store, catalog).apply(moves, "check")
    catalog.add_frames(store.save(8, "ann", taken, [DETAILS]))
    wait_for(*[start_child(finish) for _ in range(2)])
    assert changes.finish_pending() == 0
    expected = Counter([*jpegs("a", 2), *jpegs("a", 5)[3:], *jpegs("b", 1), *taken])
    assert Counter(store.read(frame) for frame in store.frames()) == expected
    assert errors(store) == []
    check(store, catalog)
    [change] = changes.changes()
    assert all(is_at(store.files, move.target, move) for move in change.moves)  # so it can be undone
