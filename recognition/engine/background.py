"""Background task: start now what is needed later."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_T = TypeVar("_T")


def in_background(work: Callable[[], _T]) -> Callable[[], _T]:
    """Start `work` in another thread; return a function that waits for its result, or raises its error."""
    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="background")
    result = pool.submit(work)
    pool.shutdown(wait=False)
    return result.result
