"""Image similarity: SSIM of our frame with the frame decoded in full and scaled by OpenCV's INTER_AREA.

It compares each segment of one clip of each game in the 360p rendition and, where it exists, in the 1080p60 source, to
measure what 360p loses. The original's own JPEG is compared too: its loss is the limit for any way of scaling.
"""

from __future__ import annotations

import io
import json
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from benchmarks._grabbing import PRESET, SOURCE, sources_1080
from data.video.decoder import first_frame
from data.video.images import decode_jpeg, encode_jpeg
from tests.sample_images import resize_by_area, ssim
from tests.standin import CLIPS, World
from tests.standin.media import TRANSCODES, Media, default_cache, segment_count
from tests.standin.transcode import Rendition
from tests.standin.world import Channel

_SIZE, _QUALITY = 240, 95


def main(argv: list[str]) -> int:
    """Measure, print, and return the exit code; `argv` is empty."""
    del argv
    world, media = World.load(CLIPS), Media(default_cache(), PRESET)
    games = {channel.game_id: channel for channel in reversed(world.channels) if channel.behaviour == "live"}
    folder = tempfile.TemporaryDirectory(prefix="clips-")
    sources = sources_1080(Path(folder.name))
    try:
        _report("grab_likeness", [pair for channel in games.values() for pair in _same(media, channel, TRANSCODES[0])])
        _report("grab_likeness_source_only", [pair for channel in sources for pair in _same(media, channel, SOURCE)])
        _report("grab_likeness_360p_for_1080p", [pair for channel in sources for pair in _smaller(media, channel)])
    finally:
        media.close()
        folder.cleanup()
    return 0


def _same(media: Media, channel: Channel, rendition: Rendition) -> Iterator[tuple[float, float]]:
    """Return, for each segment, the similarity of our JPEG and of the original's with the original's image."""
    for data in _segments(media, channel, rendition):
        truth = _in_full(data)
        yield ssim(_ours(data), truth), ssim(decode_jpeg(encode_jpeg(truth, _QUALITY)), truth)


def _smaller(media: Media, channel: Channel) -> Iterator[tuple[float, float]]:
    """Return the same similarities, with our JPEG from 360p and the original's image from the source."""
    large, small = (_segments(media, channel, rendition) for rendition in (SOURCE, TRANSCODES[0]))
    for data, reduced in zip(large, small, strict=True):
        truth = _in_full(data)
        yield ssim(_ours(reduced), truth), ssim(decode_jpeg(encode_jpeg(truth, _QUALITY)), truth)


def _segments(media: Media, channel: Channel, rendition: Rendition) -> Iterator[bytes]:
    media.prepare(channel.file, rendition)
    return (media.segment(channel.file, rendition, index) for index in range(segment_count(channel.file)))


def _ours(data: bytes) -> np.ndarray:
    return decode_jpeg(first_frame(io.BytesIO(data), _SIZE, _QUALITY))


def _in_full(data: bytes) -> np.ndarray:
    """Return the original's image, before JPEG compression."""
    with av.open(io.BytesIO(data), format="mpegts") as container:
        return resize_by_area(next(container.decode(video=0)).to_ndarray(format="rgb24"), _SIZE)


def _report(name: str, pairs: list[tuple[float, float]]) -> None:
    """Print the lowest similarities of all frames as `ours` and `original`, and the medians."""
    ours, original = ([round(value, 4) for value in values] for values in zip(*pairs, strict=True))
    values = {"name": name, "ours": min(ours), "original": min(original), "ratio": round(min(ours) / min(original), 3)}
    medians = {"median_ours": statistics.median(ours), "median_original": statistics.median(original)}
    print(json.dumps({**values, "unit": "SSIM, least", **medians, "frames": len(ours)}), flush=True)
