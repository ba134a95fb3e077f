"""Training benchmarks, shared code: frames of the stand-in's clips, and trainings that are measured in turn."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import av

from benchmarks import _grabbing
from data.storage.frame_folder import FrameFolder
from data.video.images import encode_jpeg
from tests.standin import CLIPS, World

_CHANNELS, _FRAMES = 8, 15  # of each
_ROUNDS = 3
_REPOSITORY = Path(__file__).parent.parent


def measure(name: str, architecture: str, epochs: int) -> int:
    """Train this architecture with both methods in turn, print the benchmark's line, and return 0."""
    with tempfile.TemporaryDirectory() as folder:
        _collect(FrameFolder(Path(folder)))
        rounds = [[_trained(way, folder, architecture, epochs) for way in ("ours", "original")] for _ in range(_ROUNDS)]
    speed, memory = (
        [statistics.median(each[way][figure] for each in rounds) for way in (0, 1)]
        for figure in ("images_s", "peak_mb")
    )
    more = {"peak_mb": round(memory[0]), "original_peak_mb": round(memory[1])}
    return _grabbing.report(name, speed[0], speed[1], "images/s", **more)


def _collect(folder: FrameFolder) -> None:
    """Save the first frames of a few clips, one game each, in the dataset's size."""
    games = {channel.game_id: channel for channel in World.load(CLIPS).channels if channel.has_frames}
    for channel in list(games.values())[:_CHANNELS]:
        with av.open(str(channel.file)) as clip:
            frames = [frame for frame, _ in zip(clip.decode(video=0), range(_FRAMES), strict=False)]
        pictures = [frame.reformat(width=240, height=240, format="rgb24").to_ndarray() for frame in frames]
        folder.save(channel.game_id, channel.login, [encode_jpeg(picture, 95) for picture in pictures])


def _trained(way: str, folder: str, architecture: str, epochs: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks._trainer", way, folder, architecture, str(epochs)]
    done = subprocess.run(command, cwd=_REPOSITORY, capture_output=True, text=True, check=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures
