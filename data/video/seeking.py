"""Seeking: the packets of a recording from a time on, and the frame that a player shows at a time.

Times are timestamps of the container, in seconds.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from itertools import chain
from math import inf, nan
from typing import NamedTuple

import av

from data.video.container import decode, read_packets

# A seek may end behind the key frame that it should find, as in MPEG-TS, which has no index. Then it is repeated for
# a time that is earlier by these seconds.
_SEEK_BACK_S = (0, 2, 4, 8, 16, 32, 64)
_END_S = 1e7  # four months: behind the end of any recording
_NEAR_S = 10.0  # key frames are hardly ever further apart: an earlier one is not the last one before a time
_MAX_PACKETS = 20_000  # that are read for one frame: five minutes of video
_MAX_GROUP = 3000  # packets that are decoded for one frame
_TICK_S = 0.001  # times are rounded to ticks of the stream's time base

log = logging.getLogger(__name__)


class ShownFrame(NamedTuple):
    """A frame, its timestamp in seconds, and how many frames were decoded for it."""

    at_s: float
    frame: av.VideoFrame
    decoded: int


def last_timestamp(container: av.container.InputContainer, stream: av.VideoStream) -> float:
    """Seek to the end and return the last timestamp there, in seconds; -inf if there is none."""
    packets = seek_packets(container, stream, _END_S)
    return max((float(packet.pts * stream.time_base) for packet in packets if packet.pts is not None), default=-inf)


def seek_packets(container: av.container.InputContainer, stream: av.VideoStream, time_s: float) -> Iterator[av.Packet]:
    """Yield the packets from about `time_s` on; none if the container cannot seek."""
    try:
        container.seek(int(time_s / stream.time_base), stream=stream)
    except Exception:
        log.debug("seek failed", exc_info=True)
    else:
        yield from read_packets(container, stream)


def seek_frame(
    container: av.container.InputContainer, stream: av.VideoStream, time_s: float, after_s: float
) -> ShownFrame | None:
    """Seek, and return what `frame_shown_at` finds; None if there is no frame where its timestamp should be."""
    found = (
        frame_shown_at(seek_packets(container, stream, time_s - back_s), stream, time_s, after_s)
        for back_s in _SEEK_BACK_S
    )
    return next(filter(None, found), None)


def frame_shown_at(
    packets: Iterable[av.Packet], stream: av.VideoStream, time_s: float, after_s: float
) -> ShownFrame | None:
    """Return a frame that is shown after `after_s` and at `time_s` at the latest: the last key frame there, else the
    one that a player shows at `time_s`. None if the packets do not begin at a key frame before that time, are damaged
    there, or are too many.
    """
    group: list[av.Packet] = []  # from the last key frame on
    for number, packet in enumerate(packets):
        if (at_s := packet_time(packet, stream)) is None or number > _MAX_PACKETS or len(group) > _MAX_GROUP:
            return None
        if packet.is_keyframe and at_s <= time_s + _TICK_S:
            group = []
            if at_s > after_s and time_s - at_s <= _NEAR_S and (shown := _decode([packet], stream, time_s)):
                return shown
        elif not group:
            return None
        group.append(packet)
        # Packets come in the order of decoding, and no frame is shown before it is decoded.
        if (at_s if packet.dts is None else float(packet.dts * stream.time_base)) > time_s:
            break
    if group and (packet_time(group[0], stream) or 0.0) > after_s and (shown := _decode(group[:1], stream, time_s)):
        return shown
    return _decode(group, stream, time_s)


def packet_time(packet: av.Packet, stream: av.VideoStream) -> float | None:
    """Return when a packet's frame is shown, in seconds; None without a timestamp."""
    ticks = packet.dts if packet.pts is None else packet.pts  # AVI has the times of decoding only
    return None if ticks is None else float(ticks * stream.time_base)


def _decode(group: list[av.Packet], stream: av.VideoStream, time_s: float) -> ShownFrame | None:
    """Return the last frame of the packets, which begin at a key frame, that is shown at `time_s` or before it."""
    context = stream.codec_context
    context.flush_buffers()
    shown, count = None, 0
    for packet in chain(group, [None] if group else []):
        for frame in decode(context, packet):
            count += 1
            ticks = frame.dts if frame.pts is None else frame.pts
            at_s = nan if ticks is None else float(ticks * stream.time_base)
            if at_s <= time_s + _TICK_S:
                shown = at_s, frame
    return ShownFrame(*shown, count) if shown else None
