"""Transcoder: frames become two-second H.264 segments; each can be read as soon as it is complete.

A viewer's first segment is anywhere in the clip's loop. A transcode starts at that segment and wraps around at the
clip's end, so that no viewer waits for a whole clip. It pauses a few segments ahead of its viewers: most of them leave
before the clip's end. A transcode that was stopped keeps its segments: the next one makes the others.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av

SEGMENT_S = 2
FAST = "ultrafast"  # x264's preset: half the time of the next one, at a loss of 2 dB
_POLL_S = 0.02
_AHEAD = 5  # segments that are made before a viewer asks for them
_INIT = "init.mp4"
_WORK = ".making-"  # prefix of work folders
_STALE_AFTER_S = 3600

Frames = Callable[[int, int], Iterator[av.VideoFrame]]


@dataclass(frozen=True)
class Rendition:
    """One rendition of a channel, named as Twitch names it."""

    width: int
    height: int
    fps: int
    bandwidth: int  # bit/s, as announced

    @property
    def name(self) -> str:
        """Return for example 360p or 720p60: Twitch names a frame rate above 30 only."""
        return f"{self.height}p{self.fps if self.fps > 30 else ''}"


class Transcode(threading.Thread):
    """A thread that makes the segments of one rendition: 0.ts, 1.ts …, or init.mp4 and 0.m4s …

    Args:
        folder: of the segments; all files in it are complete and never change.
        frames: the function whose call (a, b) yields the frames of the segments a … b - 1.
        count: number of segments; those in the folder are not made again.
        first: the segment to begin with.
        rendition: size, frame rate and bit rate.
        fmp4: fragmented MP4 instead of MPEG-TS.
        preset: x264's preset.
    """

    def __init__(
        self,
        folder: Path,
        frames: Frames,
        count: int,
        first: int,
        rendition: Rendition,
        *,
        fmp4: bool = False,
        preset: str = FAST,
    ) -> None:
        super().__init__(name=f"transcode-{folder.name}", daemon=True)
        self._folder, self._frames, self._rendition, self._fmp4 = folder, frames, rendition, fmp4
        self._preset = preset
        self._first, self._count = first, count
        self._wanted = 0  # the number of segments, from `first` on, that viewers have asked for
        self._more = threading.Condition()
        self._runs = [*self._missing(first, count), *self._missing(0, first)]
        folder.mkdir(parents=True, exist_ok=True)
        self._work = Path(tempfile.mkdtemp(dir=folder.parent, prefix=_WORK))
        self._stopped, self._finished = threading.Event(), threading.Event()
        self.error: Exception | None = None

    def run(self) -> None:
        """Make all missing segments; store a failure in `error` and remove what is incomplete."""
        try:
            for first, last in self._runs:
                if self._is_over(first):
                    break
                self._encode(first, last)
                self._keep_all()
        except Exception as error:  # noqa: BLE001 - `read` raises it in the waiting threads
            self.error = error
        shutil.rmtree(self._work, ignore_errors=True)
        self._finished.set()

    def stop(self) -> None:
        """Stop at the end of a segment; `join` waits for it."""
        self._stopped.set()
        with self._more:
            self._more.notify_all()

    def follow(self, index: int) -> None:
        """Stay ahead of a viewer who reads this segment, unless it was made before this transcode."""
        if self._place(index) < self._wanted + _AHEAD:
            self.want(index)

    def want(self, index: int | None = None) -> None:
        """Make the segments up to this one, and some more; None: all."""
        wanted = self._count if index is None else self._place(index) + 1
        with self._more:
            self._wanted = max(self._wanted, wanted)
            self._more.notify_all()

    def read(self, name: str, index: int) -> bytes:
        """Wait for a file, segment `index` or what it needs, and return it. Raises LookupError if it was not made."""
        self.want(index)
        if name == _INIT:  # complete only when the first segment is
            self.read(f"{self._first}.m4s", self._first)
        while True:
            finished = self._finished.is_set()
            with contextlib.suppress(FileNotFoundError):
                return self._keep(name).read_bytes()
            if finished:
                raise LookupError(f"{self._folder.name} has no {name}") from self.error
            self._finished.wait(_POLL_S)

    def _place(self, segment: int) -> int:
        """Return how many segments are made before this one."""
        return (segment - self._first) % self._count

    def _is_over(self, segment: int) -> bool:
        """Wait until this segment is wanted; return whether the transcode was stopped."""
        place = self._place(segment)
        if place >= self._wanted + _AHEAD:
            self._keep_all()  # for other processes
        with self._more:
            while not self._stopped.is_set() and place >= self._wanted + _AHEAD:
                self._more.wait(_STALE_AFTER_S / 4)
                os.utime(self._work)
        return self._stopped.is_set()

    def _missing(self, first: int, last: int) -> list[tuple[int, int]]:
        """Return the ranges (a, b) of `first` … `last` - 1 whose segments are not in the folder."""
        suffix = "m4s" if self._fmp4 else "ts"
        wanted = [n for n in range(first, last) if not (self._folder / f"{n}.{suffix}").exists()]
        starts = [n for n in wanted if n - 1 not in wanted]
        ends = [n + 1 for n in wanted if n + 1 not in wanted]
        return list(zip(starts, ends, strict=True))

    def _keep(self, name: str) -> Path:
        """Put a complete file into the folder, unless another process did, and return its path there."""
        kept, made = self._folder / name, self._work / name
        if not kept.exists() and made.exists():
            if self._fmp4 and name != _INIT:
                self._keep(_INIT)  # before any segment: a folder with segments has it
            with contextlib.suppress(FileExistsError):
                kept.hardlink_to(made)
        return kept

    def _keep_all(self) -> None:
        for file in self._work.glob("[0-9]*.m4s" if self._fmp4 else "*.ts"):
            self._keep(file.name)

    def _encode(self, first: int, last: int) -> None:
        """Encode the segments `first` … `last` - 1, or those up to a stop."""
        list_, rendition = self._work / f"{first}.m3u8", self._rendition
        init = _INIT if first == self._runs[0][0] else "same.mp4"
        options = {
            "hls_time": str(SEGMENT_S),
            "hls_list_size": "0",
            "hls_flags": "temp_file",  # a segment gets its name when it is complete
            "start_number": str(first),
            "hls_segment_type": "fmp4" if self._fmp4 else "mpegts",
            "hls_fmp4_init_filename": init,
            "hls_segment_filename": str(self._work / ("%d.m4s" if self._fmp4 else "%d.ts")),
        }
        with av.open(str(list_), "w", format="hls", options=options) as output:
            stream = output.add_stream("libx264", rate=rendition.fps, options=_h264(rendition, self._preset))
            stream.width, stream.height, stream.pix_fmt = rendition.width, rendition.height, "yuv420p"
            stream.bit_rate = rendition.bandwidth
            for number, frame in enumerate(self._frames(first, last)):
                segment, offset = divmod(number, rendition.fps * SEGMENT_S)
                if segment and not offset and self._is_over(first + segment):
                    break
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
        list_.unlink()
        (self._work / "same.mp4").unlink(missing_ok=True)


def remove_stale_work(cache: Path) -> None:
    """Remove work folders unchanged for an hour: their process was killed."""
    for work in cache.glob(f"{_WORK}*"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - work.stat().st_mtime > _STALE_AFTER_S:
                shutil.rmtree(work, ignore_errors=True)


def _h264(rendition: Rendition, preset: str) -> dict[str, str]:
    """Return x264's options: an IDR frame every two seconds and none in between, as Twitch's encoders do."""
    interval = str(rendition.fps * SEGMENT_S)
    return {
        "preset": preset,
        "maxrate": str(rendition.bandwidth),
        "bufsize": str(rendition.bandwidth * SEGMENT_S),
        "g": interval,
        "keyint_min": interval,
        "sc_threshold": "0",
        "forced-idr": "1",
        "threads": "2",
    }
