"""Sample recordings for tests: every frame is a gray level that tells its time, so a test can say which frames came."""

from __future__ import annotations

import io
from collections.abc import Iterable
from fractions import Fraction

import av
import numpy as np

from data.video.images import decode_jpeg

FPS = 10
_DARKEST, _LEVELS = 30, 190  # of the first and up to the last frame


def recording(
    container: str = "mp4",
    seconds: float = 20.0,
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    key_every_s: float = 2.0,
    sound_s: float = 0.0,
    times: Iterable[float] | None = None,
    options: dict[str, str] | None = None,
    codec_options: dict[str, str] | None = None,
    size: tuple[int, int] = (64, 48),
) -> bytes:
    """Return a recording of `seconds` at FPS frames a second, or with frames at `times`; `sound_s`: of silence."""
    ticks = FPS if times is None else 100 * FPS  # a second; the codecs of old take its reciprocal for a frame's length
    times = [number / FPS for number in range(round(seconds * FPS))] if times is None else [*times]
    output = io.BytesIO()
    with av.open(output, "w", format=container, options=options or {}) as file:
        video = file.add_stream(codec, rate=FPS, options=codec_options or {})
        video.width, video.height, video.pix_fmt = *size, pix_fmt
        video.codec_context.gop_size, video.codec_context.thread_count = round(key_every_s * FPS), 1
        video.codec_context.time_base = Fraction(1, ticks)
        sound = file.add_stream("aac" if container != "avi" else "mp2", rate=48000, layout="mono") if sound_s else None
        for time_s in times:
            frame = _frame(time_s / max(seconds, 1e-9), size).reformat(format=pix_fmt)
            frame.pts, frame.time_base = round(time_s * ticks), Fraction(1, ticks)
            file.mux(video.encode(frame))
        file.mux(video.encode(None))
        if sound:
            _add_silence(file, sound, sound_s)
    return output.getvalue()


def _frame(fraction: float, size: tuple[int, int]) -> av.VideoFrame:
    level = round(_DARKEST + _LEVELS * fraction)
    return av.VideoFrame.from_ndarray(np.full((size[1], size[0], 3), level, np.uint8), "rgb24")


def _add_silence(file: av.container.OutputContainer, sound: av.AudioStream, seconds: float) -> None:
    form = sound.codec_context.format.name
    samples = sound.codec_context.frame_size or 1152
    silence = np.zeros((1, samples), np.float32 if form == "fltp" else np.int16)
    for number in range(round(seconds * 48000 / samples)):
        frame = av.AudioFrame.from_ndarray(silence, format=form, layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, samples * number, Fraction(1, 48000)
        file.mux(sound.encode(frame))
    file.mux(sound.encode(None))


def time_of(jpeg: bytes, seconds: float = 20.0) -> float:
    """Return the time that a frame of `recording` shows, in seconds, within about 0.1 s."""
    return (float(decode_jpeg(jpeg).mean()) - _DARKEST) / _LEVELS * seconds
