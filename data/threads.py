"""A thread that works while a block runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def thread_beside(work: Callable[[], object], stop: threading.Event, name: str) -> Iterator[None]:
    """Run `work` in a thread during the block. The end of the block sets `stop`, then waits for the thread.

    `work` must return soon after `stop` is set, which happens after an error in the block too. It must raise nothing.
    """
    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
