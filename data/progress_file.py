"""Progress file: what a command has done so far, for other programs, as a small JSON file that is replaced.

{"text": "features", "done": 96, "total": 3000}: total is null if it is unknown.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_INTERVAL_S = 0.5  # between two writes


class ProgressFile:
    """Writes the file. An error of the disk costs the progress, never the work."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, text: str, done: float, total: float | None) -> None:
        """Replace the file."""
        temporary = self._path.with_name(f"{self._path.name}.tmp")
        with suppress(OSError):  # without a flush to the disk: a power cut may cost it
            temporary.write_text(json.dumps({"text": text, "done": done, "total": total}), encoding="utf-8")
            temporary.replace(self._path)

    @contextmanager
    def steps(self, text: str, total: int | None) -> Iterator[Callable[[int], object]]:
        """Yield a function that counts steps in the block."""
        done, due = 0, 0.0  # steps; when to write again, of time.monotonic

        def advance(count: int) -> None:
            nonlocal done, due
            done += count
            if time.monotonic() >= due:
                due = time.monotonic() + _INTERVAL_S
                self.write(text, done, total)

        advance(0)
        yield advance
        self.write(text, done, total)
