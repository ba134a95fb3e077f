"""Exponential backoff: the pauses between the attempts of one request, within a total budget."""

from __future__ import annotations

import math
import random
import time


class Backoff:
    """The pauses of one request. The caller waits: by `time.sleep`, or by a stop event's `wait`.

    budget_s: seconds from now on in which the last pause must end.
    first_s, max_s: the first pause, seconds, and the longest one without jitter; each is twice as long as the last.
    jitter: each pause is longer by a random fraction of up to this, so that many clients do not retry together.
    """

    def __init__(self, budget_s: float, *, first_s: float = 0.5, max_s: float = math.inf, jitter: float = 0.0) -> None:
        self.attempts = 0
        self._deadline = time.monotonic() + budget_s
        self._pause_s, self._max_s, self._jitter = first_s, max_s, jitter

    def next_pause_s(self) -> float | None:
        """Return the seconds to wait before the next attempt; None: the budget does not allow another one."""
        pause_s = self._pause_s * random.uniform(1, 1 + self._jitter)
        if not self.allows(pause_s):
            return None
        self.attempts += 1
        self._pause_s = min(2 * self._pause_s, self._max_s)
        return pause_s

    def allows(self, pause_s: float) -> bool:
        """Return whether a pause of `pause_s` seconds, begun now, ends within the budget."""
        return time.monotonic() + pause_s <= self._deadline
