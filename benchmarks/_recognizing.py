"""What the benchmarks of recognition share: a model made on the spot, and both ways as whole processes in turn."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import _grabbing
from data.entities import Game
from data.folder import Folder
from data.grabber import Grabber

_ROUNDS = 3
_FRAMES = 4  # of each channel, to make a model of: what it is worth does not matter here
_REPOSITORY = Path(__file__).parent.parent


def measure(name: str, architecture: str) -> int:
    """Make a model of this architecture, then measure both on it; prints the benchmark's line."""
    ours, original = [], []
    with _grabbing.channels(6) as (standin, logins), tempfile.TemporaryDirectory() as folder:
        settings = {"DOWNLOAD_PATH": f"{folder}/dataset", "MODEL_PATH": f"{folder}/model", "EPOCHS": "1"}
        settings |= {"ARCHITECTURE": architecture, "INITIAL_WEIGHTS": "none", "AUGMENT": "false"}
        environment = {**os.environ, **standin.environment, **settings}
        _make_model(standin.url, logins, Folder(Path(folder) / "dataset" / "frames"), environment)
        for _ in range(_ROUNDS):
            ours.append(_seconds(environment, "recognition.recognize", logins[0]))
            original.append(_seconds(environment, "benchmarks._recognizer", standin.url, logins[0], f"{folder}/model"))
    return _grabbing.report(name, statistics.median(ours), statistics.median(original), "s a channel")


def _make_model(standin: str, logins: list[str], folder: Folder, environment: dict[str, str]) -> None:
    """Three games, each of two of the channels, and what model.create makes of them."""
    games = [Game(number, f"Game {number}") for number in (1, 2, 3)]
    folder.remember(games)
    with Grabber(img_size=240, jpeg_quality=95, standin=standin) as grabber:
        for game, login in zip(games * 2, logins, strict=True):
            folder.save(game.id, login, [frame.jpeg for frame in grabber.frames(login, _FRAMES)])
    _run(environment, "model.create", "-q")


def _seconds(environment: dict[str, str], module: str, *args: str) -> float:
    """Wall time of one run, which must judge the whole window, but for segments that are new meanwhile."""
    start = time.perf_counter()
    lines = _run(environment, module, *args).splitlines()
    seconds = time.perf_counter() - start
    if len(lines) <= _grabbing.FRAMES or " with a score of " not in lines[-1]:
        raise RuntimeError(f"{module} said {lines}")
    return seconds


def _run(environment: dict[str, str], module: str, *args: str) -> str:
    command = [sys.executable, "-m", module, *args]
    done = subprocess.run(command, cwd=_REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{module} ended with {done.returncode}: {done.stderr}")
    return done.stdout
