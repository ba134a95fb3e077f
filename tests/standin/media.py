"""Segments: a clip becomes two-second H.264 segments of a rendition, made once and kept in a cache folder."""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

SEGMENT_S = 2
_VERSION = "2"  # part of the cache's key: raise it when the encoding changes
_AD_COLOUR = (255, 0, 200)


@dataclass(frozen=True)
class Rendition:
    """One quality of a channel, named as Twitch names it."""

    width: int
    height: int
    fps: int
    bandwidth: int  # bit/s, as announced

    @property
    def name(self) -> str:
        """For example 360p or 720p60: Twitch names a rate above 30 only."""
        return f"{self.height}p{self.fps if self.fps > 30 else ''}"


TRANSCODES = (Rendition(640, 360, 30, 630_000), Rendition(284, 160, 30, 230_000))


def default_cache() -> Path:
    """Where segments are kept between runs: $TWITCH_STANDIN_CACHE, or a folder in the user's cache."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("TWITCH_STANDIN_CACHE") or Path(base) / "twitchcategory-standin")


class Media:
    """Makes and finds segments. Thread safe; the same rendition is made once, however many ask."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._locks: dict[Path, threading.Lock] = {}
        self._lock = threading.Lock()
        self.transcoded = 0  # renditions made rather than found

    def clip(self, file: Path, rendition: Rendition, *, fmp4: bool = False) -> Path:
        """The folder of a clip's segments: 0.ts, 1.ts …, or init.mp4 and 0.m4s …, made if they are missing."""
        return self._made(_content(file), rendition, fmp4, lambda: _clip_frames(file, rendition))

    def ad(self, rendition: Rendition) -> Path:
        """The folder of the ad's only segment."""
        return self._made("ad", rendition, False, lambda: _ad_frames(rendition))

    def _made(self, content: str, rendition: Rendition, fmp4: bool, frames) -> Path:
        kind = "fmp4" if fmp4 else "ts"
        folder = self._cache / f"{content}-{rendition.width}x{rendition.height}-{rendition.fps}-{kind}-{_VERSION}"
        with self._lock:
            lock = self._locks.setdefault(folder, threading.Lock())
        with lock:
            if not folder.exists():
                self.transcoded += 1
                _encode(frames(), rendition, fmp4, folder)
        return folder


@functools.cache  # asked for with every segment, and clips do not change while a stand-in runs
def _content(file: Path) -> str:
    """What the clip is known by in the cache."""
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]


@functools.cache
def segment_count(file: Path) -> int:
    """How many whole segments a clip makes, without making them."""
    with av.open(str(file)) as clip:
        return int((clip.duration or 0) / av.time_base) // SEGMENT_S


def segments(folder: Path) -> list[Path]:
    """The segments in a folder that Media made, in their order."""
    found = [path for path in folder.iterdir() if path.suffix in (".ts", ".m4s")]
    return sorted(found, key=lambda path: int(path.stem))


def looks_like_ad(image: np.ndarray) -> bool:
    """Whether a uint8 RGB image (height, width, 3) is the stand-in's ad: nothing else is all magenta."""
    return bool(np.abs(image.astype(int).mean(axis=(0, 1)) - _AD_COLOUR).max() < 40)


def _encode(frames: Iterator[av.VideoFrame], rendition: Rendition, fmp4: bool, folder: Path) -> None:
    """Write the segments beside their place, then move the folder there whole."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".making-"))
    options = {
        "hls_time": str(SEGMENT_S),
        "hls_list_size": "0",
        "hls_segment_type": "fmp4" if fmp4 else "mpegts",
        "hls_fmp4_init_filename": "init.mp4",
        "hls_segment_filename": str(work / ("%d.m4s" if fmp4 else "%d.ts")),
    }
    try:
        with av.open(str(work / "list.m3u8"), "w", format="hls", options=options) as output:
            stream = output.add_stream("libx264", rate=rendition.fps, options=_h264(rendition))
            stream.width, stream.height, stream.pix_fmt = rendition.width, rendition.height, "yuv420p"
            stream.bit_rate = rendition.bandwidth
            for frame in frames:
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
        (work / "list.m3u8").unlink()
        work.rename(folder)
    except OSError:  # another process was faster
        shutil.rmtree(work, ignore_errors=True)
        if not folder.exists():
            raise


def _h264(rendition: Rendition) -> dict[str, str]:
    """An IDR frame every two seconds, and none in between: what Twitch's encoders do."""
    interval = str(rendition.fps * SEGMENT_S)
    return {
        "preset": "ultrafast",  # half the time of superfast, and 2 dB at most; a viewer waits for it
        "maxrate": str(rendition.bandwidth),
        "bufsize": str(rendition.bandwidth * SEGMENT_S),
        "g": interval,
        "keyint_min": interval,
        "sc_threshold": "0",
        "forced-idr": "1",
        "threads": "2",
    }


def _clip_frames(file: Path, rendition: Rendition) -> Iterator[av.VideoFrame]:
    """The clip's frames, scaled, repeated or dropped to the rendition's rate, whole segments alone."""
    number, total = 0, segment_count(file) * rendition.fps * SEGMENT_S
    with av.open(str(file)) as clip:
        video = clip.streams.video[0]
        video.thread_type = "AUTO"
        repeats = rendition.fps / Fraction(video.average_rate or rendition.fps)
        for index, source in enumerate(clip.decode(video)):
            frame = source.reformat(rendition.width, rendition.height, "yuv420p")
            while number < total and number < (index + 1) * repeats:
                yield _at(frame, number, rendition.fps)
                number += 1


def _ad_frames(rendition: Rendition) -> Iterator[av.VideoFrame]:
    """Two seconds of magenta with a grey bar that moves."""
    for number in range(rendition.fps * SEGMENT_S):
        image = np.full((rendition.height, rendition.width, 3), _AD_COLOUR, np.uint8)
        left = number * rendition.width // (rendition.fps * SEGMENT_S)
        image[-rendition.height // 20 :, left : left + rendition.width // 20] = 128
        yield _at(av.VideoFrame.from_ndarray(image, "rgb24").reformat(format="yuv420p"), number, rendition.fps)


def _at(frame: av.VideoFrame, number: int, fps: int) -> av.VideoFrame:
    """The frame at this place in the stream. The encoder takes it before it is placed again."""
    frame.pts, frame.time_base, frame.pict_type = number, Fraction(1, fps), av.video.frame.PictureType.NONE
    return frame
