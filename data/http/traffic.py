"""Traffic counter: the HTTP responses of this process, and the bytes that it received with them."""

from __future__ import annotations

import threading
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Traffic:
    """A number of responses, redirects and failed ones included, and of bytes: headers, compressed bodies."""

    requests: int = 0
    bytes: int = 0

    def __sub__(self, other: Traffic) -> Traffic:
        return Traffic(self.requests - other.requests, self.bytes - other.bytes)


class TrafficCounter:
    """Counts traffic, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests = self._bytes = 0

    def add(self, requests: int, received: int) -> None:
        """Count responses and received bytes."""
        with self._lock:
            self._requests += requests
            self._bytes += received

    def total(self) -> Traffic:
        """Return what was counted since the start of the process."""
        with self._lock:
            return Traffic(self._requests, self._bytes)


COUNTER = TrafficCounter()  # of this process: every response of every session counts itself here
