"""Survey benchmarks, shared code: a stand-in with many channels, and surveys as processes of their own."""

from __future__ import annotations

import dataclasses
import io
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks._grabbing import PRESET, REPOSITORY, SOURCE, sources_1080
from data.video.decoder import Decoder, first_frame
from tests.standin import CLIPS, Standin, World
from tests.standin.media import TRANSCODES, segment_count
from tests.standin.preview import preview_image, preview_segment
from tests.standin.world import Channel

_SEGMENTS = 3  # of each clip, to measure decoding


@dataclasses.dataclass(frozen=True)
class Surveyed:
    """A survey's cost per stream: wall and CPU seconds, frames, bytes of all responses; and its answers.

    answers: game ids by login.
    inference_s: the network's part of `cpu_s`.
    standin_s: CPU seconds of the stand-in meanwhile.
    """

    answers: dict[str, int | None]
    frames: float
    wall_s: float
    cpu_s: float
    inference_s: float
    standin_s: float
    bytes: float
    memory_mb: float

    @property
    def a_minute(self) -> float:
        """Return streams per minute, with the stand-in on the same cores."""
        return 60 / self.wall_s

    @property
    def a_minute_alone(self) -> float:
        """Return the estimated streams per minute without the CPU time of the stand-in."""
        return self.a_minute * (self.cpu_s + self.standin_s) / self.cpu_s


@contextmanager
def channels(count: int, host: str = "127.0.0.1") -> Iterator[tuple[Standin, list[str], list[str]]]:
    """Yield a stand-in with `count` live channels, their logins, and the logins of those that also have 1080p60.

    All renditions and previews are made before. host: loopback address of the stand-in.
    """
    with tempfile.TemporaryDirectory(prefix="clips-") as folder:
        best = sources_1080(Path(folder))
        games = [channel for channel in World.load(CLIPS).channels if channel.igdb_id and channel.has_frames]
        sources = (best + games * count)[:count]
        channels = tuple(named(source, f"channel_{index}") for index, source in enumerate(sources))
        with Standin(World(channels), source=SOURCE, preset=PRESET, host=host) as standin:
            for channel in best:
                standin.transcoder.prepare(channel.file, SOURCE)
            for file in {channel.file for channel in channels}:
                standin.transcoder.prepare(file, TRANSCODES[0])
                preview_image(file, "", preview_segment(time.time()), 440, 248)
            yield standin, [channel.login for channel in channels], [channel.login for channel in channels[: len(best)]]


def named(channel: Channel, login: str) -> Channel:
    """Return the channel with this login, without its faults."""
    return dataclasses.replace(channel, login=login, behaviour="live")


def surveyed(standin: Standin, way: str, logins: Sequence[str]) -> Surveyed:
    """Run one survey and return its cost. `way`: as in benchmarks._surveyor."""
    requests, cpu = len(standin.requests), time.process_time()
    command = [sys.executable, "-m", "benchmarks._surveyor", way, standin.url]
    done = subprocess.run(
        command, cwd=REPOSITORY, input="\n".join(logins), stdout=subprocess.PIPE, text=True, check=True
    )
    spent = {**json.loads(done.stdout), "standin_s": time.process_time() - cpu}
    if failed := [login for login, game in spent["answers"].items() if game is None]:
        raise RuntimeError(f"{way}: no answer for {failed}")
    spent["bytes"] = sum(request.bytes for request in standin.requests[requests:])
    of_all = {"answers", "memory_mb"}
    return Surveyed(**{name: value if name in of_all else value / len(logins) for name, value in spent.items()})


def decoding_s(standin: Standin) -> float:
    """Return the average CPU seconds from a segment's bytes to a JPEG."""
    media, decoder, spent = standin.transcoder, Decoder(), []
    for file in sorted({channel.file for channel in standin.world.channels}):
        for index in range(min(_SEGMENTS, segment_count(file))):
            segment = io.BytesIO(media.segment(file, TRANSCODES[0], index))
            start = time.thread_time()
            first_frame(segment, 240, 95, decoder)
            spent.append(time.thread_time() - start)
    return sum(spent) / len(spent)


def differing(one: Surveyed, other: Surveyed) -> int:
    """Return the number of answers that differ."""
    return sum(other.answers[login] != game for login, game in one.answers.items())
