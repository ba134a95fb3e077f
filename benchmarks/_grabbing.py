"""Grabbing benchmarks, shared code: channels with a 1080p60 source, and clients that are measured in turn."""

from __future__ import annotations

import dataclasses
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av

from tests.standin import CLIPS, Standin, World
from tests.standin.media import TRANSCODES
from tests.standin.transcode import Rendition
from tests.standin.world import Channel

SOURCE = Rendition(1920, 1080, 60, 9_100_000)  # the size and bit rate of Twitch's 1080p60 channels
PRESET = "veryfast"  # OBS's default; its CABAC, deblocking and B-frames cost the decoder time
FRAMES = 13  # of a playlist of 15 segments, of which the oldest may expire during the run
CHANNELS = 6  # in a run, to spread the cost of its start
ROUNDS = 3
CLIPS_1080 = ("stk_hacienda", "openarena_aggressor", "supertux_crystal_mine")  # fast 3D, fast and dark, flat 2D
_SECONDS = 16  # of each clip, in a loop: the first transcoding to 1080p60 takes as long as it plays
REPOSITORY = Path(__file__).parent.parent


@dataclasses.dataclass(frozen=True)
class Measured:
    """A client's cost per saved frame: CPU and wall seconds, bytes of all responses."""

    cpu_s: float
    wall_s: float
    bytes: float


@contextmanager
def channels(count: int, behaviour: str = "live", clips: int = len(CLIPS_1080)) -> Iterator[tuple[Standin, list[str]]]:
    """Yield a stand-in with `count` channels, whose renditions are already transcoded, and the logins."""
    with tempfile.TemporaryDirectory(prefix="clips-") as folder:
        sources = sources_1080(Path(folder))[:clips]
        made = [
            dataclasses.replace(source, login=f"channel_{index}", behaviour=behaviour)
            for index, source in zip(range(count), sources * count, strict=False)
        ]
        with Standin(World(tuple(made)), source=SOURCE, preset=PRESET) as standin:
            for channel in sources:
                for rendition in (SOURCE, TRANSCODES[0]):
                    standin.transcoder.prepare(channel.file, rendition)
            yield standin, [channel.login for channel in made]


def sources_1080(folder: Path) -> list[Channel]:
    """Return the channels of CLIPS_1080 with shortened clips, which are written into `folder`."""
    channels = [channel for channel in World.load(CLIPS).channels if channel.login in CLIPS_1080]
    return [dataclasses.replace(channel, file=_shortened(channel.file, folder)) for channel in channels]


def _shortened(clip: Path, folder: Path) -> Path:
    """Write the clip's first seconds without encoding; equal bytes each time, so that cached transcodes fit."""
    short = folder / clip.name
    with av.open(str(clip)) as source, av.open(str(short), "w", options={"fflags": "+bitexact"}) as output:
        video = output.add_stream_from_template(source.streams.video[0], opaque=True)
        for packet in source.demux(video=0):
            if packet.dts is not None and packet.dts * packet.time_base < _SECONDS:
                packet.stream = video
                output.mux(packet)
    return short


def measured(standin: Standin, way: str, logins: list[str], frames: int = FRAMES) -> Measured:
    """Run one client and return its cost. `way`: ours or original."""
    before = len(standin.requests)
    command = [sys.executable, "-m", "benchmarks._client", way, standin.url, str(frames), *logins]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)
    if result["frames"] < frames * len(logins) * 0.9:
        raise RuntimeError(f"{way} kept {result['frames']} frames of {frames * len(logins)}")
    fetched = sum(request.bytes for request in standin.requests[before:])
    return Measured(*(value / result["frames"] for value in (result["cpu_s"], result["wall_s"], fetched)))


def in_turn(behaviour: str, figure: str) -> tuple[float, float]:
    """Return the medians of one field of Measured, ours and the original's, over rounds of all channels."""
    ours, original = [], []
    with channels(CHANNELS, behaviour) as (standin, logins):
        for _ in range(ROUNDS):
            ours.append(getattr(measured(standin, "ours", logins), figure))
            original.append(getattr(measured(standin, "original", logins), figure))
    return statistics.median(ours), statistics.median(original)


def report(name: str, ours: float, original: float, unit: str, **more: Any) -> int:
    """Print the benchmark's JSON line and return 0.

    Its `ratio` says how many times less ours is or, for rates, how many times more. `more`: further keys.
    """
    ratio = ours / original if unit.endswith(("/s", "/min")) else original / ours
    values = {"name": name, "ours": round(ours, 3), "original": round(original, 3), "ratio": round(ratio, 1)}
    print(json.dumps({**values, "unit": unit, **more}), flush=True)
    return 0
