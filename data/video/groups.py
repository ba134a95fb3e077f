"""Groups of pictures: the packets from one key frame to the next, which can be decoded without the others.

Their times are counted here from the start of the video. The timestamps of a recording may be missing, jump (packet
loss, a restarted encoder, joined files) or not begin at 0, so only distances between neighbours are used.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, pairwise

import av

from data.video.container import decode

MAX_GAP_S = 10.0  # a longer distance between two frames is a jump of the clock, or a slide that is shown for long:
_JUMP_S = 2.0  # it counts as so much playing time
_TICK_S = 0.001  # times are rounded to ticks of the stream's time base
_DEFAULT_STEP_S = 0.04  # between two frames, if the stream states no frame rate
_MAX_PACKETS, _MAX_BYTES = 3000, 64 << 20  # of a group in memory; a longer one comes in parts
CHAINED_CODECS = {"gif", "apng"}  # each frame changes the one before it, whatever the container says


@dataclass(frozen=True, slots=True)
class Group:
    """One group of pictures, or a part of a long one.

    start_s, seconds: its place in the video, from the first group on. continues: decoding goes on from the part before.
    unfinished: another part follows.
    """

    packets: list[av.Packet]
    start_s: float
    seconds: float
    continues: bool
    unfinished: bool


@dataclass(frozen=True, slots=True)
class TimedFrame:
    """A decoded frame, and its time in seconds after the first frame that was decoded with it."""

    time_s: float
    frame: av.VideoFrame


def read_groups(packets: Iterable[av.Packet], stream: av.VideoStream) -> Iterator[Group]:
    """Yield the groups of a stream's packets. Packets before the first key frame are left out."""
    group: list[av.Packet] = []
    start_s, continues, size = 0.0, False, 0
    for packet in packets:
        new = not group if stream.codec_context.name in CHAINED_CODECS else packet.is_keyframe
        full = len(group) >= _MAX_PACKETS or size >= _MAX_BYTES
        if group and (new or full):
            seconds = _length_s(group, packet, stream)
            yield Group(group, start_s, seconds, continues, unfinished=not new)
            start_s, continues, group, size = start_s + seconds, not new, [], 0
        if group or continues or new:
            group.append(packet)
            size += packet.size
    if group:
        yield Group(group, start_s, _length_s(group, None, stream), continues, unfinished=False)


def decode_group(group: Group, stream: av.VideoStream) -> Iterator[TimedFrame]:
    """Yield the frames of a group in the order of display."""
    if not group.continues:
        stream.codec_context.flush_buffers()
    return decode_packets(group.packets if group.unfinished else chain(group.packets, [None]), stream)


def decode_packets(packets: Iterable[av.Packet | None], stream: av.VideoStream) -> Iterator[TimedFrame]:
    """Yield the frames of packets in the order of display; a packet None is the end of the decoder's input."""
    step_s, elapsed_s = frame_step_s(stream), 0.0
    latest_s: float | None = None
    for packet in packets:
        for frame in decode(stream.codec_context, packet):
            ticks = frame.dts if frame.pts is None else frame.pts
            time_s = None if ticks is None else float(ticks * stream.time_base)
            if latest_s is not None:
                elapsed_s += step_s if time_s is None else _playing_time(time_s - latest_s, step_s)
            latest_s = (latest_s or 0.0) + step_s if time_s is None else time_s
            yield TimedFrame(elapsed_s, frame)


class FramePicker:
    """Picks frames at ascending times."""

    def __init__(self, frames: Iterator[TimedFrame]) -> None:
        self._frames = frames
        self._latest: TimedFrame | None = None

    def frame_at(self, time_s: float) -> TimedFrame | None:
        """Return the first frame at `time_s` or after it, otherwise the last one; None if there is no frame."""
        while self._latest is None or self._latest.time_s < time_s - _TICK_S:
            if (frame := next(self._frames, None)) is None:
                break
            self._latest = frame
        return self._latest


def _length_s(group: list[av.Packet], following: av.Packet | None, stream: av.VideoStream) -> float:
    """Return for how many seconds a group is shown. `following`: the packet after it."""
    step_s = frame_step_s(stream)
    times = sorted({packet.pts for packet in group if packet.pts is not None and not packet.is_discard})
    if not times:  # also if an edit list hides the group
        return step_s * sum(not packet.is_discard for packet in group)
    end = following.pts if following is not None and following.pts is not None else None
    if end is not None and end > times[0]:
        times = sorted({*times, end})
    gaps = [float((second - first) * stream.time_base) for first, second in pairwise(times)]
    last_s = 0.0 if end is not None and end > times[0] else step_s
    return sum(_playing_time(gap, step_s) for gap in gaps) + last_s


def _playing_time(gap_s: float, step_s: float) -> float:
    """Return for how long a frame is shown, given the distance to the next timestamp."""
    return _JUMP_S if gap_s > MAX_GAP_S else gap_s if gap_s > 0 else step_s


def frame_step_s(stream: av.VideoStream) -> float:
    """Return the time between two frames, as far as the stream states it."""
    rate = float(stream.guessed_rate or stream.average_rate or 0)
    return 1 / rate if 1 <= rate <= 1000 else _DEFAULT_STEP_S
