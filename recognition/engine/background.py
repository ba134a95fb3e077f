"""Background task: a result that is computed while other work goes on."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_T = TypeVar("_T")


def in_background(work: Callable[[], _T]) -> Callable[[], _T]:
    """Start `work` in another thread; return a function that waits for its result, or raises its error.

    The interpreter's exit waits for `work`. The thread blocks the signals that the caller blocks.
    """
    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="background")
    result = pool.submit(work)
    pool.shutdown(wait=False)
    return result.result
