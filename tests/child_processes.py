"""Child processes of a test: forked, so that they have its stores, catalogs and fixtures."""

from __future__ import annotations

import os
from collections.abc import Callable


def start_child(work: Callable[[], object]) -> int:
    """Start `work` in a process of its own; return the process's id. Its exit code is 1 after an exception."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    return child


def wait_for(*children: int) -> None:
    """Wait until these processes have ended; all of them must have done their work."""
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * len(children)
