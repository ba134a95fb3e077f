"""Worker host: the class of the actors. It holds one worker, and ends its process when the coordinator is out of reach.

The coordinator counts a worker as lost LOST_S seconds after a question without an answer; then it gives the work to
others. The worker must have ended by then. So its lease is shorter, and begins at the last answer that has arrived: the
coordinator's next question proves that. Delays in the network never extend the lease; only the rates of the two clocks
must agree.
"""

from __future__ import annotations

import logging
import os
import pickle
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from data.errors import ClusterError, ToolkitError
from data.pool.checks import other_versions, versions
from data.text import redacted
from data.threads import start_thread

LOST_S = 10.0  # after a question without an answer
_LEASE_FRACTION, _POLL_FRACTION = 0.8, 0.2  # of that time: the lease; the longest exchange without replies
GATHER_S = 0.1  # that an answer waits for more replies: a call and the next message cost the coordinator 2 ms
_SLICE_S = 0.05  # that a message waits for the worker
_TICK_S = 0.25
_MAX_TEXT = 500
_MAX_ANSWER_BYTES = 64_000  # Ray sends up to 100 kB with the answer itself, more through the object store

log = logging.getLogger(__name__)


class Worker(Protocol):
    """What runs in an actor. Only one thread calls it at a time, except `close`."""

    def exchange(self, messages: list[Any], timeout_s: float) -> list[Any]:
        """Take messages; wait up to `timeout_s` seconds for replies; return those since the last call."""

    def close(self) -> None:
        """End what runs."""


def portable(error: ToolkitError) -> ToolkitError:
    """Return the error, or one of its base class that can be pickled, without its traceback and causes."""
    with suppress(Exception):  # whatever a class does when it is pickled
        copy = pickle.loads(pickle.dumps(error))
        if type(copy) is type(error) and str(copy) == str(error):
            return copy
    base = next(kind for kind in type(error).__mro__ if kind.__module__ == ToolkitError.__module__)
    return base(str(error))


class WorkerHost:
    """Actor: the coordinator calls `start` first, then `exchange` again and again; `deliver` and `close` meanwhile."""

    def __init__(self) -> None:
        self._worker: Worker | None = None
        self._inbox: deque[bytes] = deque()
        self._replies: deque[bytes] = deque()
        self._answered_at = 0.0  # monotonic seconds of the last answer, which may not have arrived
        self._lease_s = self._poll_s = self._gather_s = self._lease_end = 0.0

    def run(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        """Call a function before the start: a check of this node."""
        return function(*arguments)

    def start(
        self, make_worker: Callable[[], Worker], own: dict[str, str], lost_s: float, gather_s: float = GATHER_S
    ) -> ToolkitError | None:
        """Create the worker; return the error if it cannot be created.

        own: the coordinator's versions. lost_s, gather_s: as LOST_S and GATHER_S.
        """
        _log_to_stderr()
        if lines := other_versions(versions(), own):  # this node may have joined after the checks
            return ClusterError("; ".join(lines))
        try:
            self._worker = make_worker()
        except ToolkitError as error:
            return portable(error)
        except Exception as error:
            log.exception("the worker cannot be created")
            return ClusterError(f"the worker cannot be created: {type(error).__name__}: {error}"[:_MAX_TEXT])
        self._lease_s, self._poll_s, self._gather_s = _LEASE_FRACTION * lost_s, _POLL_FRACTION * lost_s, gather_s
        self._answered_at = time.monotonic()
        self._renew_lease()
        start_thread(self._watch_lease, "lease")
        return None

    def deliver(self, messages: list[bytes]) -> None:
        """Take pickled messages for the worker."""
        self._inbox.extend(messages)

    def exchange(self, wanted: bool) -> list[bytes]:
        """Return pickled replies a moment after the first; none after a fifth of LOST_S, or if not `wanted`."""
        assert self._worker  # the coordinator calls `start` first
        self._renew_lease()
        if wanted:
            self._gather(self._worker, time.monotonic() + self._poll_s)
        else:
            time.sleep(self._poll_s)
        answer = self._take_replies() if wanted else []
        self._answered_at = time.monotonic()
        return answer

    def close(self) -> None:
        """End the worker. The coordinator kills the process next."""
        if self._worker:
            self._worker.close()

    def _gather(self, worker: Worker, end: float) -> None:
        """Wait for replies until `end`; after the first, for others until an answer is full, or for a moment."""
        while time.monotonic() < end and sum(map(len, self._replies)) < _MAX_ANSWER_BYTES:
            messages = [pickle.loads(self._inbox.popleft()) for _ in range(len(self._inbox))]
            self._replies.extend(pickle.dumps(reply) for reply in worker.exchange(messages, _SLICE_S))
            if self._replies:
                end = min(end, time.monotonic() + self._gather_s)

    def _take_replies(self) -> list[bytes]:
        taken: list[bytes] = []
        size = 0
        while self._replies and (not taken or size + len(self._replies[0]) <= _MAX_ANSWER_BYTES):
            taken.append(self._replies.popleft())
            size += len(taken[-1])
        return taken

    def _renew_lease(self) -> None:
        self._lease_end = self._answered_at + self._lease_s

    def _watch_lease(self) -> None:
        while time.monotonic() < self._lease_end:
            time.sleep(_TICK_S)
        os._exit(1)  # nothing less ends threads that wait for a server or a file


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record))


def _log_to_stderr() -> None:
    """Log warnings, without secrets, to the file that Ray keeps for each process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
