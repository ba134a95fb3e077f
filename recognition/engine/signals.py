"""Signal masking: Ctrl-C and SIGTERM are deferred while they could get lost."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def signals_deferred() -> Iterator[None]:
    """Deliver SIGINT and SIGTERM only after the block: the import of a C library may swallow them.

    Threads that start inside the block inherit its mask, so they never take a signal from the main thread.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
