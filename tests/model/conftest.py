"""Datasets painted with numpy, and one model trained on such a dataset by the command itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from data.entities import Game, StoredFrame
from data.video.images import encode_jpeg
from tests.in_process import run_command
from tests.model.lazily import tf

if TYPE_CHECKING:
    from tests.model.forks import Jobs

ROOT = Path(__file__).resolve().parents[2]
SIZE = 32

# By id: Red, Green, Blue. As folders are listed: 10, 100, 9. As names: Blue, Green, Red. Labels that follow
# any order but the one written to classes.txt give a game another one's name.
RED, GREEN, BLUE = Game(9, "Red"), Game(10, "Green"), Game(100, "Blue")
GAMES = (RED, GREEN, BLUE)


# What tests of the command take over from this process's environment.
_KEPT = (
    "PATH",
    "HOME",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "OMP_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)


def pytest_configure(config: pytest.Config) -> None:
    """Keep TensorFlow off GPUs and quiet in this process; ignore a deprecation in Keras 3.12 with numpy 2."""
    os.environ.update(CUDA_VISIBLE_DEVICES="", TF_CPP_MIN_LOG_LEVEL="3")
    config.addinivalue_line("filterwarnings", "ignore:__array__ implementation doesn't accept:DeprecationWarning")


def picture(game: Game, seed: int, size: int = SIZE) -> np.ndarray:
    """uint8 (size, size, 3) RGB: noise, with the channel of the game's colour bright."""
    image = np.random.default_rng(seed).integers(0, 120, (size, size, 3), dtype=np.uint8)
    image[:, :, [RED.id, GREEN.id, BLUE.id].index(game.id)] += 130
    return image


@dataclass
class Painted:
    """A dataset's folder, `download_path`, and what is in it."""

    download_path: Path

    @property
    def root(self) -> Path:
        """The frames' folder."""
        return self.download_path / "frames"

    def paint(self, game: Game, login: str, count: int = 4, size: int = SIZE) -> list[StoredFrame]:
        """Add `count` frames of a streamer, all different."""
        frames = [StoredFrame(game.id, login, number) for number in range(1, count + 1)]
        for frame in frames:
            path = self.root / frame.path
            path.parent.mkdir(parents=True, exist_ok=True)
            seed = int.from_bytes(f"{login}{frame.number}".encode(), "big")
            path.write_bytes(encode_jpeg(picture(game, seed, size), 95))
        return frames

    def name(self, *games: Game) -> None:
        """Write games.tsv."""
        self.root.mkdir(parents=True, exist_ok=True)
        text = "".join(f"{game.id}\t{game.name}\n" for game in games)
        (self.root / "games.tsv").write_text(text, encoding="utf-8")


@pytest.fixture
def painted(tmp_path) -> Painted:
    """An empty dataset."""
    return Painted(tmp_path / "dataset")


def paint_everything(dataset: Painted) -> Painted:
    """Three games of four streamers with four frames each; one streams two of the games."""
    for game in GAMES:
        for streamer in ("ann", "ben", "cat"):
            dataset.paint(game, f"{game.name.lower()}_{streamer}")
    for game in (RED, BLUE):
        dataset.paint(game, "both")
    dataset.paint(GREEN, "green_dan")
    dataset.name(*GAMES)
    return dataset


def environment(dataset: Path, model_path: Path, **settings: str) -> dict[str, str]:
    """For `python -m model.create`: settings from the environment alone; those given go first."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    variables = {"DOWNLOAD_PATH": str(dataset), "MODEL_PATH": str(model_path), "IMG_SIZE": str(SIZE)}
    # Of 36 frames, larger batches would give too few steps to learn them.
    variables |= {"ARCHITECTURE": "cnn", "AUGMENT": "false", "BATCH_SIZE": "16"}
    return variables | {"CUDA_VISIBLE_DEVICES": "", "PYTHONWARNINGS": "error::UserWarning"} | kept | settings


def create(dataset: Path, model_path: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run model.create in this process, where TensorFlow is imported once for all tests."""
    return run_command("model.create", *words, env=environment(dataset, model_path, **settings))


def figures(model_path: Path) -> dict[str, Any]:
    """What metrics.json says."""
    return json.loads((model_path / "results" / "metrics.json").read_text(encoding="utf-8"))


@pytest.fixture
def eager() -> Iterator[None]:
    """Run the few steps of a test without a graph, which takes longer to trace; other tests of the command have it."""
    tf.config.run_functions_eagerly(True)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Even though the `tf.config", category=UserWarning)  # of tf.data
        yield
    tf.config.run_functions_eagerly(False)


@dataclass
class Trained:
    """What one run of the command left."""

    run: subprocess.CompletedProcess[str]
    dataset: Painted
    path: Path


@pytest.fixture(scope="session")
def trained(make_once) -> Trained:
    """Return the three colours and a model of them, trained once in a run by a process of the command.

    --resume may stand in a script that is started again and again: there is no training run to resume. One of the
    files is not an image. All workers use the folder: tests that write to a model copy it first.
    """

    def train(place: Path) -> None:
        dataset = paint_everything(Painted(place / "dataset"))
        (dataset.root / "9" / "red_ann-99.jpg").write_bytes(b"no image")
        env = environment(dataset.download_path, place / "model", EPOCHS="8")
        command = [sys.executable, "-m", "model.create", "--resume"]
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=240, check=False)
        (place / "run.json").write_text(json.dumps([done.returncode, done.stdout, done.stderr]))

    made = make_once("trained", train)
    done = subprocess.CompletedProcess(["model.create"], *json.loads((made / "run.json").read_text()))
    return Trained(done, Painted(made / "dataset"), made / "model")


@pytest.fixture(scope="session")
def forked(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Jobs:
    """Return training runs in processes of their own, on the frames of `trained`."""
    from tests.model import forks  # which imports this module

    return forks.run(trained.dataset.download_path, tmp_path_factory.mktemp("forked"))
