"""Sample recordings for tests: the gray level of each frame tells its time, so a test can say which frames came."""

from __future__ import annotations

import io
import random
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import av
import numpy as np

from data.video.images import decode_jpeg

FPS = 10
SECONDS = 20.0
_DARKEST, _LEVELS = 30, 190  # gray levels of the first frame, and from it to the last one


def recording(
    container: str = "mp4",
    seconds: float = SECONDS,
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    key_every_s: float = 2.0,
    sound_s: float = 0.0,
    times: Iterable[float] | None = None,
    size: tuple[int, int] = (64, 48),
    options: dict[str, str] | None = None,
) -> bytes:
    """Return a recording with FPS frames a second, or with frames at `times`, and with `sound_s` of silence."""
    ticks = FPS if times is None else 100 * FPS  # a second; the codecs of old take its reciprocal for a frame's length
    times = [number / FPS for number in range(round(seconds * FPS))] if times is None else [*times]
    output = io.BytesIO()
    with av.open(output, "w", format=container, options=options or {}) as file:
        video = file.add_stream(codec, rate=FPS, options={"x265-params": "log-level=none"} if "265" in codec else {})
        video.width, video.height, video.pix_fmt = *size, pix_fmt
        video.codec_context.gop_size, video.codec_context.thread_count = round(key_every_s * FPS), 1
        video.codec_context.time_base = Fraction(1, ticks)
        sound = file.add_stream("mp2" if container == "avi" else "aac", rate=16000, layout="mono") if sound_s else None
        for time_s in times:
            level = min(255, round(_DARKEST + _LEVELS * time_s / SECONDS))
            frame = av.VideoFrame.from_ndarray(np.full((size[1], size[0], 3), level, np.uint8), "rgb24")
            frame = frame.reformat(format=pix_fmt, threads=1)  # threads start for each frame
            frame.pts, frame.time_base = round(time_s * ticks), Fraction(1, ticks)
            file.mux(video.encode(frame))
        file.mux(video.encode(None))
        if sound:
            _add_silence(file, sound, sound_s)
    return output.getvalue()


def time_of(jpeg: bytes) -> float:
    """Return the time that a frame of `recording` shows, in seconds, within about 0.2 s."""
    return (float(decode_jpeg(jpeg).mean()) - _DARKEST) / _LEVELS * SECONDS


def remuxed(video: bytes, container: str, jump_at_s: float = 0.0, jump_s: float = 0.0, **options: str) -> bytes:
    """Return the video stream in another container; from `jump_at_s` on, its timestamps are `jump_s` later."""
    output = io.BytesIO()
    with av.open(io.BytesIO(video)) as source, av.open(output, "w", format=container, options=options) as file:
        stream = file.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                if jump_s and packet.pts * packet.time_base >= jump_at_s:
                    packet.pts += round(jump_s / packet.time_base)
                    packet.dts += round(jump_s / packet.time_base)
                packet.stream = stream
                file.mux(packet)
    return output.getvalue()


def two_tracks(first: np.ndarray, second: np.ndarray, container: str = "mp4", first_frames: int = 5) -> bytes:
    """Return a video of two tracks, each of one image, uint8 RGB (height, width, 3); the second one has 5 frames."""
    output = io.BytesIO()
    with av.open(output, "w", format=container) as file:
        tracks = []
        for image in (first, second):
            tracks.append(file.add_stream("libx264", rate=FPS))
            (tracks[-1].height, tracks[-1].width), tracks[-1].pix_fmt = image.shape[:2], "yuv420p"
        for track, image, frames in zip(tracks, (first, second), (first_frames, 5), strict=True):
            _add_still(file, track, image, frames)
    return output.getvalue()


def lossy(mpegts: bytes, fraction: float, seed: int) -> bytes:
    """Return MPEG-TS without this fraction of its packets of 188 bytes."""
    rng = random.Random(seed)
    return b"".join(mpegts[at : at + 188] for at in range(0, len(mpegts), 188) if rng.random() >= fraction)


# PyAV 19 encodes metadata in this way by itself, and takes no such argument.
SURROGATES: Any = {"metadata_errors": "surrogateescape"} if int(av.__version__.partition(".")[0]) < 19 else {}


def colored(image: np.ndarray, container: str = "mp4", frames: int = 3, rotation: Any = None, **options: str) -> bytes:
    """Return a video of one image, uint8 RGB (height, width, 3). `rotation`: arguments of set_display_rotation."""
    output = io.BytesIO()
    with av.open(output, "w", format=container, options=options, **SURROGATES) as file:
        file.metadata["title"] = b"\x82\xb5\xff".decode("utf-8", "surrogateescape")  # Shift JIS
        video = file.add_stream("libx264", rate=FPS)
        (video.height, video.width), video.pix_fmt = image.shape[:2], "yuv420p"
        if rotation:
            video.set_display_rotation(rotation[0], hflip=rotation[1], vflip=rotation[2])
        _add_still(file, video, image, frames)
    return output.getvalue()


def sound(container: str, codec: str = "aac", seconds: float = 1.0, cover: np.ndarray | None = None) -> bytes:
    """Return a recording of silence; `cover`: the picture of an album, uint8 RGB (height, width, 3)."""
    output = io.BytesIO()
    with av.open(output, "w", format=container) as file:
        stream = file.add_stream(codec, rate=16000, layout="mono")
        if cover is not None:
            picture = file.add_stream("mjpeg", rate=1)
            (picture.height, picture.width), picture.pix_fmt = cover.shape[:2], "yuvj420p"
            picture.disposition = av.stream.Disposition.attached_pic
            frame = av.VideoFrame.from_ndarray(cover, "rgb24").reformat(format="yuvj420p", threads=1)
            frame.pts, frame.time_base = 0, Fraction(1, 1)
            file.mux([*picture.encode(frame), *picture.encode(None)])
        _add_silence(file, stream, seconds)
    return output.getvalue()


def _add_still(file: av.container.OutputContainer, track: av.VideoStream, image: np.ndarray, frames: int) -> None:
    for number in range(frames):
        frame = av.VideoFrame.from_ndarray(image, "rgb24").reformat(format="yuv420p", threads=1)
        frame.pts, frame.time_base = number, Fraction(1, FPS)
        file.mux(track.encode(frame))
    file.mux(track.encode(None))


def _add_silence(file: av.container.OutputContainer, stream: av.AudioStream, seconds: float) -> None:
    form = "fltp" if stream.codec_context.name == "aac" else "s16"
    samples = 1152 if stream.codec_context.name == "mp2" else 1024
    silence = np.zeros((1, samples), np.float32 if form == "fltp" else np.int16)
    for number in range(round(seconds * 16000 / samples)):
        frame = av.AudioFrame.from_ndarray(silence, format=form, layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 16000, samples * number, Fraction(1, 16000)
        file.mux(stream.encode(frame))
    file.mux(stream.encode(None))
