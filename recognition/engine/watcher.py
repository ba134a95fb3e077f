"""Watcher: a scheduler that polls many sources in a bounded number of threads.

    put each source into a delay queue
    until every source is finished (an endless watch goes on), or `stop` is set:
        take the next source that is due
        a thread polls it and puts its events into a bounded queue
        put it back, due after the pause that the poll returned, unless it was removed
    emit the verdicts of the streams that are still live

Sources may be added and removed meanwhile. A poll of a removed source ends at its next event, which nobody gets.
A poll takes about a tenth of a second every two seconds. All threads share one batcher (recognition.engine.batching).
A server that hangs blocks one thread until the deadline of its request; with at most as many sources as threads, it
delays no other source. At the end, such a poll is left alone after a second: its stream has the verdict so far.
"""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from data.errors import StopRequested, UnexpectedStreamError, translate_unexpected
from recognition.engine.due_queue import DelayQueue
from recognition.engine.watched_stream import StreamState, WatchedStream
from recognition.events import Event

MAX_THREADS = 64
_MAX_PENDING_EVENTS = 1000  # when nobody consumes them, polls block
_STOP_CHECK_S = 0.2
_STOP_WAIT_S = 1.0  # for polls that are going on when the watch is stopped
_STAGGER_S = 0.02  # between the first polls of two sources


class WatchReport(NamedTuple):
    """An event, the stream that it is from, and the stream's state right after it."""

    stream: WatchedStream
    event: Event
    state: StreamState


class Watcher:
    """Polls sources until all are finished or `stop` is set. `add` and `remove` are thread-safe.

    A caller iterates over `events`; or it calls `start`, `next_report` until there is no more, and `close`.
    """

    def __init__(
        self,
        watched: Iterable[WatchedStream],
        stop: threading.Event,
        max_threads: int = MAX_THREADS,
        *,
        new_stream: Callable[..., WatchedStream] | None = None,
        endless: bool = False,
    ) -> None:
        """Start nothing yet. `stop` is also set by the watcher itself, when it ends.

        new_stream: returns the state machine of a source and, as `state`, of the state that `add` gets.
        endless: go on without sources until `stop` is set.
        """
        self._stop, self._max_threads, self._new_stream, self._endless = stop, max_threads, new_stream, endless
        self._lock = threading.Lock()  # guards the next four
        self._watched: dict[WatchedStream, None] = {}  # those not finished, in the order of the sources
        self._due: DelayQueue[WatchedStream] = DelayQueue()
        self._next_start = 0.0  # of a source that is added, on the monotonic clock
        self._polls: dict[WatchedStream, Future[None]] = {}  # those going on, also of removed streams
        self._reports: queue.Queue[WatchReport] = queue.Queue(_MAX_PENDING_EVENTS)
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._running = True
        self._error: BaseException | None = None
        for stream in watched:
            self._put(stream)

    def add(self, source: str, state: StreamState | None = None) -> WatchedStream:
        """Watch another source from now on; return its state machine, which `remove` takes.

        state: of the watcher, in another process, that had the source before.
        """
        assert self._new_stream
        stream = self._new_stream(source, state=state)
        self._put(stream)
        return stream

    def remove(self, stream: WatchedStream) -> None:
        """Stop to watch a source, without a verdict. Nothing happens if the stream is finished."""
        with self._lock:
            stream.removed = True
            self._due.discard(stream)
            self._drop(stream)

    def _put(self, stream: WatchedStream) -> None:
        with self._lock:
            now = time.monotonic()
            latest = now + _STAGGER_S * len(self._watched)  # those before it may have been removed
            self._watched[stream] = None
            self._due.put(stream, at := max(now, min(self._next_start, latest)))
            self._next_start = at + _STAGGER_S

    def _drop(self, stream: WatchedStream) -> None:
        self._watched.pop(stream, None)
        self._close_if_done()

    def _close_if_done(self) -> None:
        if not self._watched and not self._endless:
            self._due.close()

    def events(self) -> Generator[Event, None, None]:
        """Yield events as they happen; at the end, a verdict for each stream that is still live.

        Closing the generator stops all polls. Raises the first error of a poll that is not a StreamError.
        """
        self.start()
        try:
            while report := self.next_report():
                yield report.event
        finally:
            self.close()
        self.raise_error()

    def start(self) -> None:
        """Start to poll."""
        self._thread.start()

    def next_report(self, timeout_s: float = math.inf) -> WatchReport | None:
        """Wait for the next event, up to `timeout_s` seconds; None if none has come, and after the last one."""
        end = time.monotonic() + timeout_s
        while self._running or not self._reports.empty():
            if self._stop.is_set():
                self._due.close()
            left_s = end - time.monotonic()
            try:
                report = self._reports.get(timeout=max(0.0, min(left_s, _STOP_CHECK_S)))
            except queue.Empty:
                if left_s <= 0:
                    break
            else:
                if not report.stream.removed:
                    return report
        return None

    def has(self, stream: WatchedStream) -> bool:
        """Return whether the stream is watched, or was removed while a poll of it was going on that still is.

        Once it is not, all of its events have been put into the queue.
        """
        with self._lock:
            return stream in self._watched or stream in self._polls

    def close(self) -> None:
        """Stop all polls, discard the events that are left, and wait until the threads have ended. Thread-safe."""
        self._stop.set()
        while self._thread.is_alive():  # discard events, or threads that still emit would block
            self.next_report()

    def raise_error(self) -> None:
        """Raise the first error of a poll that is not a StreamError, if there is one: it has ended the watch."""
        if self._error:
            raise self._error

    def _run(self) -> None:
        with self._lock:
            self._close_if_done()
        pool = ThreadPoolExecutor(self._max_threads, thread_name_prefix="watch")  # starts a thread if none is idle
        for due, stream in self._due:
            with self._lock:
                if stream in self._watched:
                    self._polls[stream] = pool.submit(self._poll, due, stream)
        pool.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            polls = [poll for poll in self._polls.values() if not poll.cancelled()]
        _, hanging = wait(polls, timeout=_STOP_WAIT_S)
        with self._lock:
            live = tuple(self._watched)
        for stream in live:
            # A poll that still waits for its server may wake up just now.
            with suppress(UnexpectedStreamError, StopRequested), translate_unexpected(stream.source):
                stream.close(partial(self._emit, stream))
        self._running = False
        pool.shutdown(wait=not hanging)

    def _emit(self, stream: WatchedStream, event: Event) -> None:
        """Put the event into the queue; wait while it is full, unless nobody reads it any more.

        Raises StopRequested, which ends the poll, for a stream that was removed.
        """
        report = WatchReport(stream, event, stream.state)
        while self._running:
            if stream.removed:
                raise StopRequested
            with suppress(queue.Full):
                self._reports.put(report, timeout=_STOP_CHECK_S)
                return

    def _poll(self, due: float, stream: WatchedStream) -> None:
        """Poll a source that was due at `due`, and schedule its next poll.

        The next poll is relative to `due`, not to now: sources that were delayed together would stay in step for ever.
        """
        pause_s: float | None = None
        try:
            if not stream.removed:
                pause_s = stream.poll(partial(self._emit, stream), self._stop)
        except BaseException as error:  # noqa: BLE001 - raised again by `events`
            if stream in self._watched:
                self._error = self._error or error
                self._stop.set()
        with self._lock:
            self._polls.pop(stream, None)
            if stream.finished:
                self._drop(stream)
            elif pause_s is not None and stream in self._watched:
                self._due.put(stream, max(due + pause_s, time.monotonic()))
