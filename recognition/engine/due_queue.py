"""Whose turn it is: items wait until they are due."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

_T = TypeVar("_T")


class Rota(Generic[_T]):
    """Any thread may put items in and close it; one thread iterates over it, and is given each when it is due.

    Of two that are due, the one that should have come first comes first.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: seconds that only grow, as they pass in `threading.Condition.wait`."""
        self._clock = clock
        self._order = itertools.count()
        self._items: list[tuple[float, int, _T]] = []
        self._changed = threading.Condition()
        self._closed = False

    def put(self, item: _T, at: float) -> None:
        """It is due at this time of the clock."""
        with self._changed:
            heapq.heappush(self._items, (at, next(self._order), item))
            self._changed.notify()

    def close(self) -> None:
        """No more items come out; safe to call twice."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def __iter__(self) -> Rota[_T]:
        return self

    def __next__(self) -> tuple[float, _T]:
        """When the next item is due, and the item; not before that time."""
        with self._changed:
            while not self._closed:
                left = self._items[0][0] - self._clock() if self._items else None
                if left is not None and left <= 0:
                    at, _, item = heapq.heappop(self._items)
                    return at, item
                self._changed.wait(left)
        raise StopIteration
