"""Working ahead: the next item is made in a thread while the reader works on this one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

_T = TypeVar("_T")


@contextmanager
def ahead(items: Iterable[_T]) -> Iterator[Iterator[_T]]:
    """The items in their order, each begun when the one before it is handed over, the first one at once.

    An error in making an item is raised where that item would be read. Leaving the block makes no
    further item; the program's end waits for the one in the making.
    """
    source, end = iter(items), object()
    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ahead")
    making = pool.submit(next, source, end)

    def handed_over() -> Iterator[_T]:
        nonlocal making
        while (item := making.result()) is not end:
            making = pool.submit(next, source, end)
            yield item  # type: ignore[misc]

    try:
        yield handed_over()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
