"""Many sources watched side by side, by a bounded number of threads.

A stream is looked at every two seconds, for a tenth of a second: so its watching is a row of turns, which threads take
as they come due. The pictures of all are judged by as many threads as there are cores (recognition.engine.batching). A server
that hangs holds up the threads that wait for it, until their requests' deadlines; with no more sources than threads it
holds up no other.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from recognition.engine.batching import Batched
from recognition.engine.due_queue import Rota
from recognition.engine.watched_stream import Watched
from recognition.events import Event
from recognition.sources import source as named

if TYPE_CHECKING:
    from recognition.recognizer import Recognizer

AT_ONCE = 64  # threads at most
_EVENTS = 1000  # that nobody has taken yet; who sees more waits
_POLL_S = 0.2  # in which a stop is noticed
_APART_S = 0.02  # sources begin one after the other


class Watch:
    """Gives turns to what is watched, until all of it is over, or until `stop` is set."""

    def __init__(self, watched: Sequence[Watched], stop: threading.Event, at_once: int = AT_ONCE) -> None:
        """`at_once`: threads, of which no more than one works for a source."""
        self._watched = tuple(watched)
        self._stop = stop
        self._at_once = max(1, min(at_once, len(self._watched)))
        self._rota: Rota[Watched] = Rota()
        self._events: queue.Queue[Event] = queue.Queue(_EVENTS)
        self._left = len(self._watched)
        self._lock = threading.Lock()
        self._running = True
        self._broken: BaseException | None = None

    def events(self) -> Generator[Event, None, None]:
        """What happens, as it happens; in the end a verdict on each stream that was still on.

        Leaving the iterator early ends all turns. Raises what a turn did, other than a StreamError.
        """
        thread = threading.Thread(target=self._run, name="watch", daemon=True)
        thread.start()
        try:
            while event := self._next():
                yield event
        finally:
            self._stop.set()
            while thread.is_alive():  # what nobody wants any more makes room for what is still told
                self._next()
        if self._broken:
            raise self._broken

    def _next(self) -> Event | None:
        """The next event, when there is one; None: there are no more."""
        while self._running or not self._events.empty():
            if self._stop.is_set():
                self._rota.close()
            with suppress(queue.Empty):
                return self._events.get(timeout=_POLL_S)
        return None

    def _run(self) -> None:
        start = time.monotonic()
        for index, watched in enumerate(self._watched):
            self._rota.put(watched, start + index * _APART_S)
        if not self._watched:
            self._rota.close()
        with ThreadPoolExecutor(self._at_once, thread_name_prefix="watch") as pool:
            for due, watched in self._rota:
                pool.submit(self._turn, due, watched)
        for watched in self._watched:
            watched.close(self._events.put)
        self._running = False

    def _turn(self, due: float, watched: Watched) -> None:
        """One turn, which was due at this time; the next one follows from that, not from when there was time for it.

        Otherwise all that were held up together would be due together for ever.
        """
        try:
            pause_s = watched.turn(self._events.put, self._stop)
        except BaseException as error:  # noqa: BLE001 - raised by `events`
            self._broken = self._broken or error
            self._stop.set()
            return
        if not watched.over:
            self._rota.put(watched, max(due + pause_s, time.monotonic()))
            return
        with self._lock:
            self._left -= 1
            if not self._left:
                self._rota.close()


def watch(
    recognizer: Recognizer, sources: Iterable[str], *, wait: bool, stop: threading.Event
) -> Generator[Event, None, None]:
    """`recognition.recognizer.Recognizer.watch`. Raises ModelError."""
    with ExitStack() as stack:
        batched = Batched(recognizer.classifier, stack.enter_context(recognizer.batcher()))
        watched = [
            Watched(source, recognizer.grabber.tail, batched, recognizer.jury, wait=wait)
            for source in dict.fromkeys(map(named, sources))
        ]
        yield from Watch(watched, stop).events()
