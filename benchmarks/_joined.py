"""Joined recordings: gameplay of several recordings, one after the other, with known cuts."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import av

_SECONDS = (40, 300)  # of a part
_GAP_S = 0.1  # of the picture before each cut: a part ends where frames may be missing that others need
SEGMENT_S = 10  # of Twitch's VODs


@dataclass(frozen=True)
class Part:
    """A part of a joined recording: the recording that it comes from, and where it lies in the joined one, seconds."""

    file: Path
    start_s: float
    end_s: float


def last_of_each(folder: Path) -> list[Path]:
    """Return the last recording of each game, by name: those that a model of the others has not seen."""
    files = sorted(folder.glob("*/*.mp4"))
    return [list(group)[-1] for _, group in groupby(files, key=lambda file: file.parent)]


def plan(files: Sequence[Path], parts: int, seed: int) -> list[Part]:
    """Return the parts of a recording: neighbours show different games."""
    rng = random.Random(seed)
    planned: list[Part] = []
    at_s = 0.0
    for _ in range(parts):
        others = [file for file in files if not planned or file.parent != planned[-1].file.parent]
        end_s = round(at_s + rng.uniform(*_SECONDS), 1)
        planned.append(Part(rng.choice(others), at_s, end_s))
        at_s = end_s
    return planned


def join(parts: Sequence[Part], target: Path) -> None:
    """Copy the parts to a video file, or to the playlist of a VOD. A recording shorter than its part is repeated."""
    hls = {"hls_time": str(SEGMENT_S), "hls_playlist_type": "vod", "hls_list_size": "0"}
    is_hls = target.suffix == ".m3u8"
    with av.open(str(target), "w", format="hls" if is_hls else None, options=hls if is_hls else {}) as output:
        with av.open(str(parts[0].file)) as first:
            stream = output.add_stream_from_template(first.streams.video[0])
        for part in parts:
            for packet in _packets(part):
                packet.stream = stream
                output.mux(packet)


def _packets(part: Part) -> Iterator[av.Packet]:
    """Yield the packets of a part with their times in the joined recording."""
    start_s = part.start_s
    while start_s < part.end_s:
        with av.open(str(part.file)) as source:
            video = source.streams.video[0]
            length_s = float(video.duration * video.time_base)
            offset = round(start_s / video.time_base)
            for packet in source.demux(video):
                if packet.size and packet.pts * video.time_base < min(length_s, part.end_s - start_s) - _GAP_S:
                    packet.pts, packet.dts = packet.pts + offset, packet.dts + offset
                    yield packet
        start_s += length_s
