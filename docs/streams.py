"""Recognised streams: the real command runs on live streams of the stand-in; its output and its frames are kept."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from data.video.decoder import first_frame
from data.video.images import decode_jpeg
from tests.standin import CLIPS, Standin, World
from tests.standin.http import Request

ROOT = Path(__file__).resolve().parent.parent
_IMG_SIZE, _JPEG_QUALITY, _FRAMES = 240, 95, 15
_FRAME_LINE = re.compile(r"Frame \d+: (.*) with a [\d.]+% confidence\.")


@dataclass(frozen=True, slots=True)
class Stream:
    """A recognised stream."""

    login: str
    images: tuple[np.ndarray, ...]  # the classified frames, uint8 RGB (240, 240, 3) each
    lines: tuple[str, ...]  # printed lines: one for each frame, then the verdict

    def outvoted(self, number: int) -> bool:
        """Return whether the verdict differs from frame `number`, counted from 0."""
        match = _FRAME_LINE.fullmatch(self.lines[number])
        return not match or not self.lines[-1].startswith(f"{match[1]} with a score of ")


def recognise(logins: Sequence[str], model: Path) -> list[Stream]:
    """Run recognition.recognize on each login, with the model in the folder `model`.

    Raises:
        ValueError: a login is part of the demo's dataset, or frames and lines do not match.
        CalledProcessError: the command failed.
    """
    world = World.load(CLIPS)
    # Only held-out streams are honest examples: the model has not seen them.
    if trained := set(logins) - world.held_out:
        raise ValueError(f"part of the demo's dataset: {', '.join(sorted(trained))}")
    with Standin(world.only(logins)) as standin:
        return [_recognise(login, model, standin) for login in logins]


def _recognise(login: str, model: Path, standin: Standin) -> Stream:
    before = len(standin.requests)
    settings = {
        "MODEL_PATH": str(model),
        "IMG_SIZE": str(_IMG_SIZE),
        "JPEG_QUALITY": str(_JPEG_QUALITY),
        "FRAMES_PER_STREAM": str(_FRAMES),
    }
    command = [sys.executable, "-m", "recognition.recognize", login]
    environment = {**os.environ, **settings, **standin.environment}
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    lines = tuple(done.stdout.splitlines())
    images = tuple(_fetched_frames(standin, before))
    if len(images) != len(lines) - 1:
        raise ValueError(f"{login}: {len(images)} segments were fetched for {len(lines) - 1} frames")
    return Stream(login, images, lines)


def _fetched_frames(standin: Standin, before: int) -> list[np.ndarray]:
    """Return the first frame of each segment fetched since request `before`, oldest first.

    The command reads the first frame of a segment, so these are the frames that it classified.
    """
    fetched = {(r.path, r.host) for r in standin.requests[before:] if r.path.startswith("/v1/segment/")}
    oldest_first = sorted(fetched, key=lambda segment: int(PurePosixPath(segment[0]).stem))
    bodies = [standin.respond(Request("GET", host, path, {}, b"")).body for path, host in oldest_first]
    return [decode_jpeg(first_frame(io.BytesIO(body), _IMG_SIZE, _JPEG_QUALITY)) for body in bodies]
