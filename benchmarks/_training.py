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


def measure(name: str, architecture: str, epochs: int, unfreeze_from: str = "") -> int:
    """Train this architecture with both methods in turn, print the benchmark's line, and return 0.

    `unfreeze_from`: see `network.unfreeze_from`; "" leaves the backbone as it is built.
    """
    training = [architecture, str(epochs), unfreeze_from]
    with tempfile.TemporaryDirectory() as folder:
        _collect(FrameFolder(Path(folder)))
        rounds = [[_trained([way, folder, *training]) for way in ("ours", "original")] for _ in range(_ROUNDS)]
    digits = {"images_s": 3, "images_cpu_s": 2, "peak_mb": 0, "gpu_busy": 2}
    ours, original = (
        {key: round(statistics.median(each[way][key] for each in rounds), digits[key]) for key in digits}
        for way in (0, 1)
    )
    more = {key: ours[key] for key in digits if key != "images_s"}
    more |= {f"original_{key}": original[key] for key in more}
    return _grabbing.report(name, ours["images_s"], original["images_s"], "images/s", **more)


def _collect(folder: FrameFolder) -> None:
    """Save the first frames of a few clips, one game each, in the dataset's size."""
    games = {channel.game_id: channel for channel in World.load(CLIPS).channels if channel.has_frames}
    for channel in list(games.values())[:_CHANNELS]:
        with av.open(str(channel.file)) as clip:
            frames = [frame for frame, _ in zip(clip.decode(video=0), range(_FRAMES), strict=False)]
        pictures = [frame.reformat(width=240, height=240, format="rgb24").to_ndarray() for frame in frames]
        folder.save(channel.game_id, channel.login, [encode_jpeg(picture, 95) for picture in pictures])


def _trained(arguments: list[str]) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks._trainer", *arguments]
    done = subprocess.run(command, cwd=_REPOSITORY, capture_output=True, text=True, check=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures
