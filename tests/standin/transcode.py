"""Transcoder: frames become two-second H.264 segments; each can be read as soon as it is complete.

A viewer's first segment is anywhere in the clip's loop. A transcode starts at that segment and wraps around at the
clip's end, so that no viewer waits for a whole clip. A transcode that was stopped keeps its segments: the next one
makes the others.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

SEGMENT_S = 2
FAST = "ultrafast"  # x264's preset: half the time of the next one, at a loss of 2 dB
AD_COLOUR, FLAT_COLOUR = (255, 0, 200), (30, 90, 160)  # RGB
_POLL_S = 0.02
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
        self._first = first
        self._runs = [*self._missing(first, count), *self._missing(0, first)]
        folder.mkdir(parents=True, exist_ok=True)
        self._work = Path(tempfile.mkdtemp(dir=folder.parent, prefix=_WORK))
        self._stopped, self._finished = threading.Event(), threading.Event()
        self.error: Exception | None = None

    def run(self) -> None:
        """Make all missing segments; store a failure in `error` and remove what is incomplete."""
        try:
            for first, last in self._runs:
                if self._stopped.is_set():
                    break
                self._encode(first, last)
                for file in self._work.iterdir():
                    self._keep(file.name)
        except Exception as error:  # noqa: BLE001 - `read` raises it in the waiting threads
            self.error = error
        shutil.rmtree(self._work, ignore_errors=True)
        self._finished.set()

    def stop(self) -> None:
        """Stop at the end of a segment; `join` waits for it."""
        self._stopped.set()

    def read(self, name: str) -> bytes:
        """Wait for a complete file and return its bytes. Raises LookupError when the transcode ended without it."""
        if name == _INIT:  # complete only when the first segment is
            self.read(f"{self._first}.m4s")
        while True:
            finished = self._finished.is_set()
            with contextlib.suppress(FileNotFoundError):
                return self._keep(name).read_bytes()
            if finished:
                raise LookupError(f"{self._folder.name} has no {name}") from self.error
            self._finished.wait(_POLL_S)

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
                if number and number % (rendition.fps * SEGMENT_S) == 0 and self._stopped.is_set():
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


def clip_frames(file: Path, rendition: Rendition, first: int, last: int) -> Iterator[av.VideoFrame]:
    """Yield a clip's frames of the segments `first` … `last` - 1 in the rendition's size and frame rate."""
    number, end = (segment * rendition.fps * SEGMENT_S for segment in (first, last))
    with av.open(str(file)) as clip:
        video = clip.streams.video[0]
        video.thread_type = "AUTO"
        repeats = rendition.fps / Fraction(video.average_rate or rendition.fps)
        for index, source in enumerate(clip.decode(video)):
            until = min(Fraction(end), (index + 1) * repeats)
            if number < until:
                frame = source.reformat(rendition.width, rendition.height, "yuv420p")
            while number < until:
                yield _at(frame, number, rendition.fps)
                number += 1


def still_frames(still: str, file: Path, rendition: Rendition, first: int, last: int) -> Iterator[av.VideoFrame]:
    """Yield one image repeatedly: black, the clip's first frame, or a test card with a logo and a running clock."""
    base = _still(still, file, rendition)
    for number in range(first * rendition.fps * SEGMENT_S, last * rendition.fps * SEGMENT_S):
        image = base.copy()
        if still == "test_card":
            _draw_clock(image, number // rendition.fps)
        yield _at(av.VideoFrame.from_ndarray(image, "rgb24").reformat(format="yuv420p"), number, rendition.fps)


def _still(still: str, file: Path, rendition: Rendition) -> np.ndarray:
    """Return the image without the clock: uint8 RGB (height, width, 3)."""
    width, height = rendition.width, rendition.height
    if still == "black":
        return np.zeros((height, width, 3), np.uint8)
    if still == "frozen":
        with av.open(str(file)) as clip:
            return next(clip.decode(video=0)).reformat(width, height).to_ndarray(format="rgb24")
    graph = av.filter.Graph()
    nodes = graph.add("smptebars", f"size={width}x{height}"), graph.add("format", "pix_fmts=rgb24")
    graph.link_nodes(*nodes, graph.add("buffersink")).configure()
    image = graph.vpull().to_ndarray(format="rgb24")
    image[height // 8 : height // 4, width // 16 : width // 4] = (90, 20, 160)  # the channel's logo
    return image


def _draw_clock(image: np.ndarray, seconds: int) -> None:
    """Draw the seconds as eight binary digits, white on black, across the middle."""
    height, width = image.shape[:2]
    image[height // 3 : height // 2, width // 4 : 3 * width // 4] = 0
    for digit in range(8):
        left = width // 4 + digit * width // 16
        if seconds >> digit & 1:
            image[height // 3 + 4 : height // 2 - 4, left + 4 : left + width // 16 - 4] = 255


def ad_frames(rendition: Rendition) -> Iterator[av.VideoFrame]:
    """Yield two seconds of magenta with a moving grey bar."""
    for number in range(rendition.fps * SEGMENT_S):
        image = np.full((rendition.height, rendition.width, 3), AD_COLOUR, np.uint8)
        left = number * rendition.width // (rendition.fps * SEGMENT_S)
        image[-rendition.height // 20 :, left : left + rendition.width // 20] = 128
        yield _at(av.VideoFrame.from_ndarray(image, "rgb24").reformat(format="yuv420p"), number, rendition.fps)


def flat_frames(rendition: Rendition) -> Iterator[av.VideoFrame]:
    """Yield two seconds of one colour, which compress well."""
    image = np.full((rendition.height, rendition.width, 3), FLAT_COLOUR, np.uint8)
    for number in range(rendition.fps * SEGMENT_S):
        yield _at(av.VideoFrame.from_ndarray(image, "rgb24").reformat(format="yuv420p"), number, rendition.fps)


def _at(frame: av.VideoFrame, number: int, fps: int) -> av.VideoFrame:
    """Return the frame with the time of position `number`. The encoder takes a frame before it is used again."""
    frame.pts, frame.time_base, frame.pict_type = number, Fraction(1, fps), av.video.frame.PictureType.NONE
    return frame
