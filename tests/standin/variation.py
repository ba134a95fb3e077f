"""Variations of a clip's segments: each viewer of a channel sees other pictures, as if no stream repeated itself.

The clips are short, and a download keeps no frame twice. Encoding them again for each viewer would be slow. Instead the
cropping in H.264's sequence parameter set changes, by a filter of FFmpeg that copies the pictures:
https://ffmpeg.org/ffmpeg-bitstream-filters.html#h264_005fmetadata. A viewer's own pictures repeat with the clip.
"""

from __future__ import annotations

import io

import av
from av.bitstream import BitStreamFilterContext

_STEP = 2  # pixels: the smallest step with 4:2:0 chroma
_STEPS = 12  # at most 22 pixels are cropped on a side


def varied(segment: bytes, viewer: int) -> bytes:
    """Return an MPEG-TS segment with other borders for each of 144 viewers; viewer 0 sees all of it."""
    rows, columns = _STEP * (viewer % _STEPS), _STEP * (viewer // _STEPS % _STEPS)
    if not rows and not columns:
        return segment
    crop = f"h264_metadata=crop_top={rows}" + (f":crop_right={columns}" if columns else "")
    output = io.BytesIO()
    with (
        av.open(io.BytesIO(segment)) as source,
        av.open(output, "w", format="mpegts", options={"mpegts_copyts": "1"}) as target,
    ):
        video = source.streams.video[0]
        stream = target.add_stream_from_template(video)
        crop_filter = BitStreamFilterContext(crop, video)
        for packet in source.demux(video):  # the last, empty packet flushes the filter
            for filtered in crop_filter.filter(packet if packet.dts is not None else None):
                filtered.stream = stream
                target.mux(filtered)
    return output.getvalue()
