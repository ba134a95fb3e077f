"""Checkpoints: what is on the disk is the state that was saved, or one line says that it is damaged."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from data.errors import ModelError
from model.training.checkpoint import CheckpointStore, StageProgress, TrainingState

PROGRESS = {"epoch": 1, "best_val_loss": 0.5, "best_epoch": 1, "best_weights": [], "history": {"loss": [0.5]}}
ABOUT = {"seconds": 1.0, "variables": 1, "arrays": 1, "stages": [PROGRESS | {"ended": False}]}


def saved(folder: Path) -> Path:
    """Save a state and return its file."""
    store = CheckpointStore(folder)
    store.open("inputs", resume=False)
    progress = StageProgress(epoch=1, best_val_loss=0.5, best_epoch=1, best_weights=[np.arange(5.0)])
    store.save("run", TrainingState([progress], [np.ones((2, 3), np.float32), np.arange(4)], 1.5))
    return folder / "run.npz"


def load(folder: Path) -> TrainingState | None:
    store = CheckpointStore(folder)
    store.open("inputs", resume=True)
    return store.load("run")


def arrays(state: TrainingState | None) -> list[list]:
    assert state is not None
    return [array.tolist() for array in (*state.variables, *state.stages[-1].best_weights)]


def npz(about: str) -> bytes:
    memory = io.BytesIO()
    np.savez(memory, np.ones(2), about=np.array(about))
    return memory.getvalue()


def changed(**changes: object) -> bytes:
    return npz(json.dumps(ABOUT | {"stages": [PROGRESS | changes]}))


def test_state_round_trip(tmp_path):
    """Arrays, progress and seconds are those that were saved."""
    saved(tmp_path / "unfinished")
    state = load(tmp_path / "unfinished")
    assert arrays(state) == [[[1.0] * 3] * 2, [0, 1, 2, 3], [0.0, 1.0, 2.0, 3.0, 4.0]]
    assert state is not None
    assert (state.seconds, state.stages[0].epoch, state.path) == (1.5, 1, tmp_path / "unfinished" / "run.npz")


DAMAGED = {
    "empty": b"",
    "text": b"text",
    "empty ZIP file": b"PK\x05\x06" + b"\0" * 18,
    "nested JSON": npz("[" * 100_000),
    "infinity": npz("1e999"),
    "NaN": npz("NaN"),
    "other JSON": npz("{}"),
    "no stage": npz(json.dumps(ABOUT | {"stages": []})),
    "no seconds": npz(json.dumps(ABOUT | {"seconds": None})),
    "negative epoch": changed(epoch=-1),
    "infinite epoch": changed(epoch=1e999),
    "epoch as text": changed(epoch="1"),
    "later best epoch": changed(best_epoch=2),
    "no loss": changed(best_val_loss=None),
    "long history": changed(history={"loss": [0.5, 0.4]}),
    "history of texts": changed(history={"loss": ["low"]}),
    "unknown field": changed(unknown=1),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_load_of_damaged_or_foreign_file_raises_model_error(tmp_path, content):
    """The line names the file and both ways out; the file stays."""
    path = saved(tmp_path / "unfinished")
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"run\.npz is damaged .* Delete this file .* leave out --resume") as caught:
        load(path.parent)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == content


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def a_device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("replace", [a_folder, a_fifo, a_device])
def test_load_of_what_is_no_file_raises_model_error(tmp_path, replace: Callable[[Path], None]):
    """A folder, a FIFO and a device are neither read nor passed over."""
    replace(saved(tmp_path / "unfinished"))
    with pytest.raises(ModelError, match=r"is damaged .*not a regular file"):
        load(tmp_path / "unfinished")


def test_each_flipped_or_missing_byte_is_found_or_harmless(tmp_path):
    """Whatever byte changes and wherever the file is cut off, the state is the saved one or the file is damaged."""
    path = saved(tmp_path / "unfinished")
    whole = path.read_bytes()
    expected = arrays(load(path.parent))
    flipped = [whole[:i] + bytes([whole[i] ^ 0xFF]) + whole[i + 1 :] for i in range(0, len(whole), 3)]
    damaged = 0
    for content in (*flipped, *(whole[:cut] for cut in range(0, len(whole), 50))):
        path.write_bytes(content)
        try:
            assert arrays(load(path.parent)) == expected
        except ModelError:
            damaged += 1
    assert damaged > len(flipped) / 2


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"0" * 64, b"x" * 10_000], ids=["empty", "binary", "other", "long"]
)
def test_damaged_fingerprint_refuses_to_resume(tmp_path, content):
    """A fingerprint of other inputs and one that is no text are refused alike."""
    path = saved(tmp_path / "unfinished")
    (path.parent / "fingerprint").write_bytes(content)
    with pytest.raises(ModelError, match="other settings or frames"):
        load(path.parent)


def of_a_file(path: Path) -> None:
    path.write_text("mine")


def of_folder_with_files(path: Path) -> None:
    path.mkdir()
    (path / "run.npz").write_text("mine")


def of_a_link(path: Path) -> None:
    of_folder_with_files(path.with_name("other"))
    path.symlink_to("other")


@pytest.mark.parametrize("make", [of_a_file, os.mkfifo, of_folder_with_files, of_a_link])
@pytest.mark.parametrize("resume", [False, True])
def test_file_in_place_of_the_folder_is_named(tmp_path, make: Callable[[Path], None], resume):
    """Whatever has the folder's name is the user's: it is not deleted, and it holds nothing up."""
    make(tmp_path / "unfinished")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ModelError, match=re.escape(f"{tmp_path / 'unfinished'} cannot be used")):
        CheckpointStore(tmp_path / "unfinished").open("inputs", resume)
    assert sorted(tmp_path.rglob("*")) == before


def test_file_of_the_user_among_checkpoints_stays(tmp_path):
    """The end of a training run deletes its own files; what a killed save left goes, too."""
    folder = saved(tmp_path / "unfinished").parent
    (folder / "notes.txt").write_text("mine")
    (folder / f".1-{'0' * 16}.tmp").write_text("")
    CheckpointStore(folder).clear()
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


def test_new_training_run_tells_that_it_deletes_an_interrupted_one(tmp_path, caplog):
    """Hours of training are not lost silently; without a finished epoch there is nothing to tell."""
    store = CheckpointStore(tmp_path / "unfinished")
    store.open("inputs", resume=False)
    store.open("inputs", resume=False)
    assert not caplog.messages
    saved(tmp_path / "unfinished")
    store.open("inputs", resume=False)
    assert caplog.messages == ["An interrupted training run is deleted: --resume would have continued it."]
