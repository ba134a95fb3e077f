"""What the benchmarks of grabbing share: channels of a 1080p60 source, and clients that are measured in turn."""

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

SOURCE = Rendition(1920, 1080, 60, 9_100_000)  # what Twitch's 1080p60 channels send, bit/s included
PRESET = "veryfast"  # OBS's default: CABAC, deblocking, B-frames; all cost a decoder time
FRAMES = 13  # of a window of 15: the last segments are new meanwhile
CHANNELS = 6  # in a run, over which what a run costs once is spread
ROUNDS = 3
CLIPS_1080 = ("stk_hacienda", "openarena_aggressor", "supertux_crystal_mine")  # fast 3D, fast and dark, flat 2D
_SECONDS = 16  # of each, over and over: transcoding to 1080p60 takes as long as it lasts, the first time
REPOSITORY = Path(__file__).parent.parent


@dataclasses.dataclass(frozen=True)
class Measured:
    """A client's work for each kept frame: CPU and wall seconds, bytes of every answer."""

    cpu_s: float
    wall_s: float
    bytes: float


@contextmanager
def channels(count: int, behaviour: str = "live", clips: int = len(CLIPS_1080)) -> Iterator[tuple[Standin, list[str]]]:
    """A stand-in with so many channels, their renditions made beforehand, and the channels' logins."""
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
    """The channels of CLIPS_1080, their clips cut short, into `folder`."""
    channels = [channel for channel in World.load(CLIPS).channels if channel.login in CLIPS_1080]
    return [dataclasses.replace(channel, file=_shortened(channel.file, folder)) for channel in channels]


def _shortened(clip: Path, folder: Path) -> Path:
    """Its first seconds, not encoded anew; the same bytes each time, so that transcodes are found again."""
    short = folder / clip.name
    with av.open(str(clip)) as source, av.open(str(short), "w", options={"fflags": "+bitexact"}) as output:
        video = output.add_stream_from_template(source.streams.video[0], opaque=True)
        for packet in source.demux(video=0):
            if packet.dts is not None and packet.dts * packet.time_base < _SECONDS:
                packet.stream = video
                output.mux(packet)
    return short


def measured(standin: Standin, way: str, logins: list[str], frames: int = FRAMES) -> Measured:
    """One client's run: `way` is ours or original."""
    before = len(standin.requests)
    command = [sys.executable, "-m", "benchmarks._client", way, standin.url, str(frames), *logins]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)
    if result["frames"] < frames * len(logins) * 0.9:
        raise RuntimeError(f"{way} kept {result['frames']} frames of {frames * len(logins)}")
    fetched = sum(request.bytes for request in standin.requests[before:])
    return Measured(*(value / result["frames"] for value in (result["cpu_s"], result["wall_s"], fetched)))


def in_turn(behaviour: str, figure: str) -> tuple[float, float]:
    """Ours and the original's median of a figure of Measured, over rounds in which each grabs from all channels."""
    ours, original = [], []
    with channels(CHANNELS, behaviour) as (standin, logins):
        for _ in range(ROUNDS):
            ours.append(getattr(measured(standin, "ours", logins), figure))
            original.append(getattr(measured(standin, "original", logins), figure))
    return statistics.median(ours), statistics.median(original)


def report(name: str, ours: float, original: float, unit: str, **more: Any) -> int:
    """Print the benchmark's line. `ratio`: how many times less, or for rates more, ours is; `more`: at its end."""
    ratio = ours / original if unit.endswith(("/s", "/min")) else original / ours
    values = {"name": name, "ours": round(ours, 3), "original": round(original, 3), "ratio": round(ratio, 1)}
    print(json.dumps({**values, "unit": unit, **more}), flush=True)
    return 0
