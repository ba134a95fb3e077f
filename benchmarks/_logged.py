"""A command of a benchmark, with the lines of its stderr and their times."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

Log = list[tuple[float, str]]  # monotonic seconds, line


@contextmanager
def logged_command(
    command: Sequence[str], environment: Mapping[str, str], **options: Any
) -> Iterator[tuple[subprocess.Popen[str], Log]]:
    """Run a command; yield its process and its log, which grows. Kill the command at the end of the block.

    options: of Popen; without any, there is no stdin and stdout goes nowhere.
    """
    log: Log = []
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL} | options
    process: subprocess.Popen[str] = subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, text=True, **options
    )

    def read() -> None:
        for line in process.stderr or ():
            log.append((time.monotonic(), line.rstrip()))

    threading.Thread(target=read, daemon=True).start()
    try:
        yield process, log
    finally:
        process.kill()
        process.wait()
