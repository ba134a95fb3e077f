"""Recognition benchmarks, shared code: a quickly trained model, and both methods as whole processes in turn."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import _grabbing
from data.capture.grabber import Grabber
from data.entities import Game
from data.storage.frame_folder import FrameFolder
from tests.standin import Standin

_ROUNDS = 3
_FRAMES = 4  # of each channel, for a model whose accuracy does not matter here
_REPOSITORY = Path(__file__).parent.parent


def measure(name: str, architecture: str) -> int:
    """Measure both methods on a model of this architecture, print the benchmark's line, and return 0."""
    ours, original = [], []
    with ready(architecture) as (standin, logins, environment):
        for _ in range(_ROUNDS):
            ours.append(_seconds(environment, "recognition.recognize", logins[0]))
            original.append(
                _seconds(environment, "benchmarks._recognizer", *original_arguments(standin, logins, environment))
            )
    return _grabbing.report(name, statistics.median(ours), statistics.median(original), "s a channel")


@contextmanager
def ready(architecture: str) -> Iterator[tuple[Standin, list[str], dict[str, str]]]:
    """Yield a stand-in with 1080p60 channels, their logins, and the environment with a model trained on them."""
    with _grabbing.channels(6) as (standin, logins), tempfile.TemporaryDirectory() as folder:
        settings = {"DOWNLOAD_PATH": f"{folder}/dataset", "MODEL_PATH": f"{folder}/model", "EPOCHS": "1"}
        settings |= {"ARCHITECTURE": architecture, "INITIAL_WEIGHTS": "none", "AUGMENT": "false"}
        environment = {**os.environ, **standin.environment, **settings}
        _make_model(standin.url, logins, FrameFolder(Path(folder) / "dataset" / "frames"), environment)
        yield standin, logins, environment


def first_line(environment: dict[str, str], module: str, *args: str) -> float:
    """Return the seconds from a process's start to the first line that it prints."""
    start = time.perf_counter()
    command = [sys.executable, "-m", module, *args]
    with subprocess.Popen(command, cwd=_REPOSITORY, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        line = process.stdout.readline()
        seconds = time.perf_counter() - start
        process.stdout.read()
    if not line.startswith("Frame 1: ") or process.returncode:
        raise RuntimeError(f"{module} ended with {process.returncode}, having printed {line}")
    return seconds


def original_arguments(standin: Standin, logins: list[str], environment: dict[str, str]) -> tuple[str, str, str]:
    """Return the arguments of benchmarks._recognizer for the first channel."""
    return standin.url, logins[0], environment["MODEL_PATH"]


def _make_model(standin: str, logins: list[str], folder: FrameFolder, environment: dict[str, str]) -> None:
    """Save a dataset of three games with two channels each, and train a model on it."""
    games = [Game(number, f"Game {number}") for number in (1, 2, 3)]
    folder.add_games(games)
    with Grabber(img_size=240, jpeg_quality=95, standin=standin) as grabber:
        for game, login in zip(games * 2, logins, strict=True):
            folder.save(game.id, login, [frame.jpeg for frame in grabber.frames(login, _FRAMES)])
    _run(environment, "model.create", "-q")


def _seconds(environment: dict[str, str], module: str, *args: str) -> float:
    """Return the seconds of one run. Raises RuntimeError unless it classifies FRAMES frames or more."""
    start = time.perf_counter()
    lines = _run(environment, module, *args).splitlines()
    seconds = time.perf_counter() - start
    if len(lines) <= _grabbing.FRAMES or " with a score of " not in lines[-1]:
        raise RuntimeError(f"{module} printed {lines}")
    return seconds


def _run(environment: dict[str, str], module: str, *args: str) -> str:
    command = [sys.executable, "-m", module, *args]
    done = subprocess.run(command, cwd=_REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{module} ended with {done.returncode}: {done.stderr}")
    return done.stdout
