"""Recording: frames at chosen times of a video in one file.

    a file of more than 64 MB: seek to each time                (until a frame is not where its timestamp should be)
    any other file, or the rest of such a file: read all of it  (twice, because the first pass finds its length)
    decode only the groups of pictures in which a time lies

Reading trusts neither the header's duration nor an index nor single timestamps. These are missing or wrong in
recordings that were cut off, in raw streams, after packet loss, and where the sound is longer than the picture.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from math import inf
from typing import IO

import av

from data.errors import StreamUnavailable, UndecodableVideo
from data.video.container import open_recording, read_packets
from data.video.groups import MAX_GAP_S, FramePicker, decode_group, frame_step_s, read_groups
from data.video.images import encode_jpeg
from data.video.picture import resize_frame
from data.video.sampling import sample_times
from data.video.seeking import ShownFrame, last_timestamp, seek_frame

READ_ALL_BYTES = 64 << 20  # all packets of a smaller file take about half a second
_FIRST_ROUND = 4  # frames that `spread_first` yields before one more pass takes all others
_TICK_S = 0.001

_Encode = Callable[[av.VideoFrame], bytes]
_Stopped = Callable[[], bool]


def sample_recording(
    file: IO[bytes],
    interval_s: float,
    max_frames: int | None,
    img_size: int,
    jpeg_quality: int,
    *,
    spread_first: bool,
    stopped: _Stopped = lambda: False,
    read_all_bytes: int = READ_ALL_BYTES,
) -> Iterator[bytes]:
    """Yield frames of a recording as JPEGs, at the times of `data.video.sampling.sample_times`, no frame twice.

    file: seekable, in a format of `data.video.container`. stopped: nothing more is read once it returns true.
    read_all_bytes: size up to which no seek is tried.
    Raises UndecodableVideo, StreamUnavailable if it is stopped before the first frame, and the errors of `file.read`.
    """

    def encode(frame: av.VideoFrame) -> bytes:
        return encode_jpeg(resize_frame(frame, img_size), jpeg_quality)

    if max_frames and not interval_s:
        jpegs = _spread(file, max_frames, encode, stopped, spread_first=spread_first, read_all_bytes=read_all_bytes)
    else:
        times = sample_times(0.0, interval_s, max_frames)
        jpegs = (jpeg for _, _, jpeg in read_at(file, times, encode, stopped))
    try:
        if (first := next(jpegs, None)) is None:
            raise UndecodableVideo("no picture of the video can be decoded")
    except UndecodableVideo as error:
        if stopped():
            raise StreamUnavailable("the reading was stopped") from error
        raise
    yield from chain([first], jpegs)


def _spread(
    file: IO[bytes], max_frames: int, encode: _Encode, stopped: _Stopped, *, spread_first: bool, read_all_bytes: int
) -> Iterator[bytes]:
    """Yield up to `max_frames` frames, spread over the whole recording."""
    is_large = file.seek(0, io.SEEK_END) > read_all_bytes
    if is_large:
        jpegs = _seek_spread(file, max_frames, encode, stopped, spread_first)
    else:  # the first frame at once, before the length is known
        jpegs = (jpeg for _, _, jpeg in read_at(file, [0.0], encode, stopped))
    count = 0
    for jpeg in jpegs:
        count += 1
        if jpeg is not None:
            yield jpeg
    if count == max_frames or not (count or is_large):
        return
    length_s, frames = measure_length(file, stopped)
    times = [*sample_times(length_s, 0.0, min(max_frames, frames), spread_first=spread_first)] if frames else []
    seen = {0.0} if count else set()  # the times of frames: one that is shown for long may be that of several times
    size = _FIRST_ROUND if spread_first else 1
    for part in filter(None, (times[count:size], times[max(count, size) :])):
        found = read_at(file, sorted(part), encode, stopped)
        ordered = _in_order(found, part) if spread_first else found
        for _, at_s, jpeg in ordered:
            if at_s not in seen:
                seen.add(at_s)
                yield jpeg


def _in_order(
    found: Iterable[tuple[float, float, bytes]], times: Iterable[float]
) -> Iterator[tuple[float, float, bytes]]:
    """Yield the frames in the order of their wanted times in `times`."""
    by_time = {frame[0]: frame for frame in found}
    yield from (by_time[time_s] for time_s in times if time_s in by_time)


def measure_length(file: IO[bytes], stopped: _Stopped) -> tuple[float, int]:
    """Return the length of a video in seconds, and the number of its frames. Nothing is decoded."""
    seconds, frames = 0.0, 0
    with open_recording(file, stopped) as (container, stream):
        for group in read_groups(read_packets(container, stream), stream):
            seconds, frames = group.start_s + group.seconds, frames + len(group.packets)
    return seconds, frames


def read_at(
    file: IO[bytes], times: Iterable[float], encode: _Encode, stopped: _Stopped
) -> Iterator[tuple[float, float, bytes]]:
    """Yield (wanted time, time of the frame, JPEG) for ascending times; no frame twice.

    A group that cannot be decoded is left out; the next one's first frame takes its place once.
    """
    pending = iter(times)
    time_s, latest_s = next(pending, inf), -1.0
    with open_recording(file, stopped) as (container, stream):
        for group in read_groups(read_packets(container, stream), stream):
            end_s = group.start_s + group.seconds - _TICK_S  # a time at the end is that of the next key frame
            if time_s >= end_s and not (group.continues or group.unfinished):
                continue
            frames = decode_group(group, stream)
            picker = FramePicker(frames)
            while time_s < end_s and (found := picker.frame_at(time_s - group.start_s)):
                if (at_s := group.start_s + found.time_s) > latest_s:
                    latest_s = at_s
                    yield time_s, at_s, encode(found.frame)
                time_s = next(pending, inf)
            if time_s == inf:
                return
            if group.unfinished:
                deque(frames, maxlen=0)  # the next part needs them


def _seek_spread(
    file: IO[bytes], max_frames: int, encode: _Encode, stopped: _Stopped, spread_first: bool
) -> Iterator[bytes | None]:
    """Yield frames spread from the first timestamp to the last one, until one is not found where it should be.

    None stands for a frame that was yielded before: one that is shown for long, or the last one before damage.
    """
    seen = set()
    with open_recording(file, stopped) as (container, stream):
        groups = read_groups(read_packets(container, stream), stream)
        start = next((frame for group in groups for frame in decode_group(group, stream)), None)
        if start is None or start.frame.pts is None:
            return
        start_s = float(start.frame.pts * stream.time_base)
        length_s = last_timestamp(container, stream) - start_s + frame_step_s(stream)
        if length_s <= 0:
            return
        for time_s in sample_times(length_s, 0.0, min(max_frames, int(length_s * 100) + 1), spread_first=spread_first):
            at_s = start_s + time_s
            found = seek_frame(container, stream, at_s, at_s) if time_s else ShownFrame(at_s, start.frame, 1)
            if found is None or at_s - found.at_s > MAX_GAP_S:
                return
            frame = found.frame
            ticks = frame.pts, frame.dts
            yield None if ticks in seen else encode(frame)
            seen.add(ticks)
