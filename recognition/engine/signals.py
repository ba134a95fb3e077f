"""Signal masking: Ctrl-C, SIGTERM and SIGHUP are deferred while they could get lost."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from data import interruption


@contextmanager
def signals_deferred() -> Iterator[None]:
    """Deliver the signals that end a command only after the block: the import of a C library may swallow them.

    Threads that start inside the block inherit its mask, so they never take a signal from the main thread.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, interruption.stop_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
