"""Lease: the lock of a folder of an object store, an object `.locks/<folder>` that its holder renews.

    not there, or empty      free: the first to replace this version has the lease
    otherwise                its holder, who replaces it every few seconds; a version that stays is that of a dead one

Nobody compares clocks: each waiting process measures with its own how long a version stays. A dead process of the same
machine is noticed at once. A process that is stopped for longer than a lease goes on without it when it wakes up, so
leases only save work: the steps below them may be done by two processes.
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
from pathlib import Path

from data.storage.object_client import ABSENT, ObjectClient, VersionChanged

LOCKS_FOLDER = ".locks"
_LEASE_S = 20.0
_RENEWED_EVERY_S = 4.0
_POLL_S = 0.2
_MAX_BYTES = 1000


class LeaseHeldError(TimeoutError):
    """Another process had the lease all the time."""


@contextlib.contextmanager
def lease(client: ObjectClient, folder: str, timeout_s: float = math.inf) -> Iterator[None]:
    """Hold the lease of a folder; wait for it first. Raises LeaseHeldError, the client's errors."""
    held = _Lease(client, f"{LOCKS_FOLDER}/{folder.replace('/', '_') or 'root'}")
    held.acquire(timeout_s)
    done = threading.Event()
    renewal = threading.Thread(target=held.renew, args=(done,), name="lease", daemon=True)
    renewal.start()
    try:
        yield
    finally:
        done.set()
        renewal.join()
        held.release()


class _Lease:
    def __init__(self, client: ObjectClient, key: str) -> None:
        self._client = client
        self._key = key
        self._version = ""  # of the object, as this process wrote it; "" when it is lost

    def acquire(self, timeout_s: float) -> None:
        """Wait until the lease is free, or its holder dead, and take it."""
        end = time.monotonic() + timeout_s
        seen, since = "", time.monotonic()
        while True:
            content, version = self._read()
            if version != seen:
                seen, since = version, time.monotonic()
            if not content or time.monotonic() - since > _LEASE_S or _is_dead(content):
                with contextlib.suppress(FileExistsError, VersionChanged):
                    self._write(version)
                    return
            if time.monotonic() > end:
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
        self._client.put(self._key, content, expected)
        written, version = self._read()
        self._version = version if written == content else ""


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
