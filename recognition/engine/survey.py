"""Survey: classify many sources concurrently, one result each.

    for each source, as soon as fewer than a maximum are in flight:
        start a thread's task:
            take a work slot                        (given up while the stream shows an ad)
            take frames and classify them           (recognition.engine.single_source)
            the result is a verdict or a failure
        yield the results that are finished
    yield the remaining results

All threads share one batcher. The number of sources is unlimited, because only those in flight are in memory. A source
that fails does not affect the others.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, suppress
from dataclasses import replace

from data.entities import Stream
from data.errors import DirectoryError, StreamError, translate_unexpected
from recognition.events import FrameClassified, SourceFailed, VerdictReached, now
from recognition.sources import twitch_login

_THREADS_PER_SLOT = 8  # up to seven of eight threads may be waiting for an ad
_MAX_THREADS = 256
PREVIEW_CONFIDENCE = 0.9  # minimum confidence of a verdict from a preview image, unless the user sets another one

Result = VerdictReached | SourceFailed
_Recognise = Callable[[str], Iterator[FrameClassified | VerdictReached]]


class WorkSlots:
    """A semaphore whose holders give up their slot while they wait: at most `count` of them work at once."""

    def __init__(self, count: int, wait: Callable[[float], object]) -> None:
        """`wait(seconds)` waits, such as `threading.Event.wait`; its return value is passed on."""
        self.count = count
        self._free = threading.Semaphore(count)
        self._wait = wait

    def __enter__(self) -> None:
        self._free.acquire()

    def __exit__(self, *_: object) -> None:
        self._free.release()

    def wait(self, seconds: float) -> object:
        """Free the slot, wait, and take a slot again. Any thread that works for the slot's holder may call this."""
        self._free.release()
        try:
            return self._wait(seconds)
        finally:
            self._free.acquire()


class Survey:
    """Classifies sources concurrently, in threads of its own."""

    def __init__(self, recognise: _Recognise, slots: WorkSlots) -> None:
        """Start nothing yet. Each source takes one of the slots.

        recognise: yields one source's frames, then its verdict; thread-safe; raises StreamError.
        """
        self._recognise = recognise
        self._slots = slots
        self._threads = min(_THREADS_PER_SLOT * slots.count, max(slots.count, _MAX_THREADS))
        self._max_pending = self._threads + slots.count
        self._stop = threading.Event()

    def results(self, sources: Iterable[str | Stream]) -> Generator[Result, None, None]:
        """Yield one result for each source, in the order in which they finish.

        Sources are drawn lazily. A Stream has the category that Helix lists; its result gets it. A DirectoryError of
        `sources` is raised after the results of the sources before it. Closing the generator stops all sources at
        their next frame.
        """
        in_flight: set[Future[Result]] = set()
        failure: DirectoryError | None = None
        with ExitStack() as stack:
            pool = ThreadPoolExecutor(self._threads, thread_name_prefix="survey")
            stack.callback(
                pool.shutdown, wait=False, cancel_futures=True
            )  # the recogniser's `close` ends waits for ads
            stack.callback(self._stop.set)
            try:
                for source in sources:
                    in_flight.add(pool.submit(self._result, source))
                    if len(in_flight) >= self._max_pending:
                        done, in_flight = wait(in_flight, return_when=FIRST_COMPLETED)
                        yield from (future.result() for future in done)
            except DirectoryError as error:  # the listing failed: finish what is in flight first
                failure = error
            while in_flight:
                done, in_flight = wait(in_flight, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        if failure:
            raise failure

    def _result(self, source: str | Stream) -> Result:
        name, category = (source.login, source.category) if isinstance(source, Stream) else (source, None)
        with self._slots:
            try:
                with translate_unexpected(name):
                    events = self._recognise(name)
                    while not self._stop.is_set():
                        if isinstance(event := next(events), VerdictReached):
                            return replace(event, category=category)
            except StreamError as error:
                return SourceFailed(name, now(), error)
        raise CancelledError  # the survey was closed before the verdict


def preview_first(
    recognise_preview: _Recognise, recognise: _Recognise, source: str
) -> Iterator[FrameClassified | VerdictReached]:
    """Yield the verdict of a login's preview image if it is known, else the events of the stream itself.

    The image must be a known frame too: one frame is little evidence for a stream.
    """
    if login := twitch_login(source):
        # Without a preview the stream may be live nevertheless: it may have begun a moment ago.
        with suppress(StreamError):
            for event in recognise_preview(login):
                if isinstance(event, VerdictReached) and event.verdict.known and not event.verdict.unknown_frames:
                    yield replace(event, source=source, from_preview=True)
                    return
    yield from recognise(source)
