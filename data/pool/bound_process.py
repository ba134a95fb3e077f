"""Bound process: a Python command that ends with its parent, on Linux: python -m data.pool.bound_process PID WORDS.

The kernel sends SIGKILL to the command when the thread that started it ends (prctl(2), PR_SET_PDEATHSIG), so a killed
coordinator or node leaves no process behind. A module of its own: a function between fork and exec could deadlock in a
process with many threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

_PR_SET_PDEATHSIG = 1


def start(words: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    """Start `python <words>`, bound to the calling thread. options: of subprocess.Popen."""
    command = [sys.executable, "-m", __name__, str(os.getpid()), *words]
    return subprocess.Popen(command, start_new_session=True, **options)


def main(parent: int, words: list[str]) -> None:
    """Become the command."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before the call
            sys.exit(1)
    os.execv(sys.executable, [sys.executable, *words])


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
