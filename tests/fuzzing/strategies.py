"""Hypothesis strategies that damage valid inputs: bytes, lines of a playlist, JSON."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

# Values at the edges of what formats and types hold.
_ODD_NUMBERS = [0, -1, 1, 255, 2**31 - 1, 2**31, 2**32, 2**63 - 1, 2**63, -(2**63) - 1, 10**40, 0.5, -0.0, 1e308]
_ODD_TEXTS = [
    "",
    "0",
    "-1",
    "9" * 5000,
    "1e999",
    "nan",
    "null",
    "\x00",
    "\x1b[2J",
    "\ud800",
    "ｗ",
    "a" * 70_000,
    "../../x",
]
_ODD_BYTES = [
    b"",
    b"\x00",
    b"\xff",
    b"\x00" * 8,
    b"\xff" * 8,
    b"\x47",
    b"\xff\xd8\xff",
    b"moof",
    b"[" * 5000,
    b"9" * 5000,
]
_JSON_TEXTS = [
    "1e999",
    "-1e999",
    "NaN",
    "[" * 20_000,
    '{"a":' * 20_000,
    "9" * 5000,
    '"\\ud800"',
    "",
    "<html>",
    "\ufeff{}",
]
_LINES = [
    "#EXTM3U",
    "#EXTINF:",
    "#EXTINF:nan,",
    "#EXTINF:1e999,live",
    "#EXTINF:-1,live",
    "#EXTINF:2.000,Amazon|1",
    "#EXT-X-STREAM-INF:",
    "#EXT-X-STREAM-INF:BANDWIDTH=1,X",
    '#EXT-X-STREAM-INF:BANDWIDTH=x,RESOLUTION=0x0,STABLE-VARIANT-ID="\x00"',
    "#EXT-X-STREAM-INF:RESOLUTION=99999999999999x1,FRAME-RATE=nan",
    "#EXT-X-MEDIA:",
    '#EXT-X-MEDIA:TYPE=VIDEO,GROUP-ID="a",NAME="a",URI="https://a:99999/x"',
    "#EXT-X-MEDIA-SEQUENCE:-5",
    "#EXT-X-MEDIA-SEQUENCE:" + "9" * 5000,
    "#EXT-X-TARGETDURATION:0",
    "#EXT-X-TARGETDURATION:1e999",
    "#EXT-X-PROGRAM-DATE-TIME:0000-00-00T00:00:00Z",
    "#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00",
    "#EXT-X-PROGRAM-DATE-TIME:9999-12-31T23:59:59+99:99",
    '#EXT-X-DATERANGE:ID="stitched-ad-1",CLASS="twitch-stitched-ad",START-DATE="2026-01-01T00:00:00",DURATION=x',
    '#EXT-X-DATERANGE:ID="x",START-DATE="2026-01-01T00:00:00Z",DURATION=1e300',
    "#EXT-X-DATERANGE:",
    "#EXT-X-KEY:METHOD=AES-128",
    '#EXT-X-KEY:METHOD=AES-128,URI="x",IV=0xZZ',
    "#EXT-X-KEY:METHOD=NONE",
    "#EXT-X-MAP:",
    '#EXT-X-MAP:URI="init.mp4",BYTERANGE="-1@-1"',
    '#EXT-X-MAP:URI="https://["',
    "#EXT-X-BYTERANGE:",
    "#EXT-X-BYTERANGE:10@99999999999999999999",
    "#EXT-X-BYTERANGE:-10",
    "#EXT-X-DISCONTINUITY",
    "#EXT-X-DISCONTINUITY-SEQUENCE:x",
    "#EXT-X-GAP",
    "#EXT-X-ENDLIST",
    "#EXT-X-TWITCH-PREFETCH:https://a:99999/x",
    "#EXT-X-START:TIME-OFFSET=nan",
    "#EXT-X-I-FRAMES-ONLY",
    "#EXT-X-PART:DURATION=x",
    "https://a:99999/x",
    "https://[/x",
    "//",
    "?",
    "\x00",
    "http://127.0.0.1:1/x",
    "segment.ts",
]


@st.composite
def damaged_bytes(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """Return one of the valid inputs after up to 12 edits: bits flipped, bytes cut, repeated, replaced or inserted."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 12))):
        # The distribution prefers the head, where formats keep their sizes and counts.
        at = draw(st.integers(0, max(0, min(len(data), draw(st.sampled_from([64, 1024, 1 << 30]))) - 1)))
        match draw(st.integers(0, 5)):
            case 0:
                data[at : at + 1] = bytes([(data[at] if data else 0) ^ 1 << draw(st.integers(0, 7))])
            case 1:
                data[at : at + 1] = bytes([draw(st.integers(0, 255))])
            case 2:
                del data[at : at + draw(st.sampled_from([1, 4, 188, 1000]))]
            case 3:
                data[at:at] = data[at : at + draw(st.sampled_from([4, 188, 1000]))]
            case 4:
                odd = draw(st.sampled_from(_ODD_BYTES))
                data[at : at + draw(st.sampled_from([0, len(odd)]))] = odd
            case _:
                del data[at:]
    return bytes(data)


@st.composite
def damaged_lines(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """Return one of the valid playlists with up to 8 lines removed, repeated, moved, cut, or replaced by odd ones."""
    lines = draw(st.sampled_from(seeds)).decode().splitlines()
    for _ in range(draw(st.integers(1, 8))):
        at = draw(st.integers(0, max(0, len(lines) - 1)))
        match draw(st.integers(0, 4)):
            case 0:
                lines.insert(at, draw(st.sampled_from(_LINES)))
            case 1:
                lines[at : at + 1] = [draw(st.sampled_from(_LINES))]
            case 2:
                del lines[at : at + 1]
            case 3:
                lines[at:at] = lines[at : at + 1] * draw(st.sampled_from([1, 2, 50]))
            case _:
                line = lines[at] if lines else ""
                cut = draw(st.integers(0, len(line)))
                lines[at : at + 1] = [line[:cut] + draw(st.sampled_from([*_ODD_TEXTS, ",X", '"', "=", ""]))]
    return "\n".join(lines).encode("utf-8", "surrogatepass")


@st.composite
def damaged_json(draw: st.DrawFn, seeds: Sequence[Any]) -> bytes:
    """Return one of the valid values as JSON, with up to four nodes replaced by values of other types and sizes."""
    value = json.loads(json.dumps(draw(st.sampled_from(seeds))))
    if draw(st.integers(0, 9)) == 0:
        return draw(st.sampled_from(_JSON_TEXTS)).encode("utf-8", "surrogatepass")
    odd: st.SearchStrategy[Any] = st.sampled_from([None, True, [], {}, [[]], {"a": 1}, *_ODD_NUMBERS, *_ODD_TEXTS])
    for _ in range(draw(st.integers(1, 4))):
        value = _replace_node(draw, value, odd)
    text = json.dumps(value, ensure_ascii=draw(st.booleans()))
    return text.replace('"1e999"', "1e999").encode("utf-8", "surrogatepass")


@st.composite
def damaged_records(draw: st.DrawFn, seeds: Sequence[Any]) -> bytes:
    """Return lines of JSON: the valid values in any order, each of them damaged or not."""
    values = draw(st.lists(st.sampled_from(seeds), max_size=len(seeds) + 2))
    return b"\n".join(
        draw(damaged_json([value])) if draw(st.booleans()) else json.dumps(value).encode() for value in values
    )


def _replace_node(draw: st.DrawFn, value: Any, odd: st.SearchStrategy[Any]) -> Any:
    """Return the value with one node replaced or removed."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    if not keys or draw(st.integers(0, 4)) == 0:
        return copy.deepcopy(draw(odd))  # samples are shared, and later replacements change them
    key = draw(st.sampled_from(keys))
    if draw(st.integers(0, 9)) == 0:
        del value[key]
    else:
        value[key] = _replace_node(draw, value[key], odd)
    return value
