"""Segment cache: segments of clips and ads, transcoded on the first request and kept in a folder."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import threading
from pathlib import Path

import av
import numpy as np

from tests.standin.frame_sources import AD_COLOUR, ad_frames, clip_frames, flat_frames, still_frames
from tests.standin.transcode import FAST, SEGMENT_S, Frames, Rendition, Transcode, remove_stale_work

TRANSCODES = (Rendition(640, 360, 30, 630_000), Rendition(284, 160, 30, 230_000))
BOMB = Rendition(7680, 4320, 1, 630_000)
_VERSION = "4"  # part of the cache's key; increase it when the encoding changes


def default_cache() -> Path:
    """Return the cache folder: $TWITCH_STANDIN_CACHE, or a folder in the user's cache."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("TWITCH_STANDIN_CACHE") or Path(base) / "twitchcategory-standin")


class Media:
    """Transcoded segments. Thread safe; concurrent requests share one transcode of a rendition.

    Args:
        cache: the folder; created on demand.
        preset: x264's preset. Slower presets make streams that cost more to decode, as Twitch's do.
    """

    def __init__(self, cache: Path, preset: str = FAST) -> None:
        self._cache = cache
        self._preset = preset
        self._lock = threading.Lock()
        self._transcodes: dict[Path, Transcode] = {}
        remove_stale_work(cache)

    @property
    def transcode_count(self) -> int:
        """Return how many renditions were transcoded, completely or in part, since the start."""
        return len(self._transcodes)

    def segment(self, file: Path, rendition: Rendition, index: int, *, fmp4: bool = False) -> bytes:
        """Return segment `index` of a clip, 0 to segment_count - 1: MPEG-TS, or an fMP4 fragment without `init`."""
        return self._read(file, rendition, f"{index}.{'m4s' if fmp4 else 'ts'}", index, fmp4)

    def still(self, still: str, file: Path, rendition: Rendition, index: int) -> bytes:
        """Return segment `index` of one of world.STILLS, as long as the clip: MPEG-TS."""
        folder = self._folder(f"{still}-{_content(file)}", rendition, False)
        with contextlib.suppress(FileNotFoundError):
            return self._made(folder, f"{index}.ts", index)
        frames = functools.partial(still_frames, still, file, rendition)
        return self._transcode(folder, frames, segment_count(file), index, rendition).read(f"{index}.ts", index)

    def init(self, file: Path, rendition: Rendition, index: int) -> bytes:
        """Return the init section of a clip's fragments; the transcode begins at segment `index`."""
        return self._read(file, rendition, "init.mp4", index, True)

    def ad(self, rendition: Rendition) -> bytes:
        """Return the ad: one MPEG-TS segment."""
        folder = self._folder("ad", rendition, False)
        with contextlib.suppress(FileNotFoundError):
            return (folder / "0.ts").read_bytes()
        return self._transcode(folder, lambda *_: ad_frames(rendition), 1, 0, rendition).read("0.ts", 0)

    def bomb(self) -> bytes:
        """Return a segment of 8K video: a few kilobytes that decode to a hundred megabytes."""
        folder = self._folder("bomb", BOMB, False)
        with contextlib.suppress(FileNotFoundError):
            return (folder / "0.ts").read_bytes()
        transcode = self._transcode(folder, lambda *_: flat_frames(BOMB), 1, 0, BOMB)
        transcode.join()  # until the folder is complete: this segment is its only one
        return transcode.read("0.ts", 0)

    def prepare(self, file: Path, rendition: Rendition, *, fmp4: bool = False, still: str = "") -> None:
        """Transcode all segments of a clip, or of a still as long as it, now: later requests do not wait."""
        content = f"{still}-{_content(file)}" if still else _content(file)
        make = functools.partial(still_frames, still) if still else clip_frames
        frames = functools.partial(make, file, rendition)
        folder = self._folder(content, rendition, fmp4)
        transcode = self._transcode(folder, frames, segment_count(file), 0, rendition, fmp4=fmp4)
        transcode.want()
        transcode.join()
        if transcode.error:
            raise transcode.error

    def close(self) -> None:
        """Stop the transcodes in progress; complete segments are kept."""
        with self._lock:
            transcodes = list(self._transcodes.values())
        for transcode in transcodes:
            transcode.stop()
        for transcode in transcodes:
            transcode.join()

    def _read(self, file: Path, rendition: Rendition, name: str, first: int, fmp4: bool) -> bytes:
        folder = self._folder(_content(file), rendition, fmp4)
        with contextlib.suppress(FileNotFoundError):
            return self._made(folder, name, first)
        frames = functools.partial(clip_frames, file, rendition)
        return self._transcode(folder, frames, segment_count(file), first, rendition, fmp4=fmp4).read(name, first)

    def _made(self, folder: Path, name: str, index: int) -> bytes:
        """Return a file that is in the folder; its transcode, if it still runs, goes on. Raises FileNotFoundError."""
        content = (folder / name).read_bytes()
        if transcode := self._transcodes.get(folder):
            transcode.follow(index)
        return content

    def _transcode(
        self, folder: Path, frames: Frames, count: int, first: int, rendition: Rendition, *, fmp4: bool = False
    ) -> Transcode:
        """Return the transcode of this folder; start it if there is none."""
        with self._lock:
            found = self._transcodes.get(folder)
            if found is None or found.error:
                found = Transcode(folder, frames, count, first, rendition, fmp4=fmp4, preset=self._preset)
                self._transcodes[folder] = found
                found.start()
        return found

    def _folder(self, content: str, rendition: Rendition, fmp4: bool) -> Path:
        size = f"{rendition.width}x{rendition.height}-{rendition.fps}-{rendition.bandwidth}"
        return self._cache / f"{content}-{size}-{'fmp4' if fmp4 else 'ts'}-{self._preset}-{_VERSION}"


@functools.cache  # clips do not change while a stand-in runs
def _content(file: Path) -> str:
    """Return the clip's key in the cache."""
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]


@functools.cache
def segment_count(file: Path) -> int:
    """Return the number of whole segments in a clip."""
    with av.open(str(file)) as clip:
        return int((clip.duration or 0) / av.time_base) // SEGMENT_S


def looks_like_ad(image: np.ndarray) -> bool:
    """Return whether a uint8 RGB image (height, width, 3) is the stand-in's ad, which is all magenta."""
    return bool(np.abs(image.astype(int).mean(axis=(0, 1)) - AD_COLOUR).max() < 40)
