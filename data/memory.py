"""Freed memory goes back to the system, in a process that runs for days.

glibc keeps what is freed, in an arena for each thread. Frames of a hundred sizes come and go in them beside small
things that stay, so that ever more of an arena is free in pieces that nothing fits: a download grew from 275 to 355 MB
in a quarter of an hour, and went on growing, though what it used stayed the same (mallinfo(3)).
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_M_ARENA_MAX = -8  # malloc.h


@contextmanager
def given_back(every_s: float = 10.0) -> Iterator[None]:
    """In the block, one arena for the threads that start from now on, and free pages returned every so many seconds.

    mallopt(3), malloc_trim(3). Where the system's library has neither, nothing happens.
    """
    libc = ctypes.CDLL(None)
    mallopt, trim = getattr(libc, "mallopt", None), getattr(libc, "malloc_trim", None)
    if not mallopt or not trim:
        yield
        return
    mallopt(_M_ARENA_MAX, 1)
    over = threading.Event()

    def work() -> None:
        while not over.wait(every_s):
            trim(0)

    thread = threading.Thread(target=work, name="memory", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
