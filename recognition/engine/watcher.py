"""Watcher: a scheduler that polls many sources in a bounded number of threads.

    put each source into a delay queue
    until every source is finished, or `stop` is set:
        take the next source that is due
        a thread polls it and puts its events into a bounded queue
        put it back, due after the pause that the poll returned
    emit the verdicts of the streams that are still live

A poll takes about a tenth of a second every two seconds. All threads share one batcher (recognition.engine.batching).
A server that hangs blocks one thread until the deadline of its request; with at most as many sources as threads, it
delays no other source. At the end, such a poll is left alone after a second: its stream has the verdict so far.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress

from data.errors import UnexpectedStreamError, translate_unexpected
from recognition.engine.due_queue import DelayQueue
from recognition.engine.watched_stream import WatchedStream
from recognition.events import Event

MAX_THREADS = 64
_MAX_PENDING_EVENTS = 1000  # when nobody consumes them, polls block
_STOP_CHECK_S = 0.2
_STOP_WAIT_S = 1.0  # for polls that are going on when the watch is stopped
_STAGGER_S = 0.02  # between the first polls of two sources


class Watcher:
    """Polls sources until all are finished or `stop` is set."""

    def __init__(self, watched: Sequence[WatchedStream], stop: threading.Event, max_threads: int = MAX_THREADS) -> None:
        """Start nothing yet. `stop` is also set by the watcher itself, when it ends."""
        self._watched = tuple(watched)
        self._stop = stop
        self._threads = max(1, min(max_threads, len(self._watched)))
        self._due: DelayQueue[WatchedStream] = DelayQueue()
        self._events: queue.Queue[Event] = queue.Queue(_MAX_PENDING_EVENTS)
        self._running = True
        self._error: BaseException | None = None

    def events(self) -> Generator[Event, None, None]:
        """Yield events as they happen; at the end, a verdict for each stream that is still live.

        Closing the generator stops all polls. Raises the first error of a poll that is not a StreamError.
        """
        thread = threading.Thread(target=self._run, name="watch", daemon=True)
        thread.start()
        try:
            while event := self._next_event():
                yield event
        finally:
            self._stop.set()
            while thread.is_alive():  # discard events, or threads that still emit would block
                self._next_event()
        if self._error:
            raise self._error

    def _next_event(self) -> Event | None:
        """Wait for the next event; None after the last one."""
        while self._running or not self._events.empty():
            if self._stop.is_set():
                self._due.close()
            with suppress(queue.Empty):
                return self._events.get(timeout=_STOP_CHECK_S)
        return None

    def _run(self) -> None:
        start = time.monotonic()
        for index, watched in enumerate(self._watched):
            self._due.put(watched, start + index * _STAGGER_S)
        if not self._watched:
            self._due.close()
        pool = ThreadPoolExecutor(self._threads, thread_name_prefix="watch")
        polls: dict[WatchedStream, Future[None]] = {}  # the latest of each source
        for due, watched in self._due:
            polls[watched] = pool.submit(self._poll, due, watched)
        pool.shutdown(wait=False, cancel_futures=True)
        _, hanging = wait([poll for poll in polls.values() if not poll.cancelled()], timeout=_STOP_WAIT_S)
        for watched in self._watched:
            # A poll that still waits for its server may wake up just now.
            with suppress(UnexpectedStreamError), translate_unexpected(watched.source):
                watched.close(self._emit)
        self._running = False
        pool.shutdown(wait=not hanging)

    def _emit(self, event: Event) -> None:
        """Put the event into the queue; wait while it is full, unless nobody reads it any more."""
        while self._running:
            with suppress(queue.Full):
                self._events.put(event, timeout=_STOP_CHECK_S)
                return

    def _poll(self, due: float, watched: WatchedStream) -> None:
        """Poll a source that was due at `due`, and schedule its next poll.

        The next poll is relative to `due`, not to now: sources that were delayed together would stay in step for ever.
        """
        try:
            pause_s = watched.poll(self._emit, self._stop)
        except BaseException as error:  # noqa: BLE001 - raised again by `events`
            self._error = self._error or error
            self._stop.set()
            return
        if not watched.finished:
            self._due.put(watched, max(due + pause_s, time.monotonic()))
        elif all(watched.finished for watched in self._watched):
            self._due.close()
