"""Log windows: parts of a job's log, whatever its size, without characters that a terminal or page would obey."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from data.text import printable, redacted

MAX_WINDOW = 256_000  # bytes
_TAIL = 16_000  # bytes in which the last error is looked for
_MAX_MESSAGE = 500  # characters


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


def last_error(path: Path) -> str:
    """Return the last error that a log of a command that has ended names, as one line; "" if it names none."""
    lines = read_window(path, None, _TAIL, ended=True).text.split("\n")
    # The commands' own messages; otherwise those of argparse and the last lines of tracebacks.
    errors = [line for line in lines if line.startswith("error: ")] or [line for line in lines if "rror: " in line]
    return errors[-1].removeprefix("error: ")[:_MAX_MESSAGE] if errors else ""
