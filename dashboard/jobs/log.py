"""Log windows: parts of a job's log, whatever its size, without characters that a terminal or page would obey."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from data.text import printable, redacted

MAX_WINDOW = 256_000  # bytes


class LogWindow(BaseModel):
    """A part of a log: `text` is what stands from `offset` to `next`, in bytes of the file, which has `size`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"offset": 0, "next": 31, "size": 31, "text": "info: ann shows nothing but ads\n", "ended": False}
            ]
        }
    )
    offset: int
    next: int
    size: int
    text: str
    ended: bool


def read_window(path: Path, offset: int | None, limit: int, ended: bool) -> LogWindow:
    """Return at most `limit` bytes from `offset`, or without an offset the last ones; whole lines where possible.

    ended: whether nothing more will be written; until then a line that is not complete is left out.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            start = max(0, size - limit) if offset is None else min(offset, size)
            file.seek(start)
            data = file.read(limit)
    except FileNotFoundError:
        size, start, data = 0, 0, b""
    if offset is None and start:  # in the middle of a line
        cut = data.find(b"\n") + 1
        start, data = start + cut, data[cut:]
    if not (ended and start + len(data) >= size):
        data = data[: data.rfind(b"\n") + 1] or (data if len(data) == limit else b"")
    lines = data.decode("utf-8", "replace").split("\n")
    text = redacted("\n".join(map(printable, lines)))
    return LogWindow(offset=start, next=start + len(data), size=size, text=text, ended=ended)
