"""The feature store: vectors by the hash of a frame, appended, removed, damaged, killed."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from data.errors import FolderError
from data.storage import features
from data.storage.features import FeatureStore
from data.storage.layout import FEATURES_FOLDER


def _hashes(*numbers: int) -> list[bytes]:
    return [hashlib.sha256(str(number).encode()).digest() for number in numbers]


def _vectors(*numbers: int) -> np.ndarray:
    return np.array([[number, number / 2, -number] for number in numbers], np.float16)


@pytest.fixture
def store(tmp_path) -> FeatureStore:
    return FeatureStore(tmp_path / "root" / FEATURES_FOLDER / "network")


def test_get_without_folder_finds_nothing(store):
    """An empty store has no file, and asking it creates none."""
    vectors, found = store.get(_hashes(1, 2))
    assert vectors.shape == (2, 0)
    assert not found.any()
    assert store.missing(_hashes(1)) == set(_hashes(1))
    assert store.remove(_hashes(1)) == 0
    assert not store.folder.exists()


def test_get_after_several_adds_returns_all_vectors_in_the_order_asked(store):
    """Appending keeps what was there; a hash that two paths share is given to both."""
    store.add(_hashes(1, 2), _vectors(1, 2))
    store.add(_hashes(2, 3, 3), _vectors(99, 3, 98))  # known, new, twice
    vectors, found = FeatureStore(store.folder).get(_hashes(3, 7, 1, 3, 2))
    assert found.tolist() == [True, False, True, True, True]
    assert vectors.dtype == np.float16
    assert np.array_equal(vectors[found], _vectors(3, 1, 3, 2))
    assert len(list(store.folder.iterdir())) == 1  # small segments are merged


def test_add_beyond_a_segment_splits_and_keeps_all(store, monkeypatch):
    """Many vectors lie in several files, so that a removal rewrites only some of them."""
    monkeypatch.setattr(features, "_SEGMENT_BYTES", 600)
    numbers = range(1, 301)
    for start in range(0, 300, 75):
        store.add(_hashes(*numbers[start : start + 75]), _vectors(*numbers[start : start + 75]))
    vectors, found = store.get(_hashes(*numbers))
    assert found.all()
    assert np.array_equal(vectors, _vectors(*numbers))
    assert len(list(store.folder.iterdir())) > 2
    assert sum(len(rows) for rows, _part in store.batches(_hashes(*numbers))) == 300


def test_remove_leaves_no_byte_of_the_vectors(store):
    """What data.forget removes is gone from the disk; the others stay; a second call finds nothing."""
    store.add(_hashes(1, 2, 3), _vectors(1111, 2222, 3))
    assert store.remove(_hashes(1, 2, 8)) == 2
    assert store.remove(_hashes(1, 2)) == 0
    content = b"".join(path.read_bytes() for path in store.folder.iterdir())
    assert _vectors(1111).tobytes() not in content
    assert _hashes(2)[0] not in content
    assert np.array_equal(store.get(_hashes(3))[0], _vectors(3))
    assert store.remove(_hashes(3)) == 1
    assert list(store.folder.iterdir()) == []


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 torn", b"\x00" * 5000])
def test_damaged_segment_counts_as_missing_and_is_removed_by_any_removal(store, damage, caplog):
    """A damaged file costs its features, which are computed again, and never a run."""
    store.add(_hashes(1), _vectors(1))
    next(store.folder.iterdir()).write_bytes(damage)
    assert store.missing(_hashes(1)) == set(_hashes(1))
    assert "computed again" in caplog.text
    store.add(_hashes(1, 2), _vectors(1, 2))
    assert store.get(_hashes(1, 2))[1].all()
    store.remove(_hashes(9))
    assert len(list(store.folder.iterdir())) == 1


def test_damaged_vectors_beside_whole_hashes_are_computed_again(store):
    """One byte of the vectors is wrong: the segment counts as missing, is not merged, and any removal deletes it."""
    store.add(_hashes(1, 2), _vectors(1, 2))
    path = next(store.folder.iterdir())
    path.write_bytes(path.read_bytes().replace(_vectors(2).tobytes(), _vectors(3).tobytes()))
    assert store.missing(_hashes(1, 2)) == set(_hashes(1, 2))
    store.add(_hashes(1, 3), _vectors(1, 3))
    assert store.get(_hashes(1, 2, 3))[1].tolist() == [True, False, True]
    store.remove(_hashes(2))
    assert not path.exists()
    assert store.get(_hashes(1, 3))[1].all()


@pytest.mark.parametrize("array", [np.zeros((1, 3), complex), np.array([["x"]]), np.zeros(1, "i4,f4")])
def test_segment_without_numbers_counts_as_missing(store, array):
    """A valid file of other things than vectors is a damaged one; a single array, too."""
    store.folder.mkdir(parents=True)
    np.savez(store.folder / "00000001.npz", hashes=np.frombuffer(_hashes(1)[0], np.uint8)[None], vectors=array)
    np.save((store.folder / "00000002.npz").open("wb"), array)
    assert not store.get(_hashes(1))[1].any()
    assert store.missing(_hashes(1)) == set(_hashes(1))


def test_vectors_of_two_networks_in_one_folder_are_refused(store):
    """Somebody copied a segment: the message says what to delete."""
    store.add(_hashes(1), _vectors(1))
    np.savez(
        store.folder / "00000002.npz", hashes=np.frombuffer(_hashes(2)[0], np.uint8)[None], vectors=np.zeros((1, 5))
    )
    with pytest.raises(FolderError, match="two networks: delete it"):
        store.get(_hashes(1, 2))


def test_object_arrays_in_a_segment_run_nothing(store):
    """A pickled segment, as an attacker may leave one, is damaged: nothing is unpickled."""
    store.folder.mkdir(parents=True)
    with (store.folder / "00000001.npz").open("wb") as file:
        np.savez(file, hashes=np.array([print], object), vectors=np.zeros((1, 1)))
    assert store.missing(_hashes(1)) == set(_hashes(1))


def test_file_in_place_of_the_folder_raises_folder_error(store):
    """The message says what to do."""
    store.folder.parent.mkdir(parents=True)
    store.folder.write_text("no folder")
    with pytest.raises(FolderError, match="delete it"):
        store.add(_hashes(1), _vectors(1))
    with pytest.raises(FolderError, match="delete it"):
        store.get(_hashes(1))


def test_fifo_as_segment_does_not_block(store):
    """Only regular files are read."""
    store.folder.mkdir(parents=True)
    os.mkfifo(store.folder / "00000001.npz")
    with pytest.raises(FolderError):
        store.get(_hashes(1))


_WRITER = """
import hashlib, sys, numpy as np
from pathlib import Path
from data.storage.features import FeatureStore
store = FeatureStore(Path(sys.argv[1]))
for number in range(100000):
    store.add([hashlib.sha256(str(number).encode()).digest()], np.full((1, 500), number % 1000, np.float16))
    print(number, flush=True)
"""


def test_kill_while_adding_keeps_all_earlier_vectors(store):
    """kill -9 at a random moment: whatever was reported is there, nothing is half, and the next add cleans up."""
    process = subprocess.Popen([sys.executable, "-c", _WRITER, str(store.folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "0\n"
    time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    reported = [0, *map(int, process.stdout.read().split())]
    process.wait()
    vectors, found = store.get(_hashes(*reported))
    assert found.all()
    assert all((vector == number % 1000).all() for number, vector in zip(reported, vectors, strict=True))
    store.add(_hashes(-1), np.zeros((1, 500), np.float16))
    assert all(path.suffix == ".npz" for path in store.folder.iterdir())
