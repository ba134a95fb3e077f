"""Job folders: records, locks and files of jobs, `<root>/<id>/`, and the processes that run them.

Each job's runner holds the lock `<id>/lock`. The runner and its command hold `<group>.lock`, which names the job: at
most one job of a group runs, whichever server started it. The kernel frees locks however a process dies.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from dashboard.jobs import runner
from dashboard.jobs.schemas import JobRecord
from data.errors import FolderError, ToolkitError
from data.storage.folder_errors import folder_errors

_ID = re.compile(r"\d{8}-\d{6}-\d{6}-[a-z]{1,20}", re.ASCII)
_KEPT = 50  # jobs of a group
_MAX_RECORD_BYTES = 100_000
_WAIT_S = 0.5  # for a lock: another server may look at it for a moment
_KILL_AFTER_S = 5.0  # after SIGTERM, of a command without its runner


class JobRunning(ToolkitError):
    """A job of the same group runs."""


class UnknownJob(ToolkitError):
    """There is no such job."""


class JobFolders:
    """The jobs of one dataset. Thread-safe; other servers may use the same folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._mutex = threading.Lock()  # a look of this process must not disturb its own start
        self._runners: list[subprocess.Popen[bytes]] = []
        self._orphans: dict[str, float] = {}  # commands without runner: when they got SIGTERM, of time.monotonic

    def start(
        self, group: str, kind: str, make_record: Callable[[Path], dict[str, Any]], env: Mapping[str, str]
    ) -> str:
        """Start a runner with the record that is made for its folder; return the job's id.

        Raises JobRunning, FolderError.
        """
        with self._mutex, folder_errors(self.root):
            for folder in (self.root.parent, self.root):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with closing(_LockFile(self.root / f"{group}.lock")) as group_lock:
                if not group_lock.take(_WAIT_S):
                    raise JobRunning(f"{group_lock.text()} is running; stop it, or wait for its end.")
                folder = self._new_folder(kind)
                group_lock.write(folder.name)
                with closing(_LockFile(folder / runner.LOCK)) as job_lock:
                    job_lock.take(0)
                    runner.save(folder, make_record(folder) | {"id": folder.name, "started": runner.now()})
                    self._spawn(folder, (group_lock.descriptor, job_lock.descriptor), env)
        return folder.name

    def _new_folder(self, kind: str) -> Path:
        while True:
            folder = self.root / f"{datetime.now(timezone.utc):%Y%m%d-%H%M%S-%f}-{kind}"
            with suppress(FileExistsError):  # of another server
                folder.mkdir(mode=0o700)
                return folder

    def _spawn(self, folder: Path, locks: tuple[int, int], env: Mapping[str, str]) -> None:
        with (folder / runner.LOG).open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "dashboard.jobs.runner", str(folder), str(locks[0])],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=env,
                pass_fds=locks,
                start_new_session=True,
            )
        self._runners.append(process)

    def ids(self, kinds: tuple[str, ...]) -> list[str]:
        """Return the ids of the jobs of these kinds, the newest first. Raises FolderError."""
        names: list[str] = []
        with folder_errors(self.root), suppress(FileNotFoundError):
            names = os.listdir(self.root)  # noqa: PTH208 - names, not paths
        return sorted((name for name in names if _ID.fullmatch(name) and name.endswith(kinds)), reverse=True)

    def record(self, job_id: str) -> JobRecord:
        """Return what job.json says. Raises UnknownJob: it is missing or damaged."""
        try:
            if not _ID.fullmatch(job_id):
                raise ValueError(job_id)
            with (self.root / job_id / runner.RECORD).open("rb") as file:
                return JobRecord.model_validate_json(file.read(_MAX_RECORD_BYTES))
        except (OSError, ValueError) as error:
            raise UnknownJob("There is no such job.") from error

    def has_runner(self, job_id: str) -> bool:
        """Return whether the job's runner lives."""
        with self._mutex:
            self._runners = [process for process in self._runners if process.poll() is None]
            return _is_locked(self.root / job_id / runner.LOCK)

    def end_orphan(self, group: str, job_id: str, pid: int | None) -> bool:
        """End the command of a job whose runner died: SIGTERM, at a later call SIGKILL. Return whether it still runs.

        pid: process group of the command; None: it is not known, and the kernel ends the command.
        """
        path = self.root / f"{group}.lock"
        with self._mutex, suppress(OSError):  # without the file there is no command
            # As this job's command holds the lock, the number is its process group's.
            if path.read_bytes() == job_id.encode() and _is_locked(path):
                since = self._orphans.setdefault(job_id, time.monotonic())
                late = time.monotonic() - since > _KILL_AFTER_S
                if pid:
                    runner.kill_group(pid, signal.SIGKILL if late else signal.SIGTERM)
                return True
        return False

    def ask_to_stop(self, job_id: str) -> None:
        """Ask the runner to stop its command. Raises FolderError."""
        with folder_errors(self.root / job_id):
            (self.root / job_id / runner.STOP).touch()

    def is_stopping(self, job_id: str) -> bool:
        """Return whether the job was asked to stop."""
        return (self.root / job_id / runner.STOP).exists()

    def delete(self, job_id: str) -> None:
        """Delete the files of a job that has ended. Raises FolderError."""
        with folder_errors(self.root / job_id), suppress(FileNotFoundError):  # another server deletes it, too
            shutil.rmtree(self.root / job_id)

    def prune(self, kinds: tuple[str, ...]) -> None:
        """Delete all but the latest jobs of these kinds that have ended."""
        for job_id in self.ids(kinds)[_KEPT:]:
            with suppress(FolderError):
                if not self.has_runner(job_id):
                    self.delete(job_id)


class _LockFile:
    """A file with a lock (flock) and a text; the lock is free when all copies of its descriptor are closed."""

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def take(self, wait_s: float) -> bool:
        """Take the lock within this time; return whether that succeeded. Raises OSError."""
        end = time.monotonic() + wait_s
        while not _flock(self.descriptor, fcntl.LOCK_EX):
            if time.monotonic() >= end:
                return False
            time.sleep(0.05)
        return True

    def text(self) -> str:
        return os.pread(self.descriptor, 200, 0).decode("ascii", "replace")

    def write(self, text: str) -> None:
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, text.encode(), 0)

    def close(self) -> None:
        os.close(self.descriptor)


def _is_locked(path: Path) -> bool:
    """Return whether a process holds the lock of the file. Two looks at the same time do not disturb each other."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        return not _flock(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def _flock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        raise
    return True
