"""Job runner: a process of its own that runs one command and outlives the server that started it.

    start the command, its output into files of the job's folder
    until the command ends:
        if there is a file `stop`, or no folder any more:
            SIGINT to the command, after a grace period SIGTERM, at last SIGKILL
    write the exit code into job.json

The server that starts it hands over two locked files, so the locks move without a gap. The runner holds the lock of its
job, and dies with it: a job without an end whose lock is free is lost. The lock of the kind, one job at a time, is also
the command's. On Linux the command gets SIGTERM when its runner dies; elsewhere a server's next look ends it.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from data.atomic import atomic_file

RECORD, LOG, OUTPUT, STOP, LOCK = "job.json", "log", "output", "stop", "lock"  # files of a job's folder
_PR_SET_PDEATHSIG = 1  # prctl(2)
_POLL_S = 0.1
_KILL_AFTER_S = 10.0  # after SIGTERM


def main(folder: Path, kind_lock: int) -> None:
    """Run the command of the job in `folder`. kind_lock: descriptor of the lock that the command inherits."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # a thread of the server may have blocked some
    for number in (signal.SIGTERM, signal.SIGINT):  # as at the machine's shutdown
        signal.signal(number, lambda *_: (folder / STOP).touch())
    record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    with (folder / LOG).open("ab") as log, (folder / OUTPUT).open("ab") as output:
        process = subprocess.Popen(
            record["command"],
            stdin=subprocess.DEVNULL,
            stdout=output if record["separate"] else log,
            stderr=log,
            pass_fds=(kind_lock,),
            start_new_session=True,  # its process group, to be killed as a whole
            preexec_fn=_die_with(os.getpid()),  # noqa: PLW1509 - this process has one thread
        )
    save(folder, record | {"pid": process.pid})
    code = _wait(process, folder / STOP, record["grace_s"])
    stopped = (folder / STOP).exists()
    save(folder, record | {"pid": process.pid, "ended": now(), "exit_code": code, "stopped": stopped})


def _die_with(runner: int) -> Callable[[], None]:
    """Return what makes a child process end with this one, on Linux."""

    def die_with_runner() -> None:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != runner:  # it died before the call
                os._exit(1)

    return die_with_runner


def _wait(process: subprocess.Popen[bytes], stop: Path, grace_s: float) -> int:
    """Return the command's exit code; after a request to stop, end it in three steps."""
    steps = [(0.0, signal.SIGINT), (grace_s, signal.SIGTERM), (grace_s + _KILL_AFTER_S, signal.SIGKILL)]
    asked_at = None
    while True:
        with suppress(subprocess.TimeoutExpired):
            return process.wait(_POLL_S)
        if asked_at is None and (stop.exists() or not stop.parent.exists()):
            asked_at = time.monotonic()
        while asked_at is not None and steps and time.monotonic() >= asked_at + steps[0][0]:
            _, number = steps.pop(0)
            if number == signal.SIGKILL:
                kill_group(process.pid, number)
            else:
                process.send_signal(number)


def kill_group(pid: int, number: int) -> None:
    """Send a signal to the process group of a command, if there is one."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def now() -> str:
    """Return the current time, ISO 8601 in UTC."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def save(folder: Path, record: dict[str, Any]) -> None:
    """Write job.json, whole or not at all. Raises OSError."""
    with atomic_file(folder / RECORD) as temporary:
        temporary.write_text(json.dumps(record), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
