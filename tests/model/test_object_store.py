"""STORE_URL with the commands of model: they read an object store as they do a folder.

The store is in memory; what S3 does differently is the subject of the tests of data.storage.object_files.
"""

from __future__ import annotations

import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from data.entities import StoredFrame
from data.factories import make_frame_store
from data.storage.features import FeatureStore
from data.storage.frame_store import FrameStore
from model.training import frame_features
from tests.data.conftest import settings
from tests.in_process import run_command
from tests.model.conftest import Trained, create, environment, figures

pytestmark = pytest.mark.xdist_group("trainings")  # which import TensorFlow


@pytest.fixture
def variables(trained: Trained, tmp_path: Path) -> dict[str, str]:
    """Return the settings of a store with the frames of `trained`."""
    given = {"STORE_URL": f"memory:/{tmp_path}/frames", "DOWNLOAD_PATH": str(tmp_path)}
    files = store_of(given).files
    for path in trained.dataset.root.rglob("*"):
        if path.is_file() and not path.name.startswith("."):
            files.create(path.relative_to(trained.dataset.root).as_posix(), path.read_bytes())
    return given


def store_of(variables: dict[str, str]) -> FrameStore:
    """Return the store at STORE_URL."""
    return make_frame_store(settings(**{key: variables[key] for key in ("STORE_URL", "DOWNLOAD_PATH")}))


def run(module: str, *words: str, model: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command on that store with this MODEL_PATH."""
    return run_command(module, *words, env=environment(Path(variables["DOWNLOAD_PATH"]), model, **variables))


def test_training_and_evaluation_read_the_frames_of_a_store(
    trained: Trained, variables: dict[str, str], tmp_path: Path
):
    """One epoch: the classes, the split and the number of pictures are those of the folder; so are the answers."""
    model = tmp_path / "model"
    done = create(tmp_path, model, EPOCHS="1", VISUALIZE_RESULTS="false", STORE_URL=variables["STORE_URL"])
    assert done.returncode == 0, done.stderr
    assert frames_of(model) == frames_of(trained.path)
    done = run("model.evaluate", model=trained.path, **variables)
    assert done.returncode == 0, done.stderr
    assert "100.0%" in done.stdout
    assert not (tmp_path / "frames").exists()


def frames_of(model: Path) -> list[Any]:
    """Return what a training says of its frames."""
    found = figures(model)
    return [found["games"], np.sum(found["confusion"], axis=1).tolist()]


def add_features(variables: dict[str, str], store: FrameStore) -> None:
    """Store the mean colour of each frame as its features, which a network computes in seconds."""
    given = environment(Path(variables["DOWNLOAD_PATH"]), Path("none"))
    network = frame_features.network_folder(settings(**{key: given[key] for key in ("ARCHITECTURE", "IMG_SIZE")}))
    vectors = FeatureStore(store.features / network)
    frames = store.described(store.frames())
    pictures = [cv2.imdecode(np.frombuffer(store.read(frame), np.uint8), cv2.IMREAD_COLOR) for frame in frames]
    known = [
        (store.sha256(f), p.mean(axis=(0, 1)) / 255) for f, p in zip(frames, pictures, strict=True) if p is not None
    ]
    vectors.add([sha256 for sha256, _ in known], np.array([colour for _, colour in known], np.float16))
    for keys in frame_features.screen_keys().values():
        vectors.add(keys, np.full((len(keys), 3), 0.5, np.float16))


def test_check_of_a_store_moves_objects_and_undoes_it(variables: dict[str, str], tmp_path: Path):
    """check.csv lies in the store and features in the mirror; --apply and --undo move objects."""
    store = store_of(variables)
    for number in range(1, 5):  # a stream in the wrong game
        store.files.rename(f"9/red_cat-{number}.jpg", f"100/red_cat-{number}.jpg")
    before = set(store.frames())
    add_features(variables, store)
    check = partial(run, "model.check", model=tmp_path / "model", **variables)
    done = check("--no-effect", "--html", str(tmp_path / "page.html"))
    print(done.stdout)
    assert done.returncode == 0, done.stderr
    assert store.read_report("check.csv")
    assert list(store.features.iterdir())
    done = check("--apply", "--relabel", "--streams")
    assert "4 frames" in done.stdout, done.stderr
    assert before - set(store.frames()) == {StoredFrame(100, "red_cat", number) for number in range(1, 5)}
    assert check("--undo").returncode == 0
    assert set(store.frames()) == before
