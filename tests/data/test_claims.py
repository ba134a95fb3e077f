"""data.storage.claims, and two downloads side by side: no stream at the same time, no frame twice."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine

from data.collection.collector import Collector
from data.collection.grab_pool import StopEvent
from data.collection.stream_grabs import grabs_in_threads
from data.entities import Frame, StoredFrame
from data.errors import StreamClaimed
from data.storage.catalog import Catalog
from data.storage.claims import Claims
from data.storage.frame_folder import FrameFolder
from tests.data.conftest import REPOSITORY, rows
from tests.data.test_collector import SETTINGS, A, FakeFilter, FakeTwitch, many

# Claim a login until stdin ends.
_OTHER = """
import sys
from pathlib import Path
from data.storage.claims import Claims
with Claims(Path(sys.argv[1])) as claims, claims.claimed("ann"):
    print(claims.number, flush=True)
    sys.stdin.read()
"""


def _other(root: Path) -> subprocess.Popen[str]:
    """Return another download that has claimed ann's stream; print its number first."""
    command = [sys.executable, "-c", _OTHER, str(root)]
    return subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_another_process_has_another_number_and_other_streams(tmp_path: Path):
    """Its claims end with it, also by SIGKILL; so the next download is the first one again."""
    other = _other(tmp_path / "frames")
    assert other.stdout
    assert other.stdout.readline() == "0\n"
    with Claims(tmp_path / "frames") as claims:
        assert claims.number == 1
        with pytest.raises(StreamClaimed, match="another download"), claims.claimed("ann"):
            pass
        with claims.claimed("bob"):
            pass
        other.kill()
        other.communicate()
        with claims.claimed("ann"):
            pass
    with Claims(tmp_path / "frames") as claims:
        assert claims.number == 0


@pytest.mark.parametrize("obstacle", ["file", "pipe", "folder"])
def test_without_a_file_of_claims_every_stream_is_free(tmp_path: Path, obstacle: str):
    """The catalog finds the identical frames then; a pipe does not hang."""
    root = tmp_path / "frames"
    if obstacle == "file":
        root.write_text("in the way")
    else:
        root.mkdir()
        os.mkfifo(root / ".claims") if obstacle == "pipe" else (root / ".claims").mkdir()
    with Claims(root) as claims, claims.claimed("ann"):
        assert claims.number == 0


class SameStream(FakeTwitch):
    """A stream whose frames are the same bytes for every viewer."""

    def frames(self, login, max_frames):
        for number in range(1, max_frames + 1):
            yield Frame(number, f"{login} {number // 2}".encode())  # each picture is there twice in a row


def test_two_downloads_side_by_side_bring_no_frame_twice(folder: FrameFolder, engine: Engine):
    """Both choose the same streams and claim none: each picture has one file and one row, of either download."""
    stops = [StopEvent(), StopEvent()]
    collectors = [
        Collector(
            directory=SameStream(many(A)),
            pool=grabs_in_threads(SameStream(many(A)), FakeFilter({}), 4, stop),
            store=folder,
            index=Catalog(engine),
            settings=replace(SETTINGS, frames=None, game_cooldown_s=0.01),
            stop=stop,
            rng=random.Random(1),
        )
        for stop in stops
    ]
    threads = [threading.Thread(target=collector.run) for collector in collectors]
    for thread in threads:
        thread.start()
    threads[0].join(1.5)
    for stop in stops:
        stop.set()
    for thread in threads:
        thread.join()
    frames = list(folder.frames())
    assert rows(catalog := Catalog(engine)) == set(frames)
    assert not catalog.snapshot().wrong_counts
    hashes = Counter(folder.sha256(frame) for frame in frames)
    assert set(hashes.values()) == {1}
    assert dict(catalog.snapshot().hashes) == {frame.path: folder.sha256(frame) for frame in frames}
    assert sum(collector.stats.total for collector in collectors) == len(frames)
    assert sum(collector.stats.rejected["identical"] for collector in collectors) > len(frames)
    assert all(collector.stats.failures["nothing to keep"] for collector in collectors)


def test_concurrent_rows_with_the_same_hash_become_one(engine: Engine):
    """Eight threads add 40 pictures each under names of their own; every picture has one row in the end."""
    catalog = Catalog(engine)
    rejected: list[StoredFrame] = []

    def add(login: str) -> None:
        for number in range(1, 41):
            digest = hashlib.sha256(str(number).encode()).digest()
            rejected.extend(catalog.add_frames([StoredFrame(7, login, number, digest)]))

    threads = [threading.Thread(target=add, args=(f"login{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    snapshot = catalog.snapshot()
    assert len(snapshot.paths) == len(set(snapshot.hashes.values())) == 40
    assert {frame.path for frame in rejected}.isdisjoint(snapshot.paths)
    assert len(rejected) == 7 * 40
    assert not snapshot.wrong_counts


def test_a_repeated_call_gives_the_same_answer(catalog: Catalog):
    """After a lost response the call is repeated: the frame that has a row keeps it, the identical one has none."""
    one, same = StoredFrame(7, "ann", 1, b"one"), StoredFrame(7, "ann", 2, b"one")
    for _ in range(2):
        assert catalog.add_frames([one, same]) == [same]
    assert catalog.snapshot().paths == {one.path}
    assert catalog.games()[0].frames == 1


def test_frames_without_a_hash_are_never_identical(catalog: Catalog):
    """Rows of an earlier version have no hash until dbSync adds it."""
    assert catalog.add_frames([StoredFrame(7, "ann", 1), StoredFrame(7, "ann", 2)]) == []
    assert catalog.snapshot().hashes == {}
