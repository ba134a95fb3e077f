"""Page of a check: the suspects as one self-contained HTML file with pictures, the most suspicious first.

The page shows suspect streams, then suspect frames of other streams, by stream. It is bounded: after
the worst 500 pictures a user cleans the dataset and checks it again.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from data.commands import command_line
from data.entities import StoredFrame
from data.errors import FolderError, UndecodableVideo
from data.text import plural
from data.video.images import decode_resized, encode_jpeg
from model.cleaning.check_file import AS_STORED, LoginNames
from model.cleaning.findings import CheckResult, FrameFinding, StreamFinding
from model.reports import check_tables, rendering

_MAX_PICTURES = 500
_PER_STREAM = 8  # a row on a wide screen
_SIZE, _QUALITY = 120, 60  # pixels; 3 KB a picture


def render(
    result: CheckResult,
    effect: Sequence[str],
    game_names: Mapping[int, str],
    read: Callable[[StoredFrame], bytes],
    names: LoginNames = AS_STORED,
) -> str:
    """Return the page. effect: lines for people. read: returns a frame's JPEG bytes, or raises FolderError."""
    builder = _Builder(game_names, read, names)
    streams = check_tables.suspect_streams(result)
    own: dict[tuple[int, str], list[FrameFinding]] = {}
    for finding in result.frames:
        if finding.suspect:
            own.setdefault((finding.frame.game_id, finding.frame.login), []).append(finding)
    groups = [builder.stream(stream, own.pop((stream.game_id, stream.login), [])) for stream in streams]
    others = [builder.frames(frames) for frames in own.values()]  # in the order of their worst frame
    shown = [group for group in (*groups, *others) if group]
    return rendering.render(
        "check.html",
        summary=check_tables.summary_line(result),
        effect=effect,
        date=datetime.now(timezone.utc).isoformat(sep=" ", timespec="minutes"),
        command=command_line("model.check"),
        streams=[group for group in groups if group],
        others=[group for group in others if group],
        left_out=plural(len(groups) + len(others) - len(shown), "stream") if builder.free <= 0 else "",
    )


class _Builder:
    """Builds the values of the template until the page has its pictures."""

    def __init__(self, game_names: Mapping[int, str], read: Callable[[StoredFrame], bytes], names: LoginNames) -> None:
        self._game_names = game_names
        self._read = read
        self._names = names
        self.free = _MAX_PICTURES

    def stream(self, stream: StreamFinding, frames: Sequence[FrameFinding]) -> dict[str, Any]:
        """Return the values of a suspect stream; nothing on a full page."""
        head = {
            "suspicion": stream.suspicion,
            "kind": stream.kind,
            "reason": self._names.text(stream.reason),
            "suggested": stream.suggested.name if stream.suggested else "",
            "count": plural(stream.frames, "frame"),
        }
        # The frames of a stream are ranked by chance: show them from its beginning to its end.
        ordered = sorted(frames, key=lambda finding: finding.frame.number)
        spread = ordered[:: math.ceil(len(ordered) / _PER_STREAM)]
        return self._group(spread, head, len(frames))

    def frames(self, frames: Sequence[FrameFinding]) -> dict[str, Any]:
        """Return the values of suspect frames of one stream; nothing on a full page."""
        head: dict[str, Any] = {"suspicion": frames[0].suspicion, "kind": "", "reason": "", "suggested": ""}
        head["count"] = plural(len(frames), "suspect frame")
        return self._group(frames[:_PER_STREAM], head, len(frames))

    def _group(self, frames: Sequence[FrameFinding], head: Mapping[str, Any], count: int) -> dict[str, Any]:
        if self.free <= 0 or not frames:
            return {}
        first, shown = frames[0].frame, frames[: self.free]
        self.free -= len(shown)
        return {
            **head,
            "game": self._game_names.get(first.game_id, f"game {first.game_id}"),
            "login": self._names.of(first.login),
            "frames": [self._figure(finding) for finding in shown],
            "more": count - len(shown),
        }

    def _figure(self, finding: FrameFinding) -> dict[str, Any]:
        return {
            "path": self._names.path(finding.frame),
            "number": finding.frame.number,
            "suspicion": finding.suspicion,
            "kind": finding.kind,
            "reason": self._names.text(finding.reason),
            "suggested": finding.suggested.name if finding.suggested else "",
            "picture": self._picture(finding.frame),
        }

    def _picture(self, frame: StoredFrame) -> str:
        """Return a small JPEG of the frame, base64; "" if its file cannot be read by now."""
        try:
            small = encode_jpeg(decode_resized(self._read(frame), _SIZE), _QUALITY)
        except (FolderError, UndecodableVideo):
            return ""
        return base64.b64encode(small).decode()
