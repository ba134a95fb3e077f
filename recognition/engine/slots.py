"""Places for those at work; whoever has to wait leaves its place to another meanwhile. Standard library only."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Places:
    """So many may be at work at once; a context for each. `wait`: how to wait, as a stop event's `wait` is."""

    def __init__(self, count: int, wait: Callable[[float], object]) -> None:
        self._free = threading.Semaphore(count)
        self._wait = wait

    def __enter__(self) -> None:
        self._free.acquire()

    def __exit__(self, *_: object) -> None:
        self._free.release()

    def wait(self, seconds: float) -> object:
        """Wait without the place, by any thread that works for its holder; returns with one again."""
        self._free.release()
        try:
            return self._wait(seconds)
        finally:
            self._free.acquire()
