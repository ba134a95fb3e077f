"""Bad segments: damage for the channels whose segments are all bad, or every third one."""

from __future__ import annotations

import functools
import hashlib
import io
import re
from dataclasses import replace

import av

from tests.standin.faults import cut_off, html, status, truncated
from tests.standin.http import Response

_BAD = {"empty": truncated(0), "cut_off": cut_off(), "not_video": html(), "segment_404": status(404)}
# NAL units of a byte stream, ITU-T H.264 annex B: a start code, then a byte whose lower five bits are the type.
_UNIT = re.compile(rb"\x00\x00\x01(.)", re.DOTALL)
_PARAMETER_SETS = (7, 8)


def damaged(behaviour: str, number: int, response: Response) -> Response:
    """Return the response for segment `number` of a channel with this behaviour; `response` is the good one."""
    if behaviour == "broken" and number % 3 == 0:
        noise = hashlib.shake_256(str(number).encode()).digest(20_000)
        return replace(response, body=noise if number % 2 else b"<html>503 Service Unavailable</html>")
    if behaviour == "no_key_frame":
        return replace(response, body=without_key_frame(response.body))
    return _BAD[behaviour](response) if behaviour in _BAD else response


@functools.lru_cache(maxsize=32)
def without_key_frame(segment: bytes) -> bytes:
    """Return an MPEG-TS segment without its first frame: parameter sets, then frames that depend on the missing one."""
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
    """Return the sequence and picture parameter sets of a key frame, with their start codes."""
    starts = [(match.start(), match[1][0] & 31) for match in _UNIT.finditer(frame)]
    ends = [start for start, _ in starts[1:]] + [len(frame)]
    return b"".join(
        frame[start:end] for (start, unit_type), end in zip(starts, ends, strict=True) if unit_type in _PARAMETER_SETS
    )
