"""Delay queue: items become available when they are due."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

_T = TypeVar("_T")


class DelayQueue(Generic[_T]):
    """A thread-safe queue ordered by due time. Any thread may put items and close it; one thread iterates over it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` returns monotonic seconds; they must pass as fast as those of `threading.Condition.wait`."""
        self._clock = clock
        self._order = itertools.count()  # a tie breaker: items themselves need not be comparable
        self._items: list[tuple[float, int, _T]] = []
        self._changed = threading.Condition()
        self._closed = False

    def put(self, item: _T, at: float) -> None:
        """Add an item that is due when the clock shows `at`."""
        with self._changed:
            heapq.heappush(self._items, (at, next(self._order), item))
            self._changed.notify()

    def discard(self, item: _T) -> None:
        """Remove an item, if it is there."""
        with self._changed:
            self._items = [entry for entry in self._items if entry[2] != item]
            heapq.heapify(self._items)

    def close(self) -> None:
        """End the iteration, even if items are left. A second call does nothing."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def __iter__(self) -> DelayQueue[_T]:
        return self

    def __next__(self) -> tuple[float, _T]:
        """Wait until the earliest item is due, then return its due time and the item."""
        with self._changed:
            while not self._closed:
                remaining = self._items[0][0] - self._clock() if self._items else None
                if remaining is not None and remaining <= 0:
                    at, _, item = heapq.heappop(self._items)
                    return at, item
                self._changed.wait(remaining)  # None: until an item comes
        raise StopIteration
