"""Requests side by side: a function for each of many items, in threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_In = TypeVar("_In")
_Out = TypeVar("_Out")
_REQUESTS = 16
_BATCH = 2000  # items that wait in memory for a thread


def in_parallel(work: Callable[[_In], _Out], items: Iterable[_In], requests: int = _REQUESTS) -> list[_Out]:
    """Return the results of `work` in the order of `items`, up to `requests` at a time.

    After an exception no further item begins; those that have begun end, then the exception is raised.
    """
    items = list(items)
    if len(items) < 2:
        return [work(item) for item in items]
    with ThreadPoolExecutor(min(requests, len(items))) as pool:
        batches = (items[start : start + _BATCH] for start in range(0, len(items), _BATCH))
        return [result for batch in batches for result in pool.map(work, batch)]
