"""Manifest of a game's frames: what their file names do not say, in `<root>/<game_id>/manifest.jsonl`.

One JSON object a line, UTF-8; unknown values are left out:

    {"file": "login-3.jpg", "sha256": "…", "grabbed_at": "2026-11-26T10:20:14.500Z", "language": "en", "viewers": 12,
     "title": "…", "origin": "https://www.twitch.tv/login"}

Lines are appended under the lock of the game's folder. Of several lines of one file the last one counts. A line that a
kill or a full disk cut off is skipped, and so is a line that is edited into something invalid.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
from collections.abc import Container, Iterable, Iterator, Mapping, Set
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from data.atomic import atomic_file
from data.entities import NO_DETAILS, FrameDetails, StoredFrame
from data.errors import FolderError
from data.readers import read_regular_file
from data.text import printable, printable_line

MANIFEST_FILE = "manifest.jsonl"
_MAX_BYTES = 4 << 30  # ten million frames
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_NAME = re.compile(rb'"file"\s*:\s*"([^"\n]*)"')
_PLAIN_NAME = re.compile(r'"file"\s*:\s*"([^"\\\n]*)"')  # without escapes, which nobody but an editor needs
_MAX_VIEWERS = 2**31 - 1  # PostgreSQL's integer
_MAX_TEXT = 1000  # characters of a title or an origin


def append(folder: Path, frames: Iterable[StoredFrame]) -> None:
    """Append a line for each frame to the manifest of a game's `folder`, locked by the caller.

    Raises OSError, FolderError.
    """
    lines = "".join(map(to_line, frames)).encode()
    if not lines:
        return
    # Read too: a killed process may have left a line without an end. NOFOLLOW: a link may lead anywhere.
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    path = folder / MANIFEST_FILE
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISREG(path.lstat().st_mode):
            raise FolderError(
                f"{printable(str(path))} is not a regular file: move it away; data.dbSync writes a new one."
            )
    with os.fdopen(os.open(path, flags, 0o666), "rb+", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        if size:
            file.seek(-1, os.SEEK_END)
            lines = lines if file.read(1) == b"\n" else b"\n" + lines
        try:
            written = file.write(lines)
            while written < len(lines):
                written += file.write(lines[written:])
            os.fsync(file.fileno())
        except BaseException:
            with contextlib.suppress(OSError):
                file.truncate(size)
            raise


def read(folder: Path, names: Container[str] | None = None) -> dict[str, StoredFrame]:
    """Return the frames of a game's `folder` by file name, as the manifest has them; of other files too.

    names: only frames of these file names are needed, which is ten times as fast. Empty without a manifest.
    Raises OSError.
    """
    return {_file_name(frame): frame for frame in parse(folder.name, _content(folder), names)}


def has_stale_lines(folder: Path) -> bool:
    """Return whether `compact` would drop a line. Raises OSError."""
    return is_stale(_content(folder), _files(folder))


def is_stale(content: bytes, files: Set[str]) -> bool:
    """Return whether a manifest has a line without a file, or two of one file. files: names of the game's frames."""
    names = _NAME.findall(content)  # much faster than parsing
    described = {name.decode("utf-8", "replace") for name in names}
    return len(set(names)) < count_lines(content) or not described <= files


def compact(folder: Path) -> int:
    """Drop the lines of files that are gone, and invalid ones; return how many. The caller holds the folder's lock.

    Raises OSError.
    """
    content = _content(folder)
    kept = {_file_name(frame): frame for frame in parse(folder.name, content)}
    lines = [to_line(kept[name]) for name in sorted(kept.keys() & _files(folder))]
    removed = count_lines(content) - len(lines)
    if removed:
        with atomic_file(folder / MANIFEST_FILE) as temporary:
            temporary.write_text("".join(lines), encoding="utf-8")
    return removed


def to_line(frame: StoredFrame) -> str:
    """Return the frame's line, with its end."""
    return json.dumps(to_values(frame)) + "\n"


def to_values(frame: StoredFrame) -> dict[str, Any]:
    """Return the values of the frame's line, without the unknown ones."""
    details = frame.details
    values = {
        "file": _file_name(frame),
        "sha256": frame.sha256.hex(),
        "grabbed_at": to_iso(details.grabbed_at),
        "language": details.language,
        "viewers": details.viewers,
        "title": details.title,
        "origin": details.origin,
    }
    return {key: value for key, value in values.items() if value not in ("", None)}


def to_iso(epoch_s: float | None) -> str:
    """Return epoch seconds as ISO 8601 in UTC, to a millisecond; "" for None or a time beyond the calendar."""
    try:
        time = _EPOCH + timedelta(seconds=epoch_s or 0) if epoch_s is not None else None
    except (OverflowError, ValueError):
        return ""
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z") if time else ""


def from_iso(text: str) -> float | None:
    """Return a time in ISO 8601 as epoch seconds, in UTC if it names no zone; None for anything else."""
    try:
        time = datetime.fromisoformat(text.replace("Z", "+00:00"))  # Python 3.10 knows no Z
        # The difference, since timestamp() rounds otherwise, and fails for the first year.
        return ((time if time.tzinfo else time.replace(tzinfo=timezone.utc)) - _EPOCH).total_seconds()
    except (ValueError, OverflowError):
        return None


def parse_details(values: Mapping[str, Any]) -> FrameDetails:
    """Return the details in a line's or a record's values; an invalid value counts as unknown."""
    viewers = values.get("viewers")
    return FrameDetails(
        grabbed_at=from_iso(str(values.get("grabbed_at") or "")),
        language=_text(values.get("language")),
        viewers=viewers if type(viewers) is int and 0 <= viewers <= _MAX_VIEWERS else None,
        title=_text(values.get("title")),
        origin=_text(values.get("origin")),
    )


def clean(details: FrameDetails) -> FrameDetails:
    """Return the details as a manifest gives them back: texts in one line, times to a millisecond."""
    time = from_iso(to_iso(details.grabbed_at))
    texts = {name: _text(getattr(details, name)) for name in ("language", "title", "origin")}
    viewers = details.viewers if details.viewers is not None and 0 <= details.viewers <= _MAX_VIEWERS else None
    return replace(details, grabbed_at=time, viewers=viewers, **texts)


def parse(game: str, content: bytes, names: Container[str] | None = None) -> Iterator[StoredFrame]:
    """Yield the frames of a game's manifest, line by line. game: its id, as text. names: as in `read`."""
    for line in content.decode("utf-8", "replace").split("\n"):
        if names is not None and (found := _PLAIN_NAME.search(line)) and found[1] not in names:
            continue
        # A line may be valid JSON and nonsense, such as "[[[[…".
        with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError, RecursionError):
            values = json.loads(line)
            frame = StoredFrame.parse(f"{game}/{values['file']}")
            sha256 = bytes.fromhex(str(values.get("sha256") or ""))
            details = parse_details(values) if values.keys() - {"file", "sha256"} else NO_DETAILS
            yield StoredFrame(frame.game_id, frame.login, frame.number, sha256 if len(sha256) == 32 else b"", details)


def _content(folder: Path) -> bytes:
    try:
        return read_regular_file(folder / MANIFEST_FILE, _MAX_BYTES)
    except FileNotFoundError:
        return b""


def count_lines(content: bytes) -> int:
    """Return the number of lines, a last one without its end included."""
    return content.count(b"\n") + (not content.endswith(b"\n") and bool(content))


def _files(folder: Path) -> set[str]:
    """Return the names of a game's frames."""
    with os.scandir(folder) as entries:
        return {entry.name for entry in entries if entry.name.endswith(".jpg")}


def _text(value: Any) -> str:
    return printable_line(value[:_MAX_TEXT]) if isinstance(value, str) else ""


def _file_name(frame: StoredFrame) -> str:
    return frame.path.partition("/")[2]
