"""Live streams of the stand-in for Twitch, recognised by the real command: what it printed, and what it saw."""

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

from data.video.decoder import decode, first_frame
from tests.standin import CLIPS, Standin, World
from tests.standin.http import Request

ROOT = Path(__file__).resolve().parent.parent
_IMG_SIZE, _JPEG_QUALITY, _FRAMES = 240, 95, 15
_FRAME_LINE = re.compile(r"Frame \d+: (.*) with a [\d.]+% confidence\.")


@dataclass(frozen=True, slots=True)
class Stream:
    """A recognised stream. `images`: the frames judged, uint8 RGB; `lines`: a line for each, then the verdict."""

    login: str
    images: tuple[np.ndarray, ...]
    lines: tuple[str, ...]

    def outvoted(self, number: int) -> bool:
        """Whether the verdict is another game than the frame's own; `number` counts from 0."""
        match = _FRAME_LINE.fullmatch(self.lines[number])
        return not match or not self.lines[-1].startswith(f"{match[1]} with a score of ")


def recognised(logins: Sequence[str], model: Path) -> list[Stream]:
    """Run `recognition.recognize` for each of `logins`, with the model in the folder `model`.

    Raises ValueError: a login is not among those kept out of the demo's dataset. Raises
    CalledProcessError: the command failed.
    """
    world = World.load(CLIPS)
    if strangers := set(logins) - world.held_out:
        raise ValueError(f"not kept out of the demo's dataset: {', '.join(sorted(strangers))}")
    with Standin(world.only(logins)) as standin:
        return [_recognised(login, model, standin) for login in logins]


def _recognised(login: str, model: Path, standin: Standin) -> Stream:
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
    images = tuple(_seen(standin, before))
    if len(images) != len(lines) - 1:
        raise ValueError(f"{login}: {len(images)} segments were fetched for {len(lines) - 1} frames")
    return Stream(login, images, lines)


def _seen(standin: Standin, before: int) -> list[np.ndarray]:
    """The first frames of the segments that were fetched since request number `before`, oldest first."""
    fetched = {(r.path, r.host) for r in standin.requests[before:] if r.path.startswith("/v1/segment/")}
    oldest_first = sorted(fetched, key=lambda segment: int(PurePosixPath(segment[0]).stem))
    bodies = [standin.respond(Request("GET", host, path, {}, b"")).body for path, host in oldest_first]
    return [decode(first_frame(io.BytesIO(body), _IMG_SIZE, _JPEG_QUALITY)) for body in bodies]
