"""Segments that are not what they should be: those of channels whose segments are bad, each, or one in three."""

from __future__ import annotations

import functools
import hashlib
import io
import re
from dataclasses import replace

import av

from tests.standin.faults import cut_off, html, shortened, status
from tests.standin.http import Response

_BAD = {"empty": shortened(0), "cut_off": cut_off(), "not_video": html(), "segment_404": status(404)}
# NAL units of a byte stream, ITU-T H.264 annex B: a start code, then a byte whose lower five bits are the type.
_UNIT = re.compile(rb"\x00\x00\x01(.)", re.DOTALL)
_PARAMETER_SETS = (7, 8)


def spoiled(behaviour: str, number: int, response: Response) -> Response:
    """The segment `number` as a channel of this behaviour gives it; `response` is the good one."""
    if behaviour == "broken" and number % 3 == 0:
        noise = hashlib.shake_256(str(number).encode()).digest(20_000)
        return replace(response, body=noise if number % 2 else b"<html>503 Service Unavailable</html>")
    if behaviour == "no_key_frame":
        return replace(response, body=without_key_frame(response.body))
    return _BAD[behaviour](response) if behaviour in _BAD else response


@functools.lru_cache(maxsize=32)
def without_key_frame(segment: bytes) -> bytes:
    """The MPEG-TS segment from its second frame on, decoder's parameters in front: only what builds on a lost frame."""
    output = io.BytesIO()
    with av.open(io.BytesIO(segment)) as whole, av.open(output, "w", format="mpegts") as rest:
        stream = rest.add_stream_from_template(whole.streams.video[0])
        packets = [packet for packet in whole.demux(video=0) if packet.size]
        first = av.Packet(_parameter_sets(bytes(packets[0])) + bytes(packets[1]))
        first.pts, first.dts, first.time_base = packets[1].pts, packets[1].dts, packets[1].time_base
        for packet in (first, *packets[2:]):
            packet.stream = stream
            rest.mux(packet)
    return output.getvalue()


def _parameter_sets(frame: bytes) -> bytes:
    """Sequence and picture parameter sets of a key frame, as they stand there."""
    starts = [(match.start(), match[1][0] & 31) for match in _UNIT.finditer(frame)]
    ends = [start for start, _ in starts[1:]] + [len(frame)]
    return b"".join(
        frame[start:end] for (start, kind), end in zip(starts, ends, strict=True) if kind in _PARAMETER_SETS
    )
