"""data.storage.mirror: the copy of an object store on this machine, against fsspec's store in memory."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from data.atomic import folder_lock
from data.entities import FrameDetails, Game, StoredFrame
from data.errors import FolderError
from data.storage import mirror as mirror_module
from data.storage.features import FeatureStore
from data.storage.frame_store import FrameStore
from data.storage.mirror import Mirror
from data.storage.object_files import ObjectFiles
from data.storage.object_frames import ObjectFrames
from tests.data.exports import jpeg

GAMES = [Game(7, "Chess"), Game(8, "Go")]
DETAILS = FrameDetails(1_700_000_000.0, "en", 5, "a title", "https://www.twitch.tv/ann")


class CountedFiles(ObjectFiles):
    """Counts the objects that are read; fails at the one that `fails_at` counts."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.paths: list[str] = []
        self.fails_at = 0

    def read(self, path: str, max_bytes: int) -> bytes:
        """Return an object's content."""
        self.paths.append(path)
        if self.fails_at and self.fetches() >= self.fails_at:
            raise FolderError("the line is cut")
        return super().read(path, max_bytes)

    def fetches(self) -> int:
        """Return how many frames were read."""
        return sum(path.endswith(".jpg") for path in self.paths)


class Progress:
    """Counts the steps of a progress."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, int]] = []
        self.steps = 0

    @contextmanager
    def __call__(self, text: str, total: int) -> Iterator[Callable[[int], object]]:
        """Yield what counts steps."""
        self.shown.append((text, total))

        def advance(count: int) -> None:
            self.steps += count

        yield advance


@pytest.fixture
def store(tmp_path: Path) -> ObjectFrames:
    """Return a store with two games of two streamers, three frames each."""
    store = ObjectFrames(CountedFiles(f"memory:/{tmp_path}/frames"), tmp_path / "features")
    store.add_games(GAMES)
    for game in GAMES:
        for login in ("ann", "bob"):
            store.save(game.id, login, [jpeg(f"{game.id}{login}{n}") for n in range(3)], [DETAILS] * 3)
    return store


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    """Return a mirror that was never updated."""
    return Mirror(tmp_path / "mirror" / "1")


def update(mirror: Mirror, store: ObjectFrames) -> int:
    """Update the mirror; return the number of frames that were fetched."""
    files = store.files
    assert isinstance(files, CountedFiles)
    files.paths.clear()
    mirror.update(store, Progress())
    return files.fetches()


def contents(frames: FrameStore) -> dict[str, tuple[bytes, bytes, FrameDetails]]:
    """Return the bytes, hash and details of each frame by its path."""
    described = frames.described(frames.frames())
    return {frame.path: (frames.read(frame), frame.sha256, frame.details) for frame in described}


def test_mirror_has_what_the_store_has(store: ObjectFrames, mirror: Mirror):
    """Frames, hashes, details and names are equal; the second update fetches nothing and shows nothing."""
    progress = Progress()
    mirror.update(store, progress)
    assert progress.shown == [("fetching", 12)]
    assert progress.steps == 12
    assert contents(mirror.frames) == contents(store)
    assert mirror.frames.game_names() == store.game_names() == {7: "Chess", 8: "Go"}
    before = {path: path.stat().st_mtime_ns for path in mirror.frames.root.glob("*/*")}
    assert update(mirror, store) == 0
    assert {path: path.stat().st_mtime_ns for path in mirror.frames.root.glob("*/*")} == before


def test_changes_of_the_store_reach_the_mirror(store: ObjectFrames, mirror: Mirror):
    """What is new, changed or gone in the store, games too; only that is fetched."""
    update(mirror, store)
    frame = StoredFrame(7, "ann", 1)
    store.files.replace(frame.path, jpeg("another"))
    store.delete([StoredFrame(7, "bob", 2)])
    store.save(7, "eve", [jpeg("eve")], [DETAILS])
    store.add_games([Game(9, "Chess 2")])
    store.files.remove(list(store.files.walk("8")))
    assert update(mirror, store) == 2
    assert mirror.frames.read(frame) == jpeg("another")
    assert contents(mirror.frames).keys() == contents(store).keys()
    assert mirror.frames.described([StoredFrame(7, "eve", 1)])[0].details == DETAILS
    assert mirror.frames.scan().games == {7, 9}
    assert mirror.frames.game_names() == store.game_names()


def test_interrupted_update_goes_on_where_it_was(store: ObjectFrames, mirror: Mirror, monkeypatch: pytest.MonkeyPatch):
    """What was fetched before a failure is whole and is not fetched again; a killed process's file goes."""
    monkeypatch.setattr(mirror_module, "_BATCH", 2)
    files = store.files
    assert isinstance(files, CountedFiles)
    files.fails_at = 7
    with pytest.raises(FolderError, match="the line is cut"):
        mirror.update(store, Progress())
    copied = list(mirror.frames.root.glob("*/*.jpg"))
    assert 6 <= len(copied) <= 7
    stale = mirror.frames.root / "7" / f".{2**22 + 1}-{'0' * 16}.tmp"
    stale.write_bytes(b"half")
    files.fails_at = 0
    assert update(mirror, store) == 12 - len(copied)
    assert contents(mirror.frames) == contents(store)
    assert not stale.exists()


def test_damaged_copies_are_fetched_again(store: ObjectFrames, mirror: Mirror):
    """A file that a power cut left empty, one that somebody edited, and one that was removed."""
    update(mirror, store)
    paths = sorted(mirror.frames.root.glob("7/*.jpg"))
    status = paths[0].stat()
    paths[0].write_bytes(b"")
    os.utime(paths[0], ns=(status.st_atime_ns, status.st_mtime_ns))
    paths[1].write_bytes(paths[1].read_bytes())
    paths[2].unlink()
    (mirror.frames.root / "8" / "manifest.jsonl").unlink()
    assert update(mirror, store) == 3
    assert contents(mirror.frames) == contents(store)


def test_features_leave_with_their_frames(store: ObjectFrames, mirror: Mirror):
    """At the next update on a machine where nobody was forgotten; other features stay."""
    update(mirror, store)
    features = FeatureStore(mirror.frames.features / "network")
    hashes = [frame.sha256 for frame in store.described(store.frames())]
    features.add(hashes, np.zeros((12, 4), np.float16))
    store.delete([frame for frame in store.frames() if frame.login == "ann"])
    update(mirror, store)
    assert {frame.login for frame in mirror.frames.frames()} == {"bob"}
    assert features.missing(hashes) == {hashlib.sha256(jpeg(f"{g}ann{n}")).digest() for g in (7, 8) for n in range(3)}


def test_erased_frames_are_gone_at_once(store: ObjectFrames, mirror: Mirror):
    """Files, features and lines of the manifest; without a mirror there is nothing to do."""
    assert not mirror.erase(lambda frame: frame.login == "ann")
    assert not mirror.frames.root.exists()
    update(mirror, store)
    hashes = [frame.sha256 for frame in store.described(store.frames())]
    FeatureStore(mirror.frames.features / "network").add(hashes, np.zeros((12, 4), np.float16))
    assert mirror.erase(lambda frame: frame.login == "ann").features == 6
    files = [path for path in mirror.frames.root.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if "ann-" in path.name or b"ann-" in path.read_bytes()]


def test_erased_frames_do_not_come_back_by_an_update_that_runs(
    store: ObjectFrames, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
):
    """data.forget deletes objects and then their copies, in the middle of an update of another process."""
    monkeypatch.setattr(mirror_module, "_BATCH", 1)
    files = store.files
    assert isinstance(files, CountedFiles)
    thread = threading.Thread(target=mirror.update, args=(store, Progress()))
    thread.start()
    while files.fetches() < 2:
        thread.join(0.001)
    store.delete([frame for frame in store.frames() if frame.login == "bob"])
    mirror.erase(lambda frame: frame.login == "bob")
    thread.join()
    assert {frame.login for frame in mirror.frames.frames()} == {"ann"}
    assert not [path for path in mirror.frames.root.rglob("*.jsonl") if b"bob-" in path.read_bytes()]


def test_second_process_waits_for_the_first(store: ObjectFrames, mirror: Mirror, caplog: pytest.LogCaptureFixture):
    """Two updates do not mix; the waiting one says so."""
    mirror.frames.root.mkdir(parents=True)
    thread = threading.Thread(target=mirror.update, args=(store, Progress()))
    with folder_lock(mirror.frames.root.parent):
        thread.start()
        while "waiting until it has ended" not in caplog.text:
            thread.join(0.01)
        assert not list(mirror.frames.root.iterdir())
    thread.join()
    assert contents(mirror.frames) == contents(store)


def test_too_small_a_disk_is_one_line_before_anything_is_fetched(
    store: ObjectFrames, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
):
    """The message says how much is needed and what to do."""
    usage = shutil.disk_usage(mirror.frames.root.parent.parent.parent)._replace(free=1_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(FolderError, match=r"needs 0\.00 GB more, but 0\.00 GB are free: free some space, or set DOWN"):
        mirror.update(store, Progress())
    assert not list(mirror.frames.root.glob("*/*.jpg"))


def test_objects_that_are_no_frames_are_left(store: ObjectFrames, mirror: Mirror):
    """Names with escapes, dots or other suffixes become no files here."""
    for name in ("7/\x1b[31m-1.jpg", "7/..-1.jpg", "7/sub/ann-1.jpg", "7/ann-1.png", "evil/ann-1.jpg", "07/ann-1.jpg"):
        store.files.create(name, b"x")
    assert update(mirror, store) == 12
    assert len(list(mirror.frames.root.rglob("*.jpg"))) == 12
    assert not list(mirror.frames.root.rglob("*.png"))
