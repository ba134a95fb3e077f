"""Lease: the lock of a folder of an object store, an object `.locks/<folder>` that its holder renews.

    not there, or empty      free: the first to replace this version has the lease
    otherwise                its holder, who replaces it every few seconds; a version that stays is that of a dead one

Nobody compares clocks: each waiting process measures with its own how long a version stays. A dead process of the same
machine is noticed at once. A holder that could not renew its lease in time, as one that was stopped, must not go on:
it asks `check` before each step. A request that is under way then may still be carried out, so leases only save work:
every step below them may be done by two processes.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from data.errors import FolderError
from data.storage.layout import LOCKS_FOLDER
from data.storage.object_client import ABSENT, ObjectClient, VersionChanged
from data.threads import thread_beside

_LEASE_S = 20.0
_RENEWED_EVERY_S = 4.0
_TRUSTED_S = 14.0  # after its renewal: the rest is for clocks of another speed, and requests under way
_POLL_S = 0.2
_MAX_BYTES = 1000


class LeaseHeldError(TimeoutError):
    """Another process had the lease all the time."""


@contextlib.contextmanager
def lease(client: ObjectClient, folder: str, timeout_s: float = math.inf) -> Iterator[Lease]:
    """Hold the lease of a folder; wait for it first. Raises LeaseHeldError, the client's errors."""
    held = Lease(client, f"{LOCKS_FOLDER}/{folder.replace('/', '_') or 'root'}")
    held.acquire(timeout_s)
    done = threading.Event()
    try:
        with thread_beside(partial(held.renew, done), done, "lease"):
            yield held
    finally:
        held.release()


class Lease:
    """The lease of a folder, of this process."""

    def __init__(self, client: ObjectClient, key: str) -> None:
        self._client = client
        self._key = key
        self._version = ""  # of the object, as this process wrote it; "" when it is lost
        self._renewed_at = 0.0

    def check(self) -> None:
        """Raise FolderError if another process may have the lease by now."""
        if not self._version or _now() - self._renewed_at > _TRUSTED_S:
            raise FolderError("This process was stopped, or had no connection, for too long: repeat the command.")

    def acquire(self, timeout_s: float) -> None:
        """Wait until the lease is free, or its holder dead, and take it."""
        end = _now() + timeout_s
        seen, since = "", _now()
        while True:
            content, version = self._read()
            if version != seen:
                seen, since = version, _now()
            if not content or _now() - since > _LEASE_S or _is_dead(content):
                with contextlib.suppress(FileExistsError, VersionChanged):
                    self._write(version)
                    return
            if _now() > end:
                raise LeaseHeldError(errno.ETIMEDOUT, "locked by another process", self._key)
            time.sleep(_POLL_S * (0.5 + secrets.randbelow(100) / 100))

    def renew(self, done: threading.Event) -> None:
        """Renew the lease until `done`; stop when another process has taken it."""
        while not done.wait(_RENEWED_EVERY_S) and self._version:
            try:
                self._write(self._version)
            except VersionChanged:
                self._version = ""
            except Exception:  # noqa: BLE001 - the server may be back for the next renewal
                continue

    def release(self) -> None:
        """Free the lease, unless another process has it; without the server it ends by itself."""
        if self._version:
            with contextlib.suppress(Exception):
                self._client.put(self._key, b"", self._version)

    def _read(self) -> tuple[bytes, str]:
        try:
            content, state = self._client.get(self._key, _MAX_BYTES)
        except FileNotFoundError:
            return b"", ABSENT
        return content, state.version

    def _write(self, expected: str) -> None:
        content = json.dumps({"holder": _process(), "random": secrets.token_hex(8)}).encode()
        asked_at = _now()
        self._client.put(self._key, content, expected)
        written, version = self._read()
        self._version = version if written == content else ""
        self._renewed_at = asked_at


def _now() -> float:
    """Return seconds of a clock that goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def _process() -> list[str | int | float]:
    """Return what identifies this process: machine since its start, name space of process ids, id, start time."""
    import psutil

    return [*_machine(), os.getpid(), psutil.Process().create_time()]


def _machine() -> tuple[str, str]:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
        return boot.strip(), str(Path("/proc/self/ns/pid").readlink())
    except OSError:  # another system
        return socket.gethostname(), ""


def _is_dead(content: bytes) -> bool:
    """Return whether the holder was a process of this machine that has ended."""
    import psutil

    try:
        boot, space, pid, started = json.loads(content)["holder"]
        if (boot, space) != _machine():
            return False
        return not psutil.pid_exists(pid) or psutil.Process(pid).create_time() != started
    except psutil.NoSuchProcess:
        return True
    except (ValueError, TypeError, KeyError, psutil.Error):
        return False
