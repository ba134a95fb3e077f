"""A command of a benchmark, with the lines of its stderr and their times."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from data.threads import start_thread

_LAST_LINES_S = 5.0  # after the end; a process that it has started may keep the pipe open


@dataclass
class LoggedCommand:
    """A command that runs. log: lines of stderr up to now, with monotonic seconds; ended: those of its end."""

    process: subprocess.Popen[str]
    log: list[tuple[float, str]] = field(default_factory=list)
    ended: float = field(init=False)  # after `end` or `succeed`
    reader: Future[None] = field(init=False)

    def __post_init__(self) -> None:
        self.reader = start_thread(self._read, "log")

    def wait_until(self, condition: Callable[[], bool], limit_s: float, every_s: float = 0.05) -> None:
        """Wait for a condition. Raises RuntimeError: the command has ended before, or `limit_s` seconds are over.

        every_s: pause between two checks; a costly check disturbs what shares its cores.
        """
        end = time.monotonic() + limit_s
        ended = False
        while not condition():
            if ended or time.monotonic() > end:
                raise RuntimeError(f"it does not go on: exit code {self.process.poll()}: {self.log[-5:]}")
            ended = self.process.poll() is not None  # look once more: it may have done its work
            time.sleep(every_s)

    def end(self, limit_s: float) -> int:
        """Wait for the end; return the exit code. Raises subprocess.TimeoutExpired."""
        code = self.process.wait(limit_s)
        self.ended = time.monotonic()  # the last lines may take longer
        wait([self.reader], _LAST_LINES_S)
        return code

    def succeed(self, limit_s: float) -> None:
        """Wait for the end. Raises RuntimeError: it has failed; subprocess.TimeoutExpired."""
        if code := self.end(limit_s):
            raise RuntimeError(f"exit code {code}: {self.log[-5:]}")

    def seconds_until(self, text: str, since: float) -> float | None:
        """Return how many seconds after `since`, monotonic, the command first printed a text; None if it has not."""
        return next((round(at - since, 1) for at, line in self.log if text in line and at > since), None)

    def _read(self) -> None:
        for line in self.process.stderr or ():
            self.log.append((time.monotonic(), line.rstrip()))


@contextmanager
def logged_command(command: Sequence[str], environment: Mapping[str, str], **options: Any) -> Iterator[LoggedCommand]:
    """Run a command; kill it at the end of the block. options: of Popen."""
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, **(quiet | options))
    try:
        yield LoggedCommand(process)
    finally:
        process.kill()
        process.wait()
