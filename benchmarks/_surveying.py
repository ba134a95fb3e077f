"""What the benchmarks of surveys share: a stand-in of many channels, and surveys of them as processes of their own."""

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

_SEGMENTS = 3  # of each clip, to see what decoding takes


@dataclasses.dataclass(frozen=True)
class Surveyed:
    """A survey's cost, for a stream: wall and CPU seconds, frames, bytes of all answers. `answers`: game ids by login.

    `standin_s`: what the stand-in took of the CPU meanwhile; `inference_s`: the network, of `cpu_s`.
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
        """Streams a minute, with the stand-in on the same cores."""
        return 60 / self.wall_s

    @property
    def a_minute_alone(self) -> float:
        """The same, were the stand-in on another machine: its share of the CPU time spent is not waited for."""
        return self.a_minute * (self.cpu_s + self.standin_s) / self.cpu_s


@contextmanager
def channels(count: int) -> Iterator[tuple[Standin, list[str], list[str]]]:
    """A stand-in with so many live channels, all clips in turn; their logins; and those whose 1080p60 is there, too.

    What they send is made beforehand.
    """
    with tempfile.TemporaryDirectory(prefix="clips-") as folder:
        best = sources_1080(Path(folder))
        games = [channel for channel in World.load(CLIPS).channels if channel.igdb_id and channel.has_frames]
        sources = (best + games * count)[:count]
        channels = tuple(named(source, f"channel_{index}") for index, source in enumerate(sources))
        with Standin(World(channels), source=SOURCE, preset=PRESET) as standin:
            for channel in best:
                standin.transcoder.prepare(channel.file, SOURCE)
            for file in {channel.file for channel in channels}:
                standin.transcoder.prepare(file, TRANSCODES[0])
                preview_image(file, "", preview_segment(time.time()), 440, 248)
            yield standin, [channel.login for channel in channels], [channel.login for channel in channels[: len(best)]]


def named(channel: Channel, login: str) -> Channel:
    """The channel under this login, without what may be wrong with it."""
    return dataclasses.replace(channel, login=login, behaviour="live")


def surveyed(standin: Standin, way: str, logins: Sequence[str]) -> Surveyed:
    """One survey; `way` as benchmarks._surveyor has it."""
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
    """CPU seconds from a segment's bytes to a frame: unpacked, decoded, scaled, as JPEG."""
    media, decoder, spent = standin.transcoder, Decoder(), []
    for file in sorted({channel.file for channel in standin.world.channels}):
        for index in range(min(_SEGMENTS, segment_count(file))):
            segment = io.BytesIO(media.segment(file, TRANSCODES[0], index))
            start = time.thread_time()
            first_frame(segment, 240, 95, decoder)
            spent.append(time.thread_time() - start)
    return sum(spent) / len(spent)


def differing(one: Surveyed, other: Surveyed) -> int:
    """How many answers of both are not the same."""
    return sum(other.answers[login] != game for login, game in one.answers.items())
