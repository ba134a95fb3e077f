"""Work slots: a semaphore whose holders give up their slot while they wait. Standard library only."""

from __future__ import annotations

import threading
from collections.abc import Callable


class WorkSlots:
    """At most `count` holders work at once. A context manager: entering takes a slot, leaving frees it."""

    def __init__(self, count: int, wait: Callable[[float], object]) -> None:
        """`wait(seconds)` waits, such as `threading.Event.wait`; its return value is passed on."""
        self._free = threading.Semaphore(count)
        self._wait = wait

    def __enter__(self) -> None:
        self._free.acquire()

    def __exit__(self, *_: object) -> None:
        self._free.release()

    def wait(self, seconds: float) -> object:
        """Free the slot, wait, and take a slot again. Any thread that works for the slot's holder may call this."""
        self._free.release()
        try:
            return self._wait(seconds)
        finally:
            self._free.acquire()
