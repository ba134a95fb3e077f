"""The stand-in's clock: the time by which segments, ads, previews and rate limits pass.

By default it is the machine's. A test gives the stand-in a clock that runs faster, or that it sets forward itself:
then nobody sleeps until an ad is over.
"""

from __future__ import annotations

import threading
import time


class Clock:
    """Epoch seconds that start at the machine's time, and pass `speed` times as fast. Thread safe."""

    def __init__(self, speed: float = 1.0) -> None:
        self._speed = speed
        self._start, self._monotonic_start = time.time(), time.monotonic()
        self._advanced = 0.0
        self._lock = threading.Lock()

    def now(self) -> float:
        """Return the time, epoch seconds."""
        with self._lock:
            return self._now()

    def _now(self) -> float:
        return self._start + (time.monotonic() - self._monotonic_start) * self._speed + self._advanced

    def set_speed(self, speed: float) -> None:
        """Let the time pass `speed` times as fast from now on."""
        with self._lock:
            self._start, self._monotonic_start = self._now() - self._advanced, time.monotonic()
            self._speed = speed

    def advance(self, seconds: float) -> None:
        """Set the clock forward."""
        with self._lock:
            self._advanced += seconds

    def sleep(self, seconds: float) -> bool:
        """Let `seconds` of this clock pass at once: a `sleep` for the code under test. Return False, as a wait does."""
        self.advance(max(seconds, 0.0))
        return False
