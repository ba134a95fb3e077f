"""Prefetch: a thread computes the next item while the consumer works on the current one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

_T = TypeVar("_T")


@contextmanager
def prefetch(items: Iterable[_T]) -> Iterator[Iterator[_T]]:
    """Yield an iterator over `items` that is one item ahead of its consumer; the first item starts immediately.

    An error of an item is raised where the consumer would get that item. After the block no further item starts. An
    item that is still being computed delays the interpreter's exit.
    """
    source, end = iter(items), object()
    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="prefetch")
    pending = pool.submit(next, source, end)

    def results() -> Iterator[_T]:
        nonlocal pending
        while (item := pending.result()) is not end:
            pending = pool.submit(next, source, end)  # before the yield: it runs while the consumer works
            yield item  # type: ignore[misc]

    try:
        yield results()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
