"""Survey: classify many sources concurrently, one result each.

    for each source, as soon as the pool has a free slot:
        submit a task to the pool of threads or nodes:
            take a work slot                        (given up while the stream shows an ad)
            take frames and classify them           (recognition.engine.single_source)
            the result is a verdict or a failure
        store the results that are finished, if they are kept, and yield them
    yield the remaining results

All threads of a process share one batcher. The number of sources is unlimited, because only those in flight are in
memory. A source that fails does not affect the others.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from data.entities import Stream
from data.errors import (
    DirectoryError,
    StopRequested,
    StreamError,
    StreamUnavailable,
    ToolkitError,
    UnexpectedStreamError,
    WorkerLost,
    translate_unexpected,
)
from data.pool.pool import Finished, Pool
from data.pool.threads import ThreadPool
from recognition.events import FrameClassified, Result, SourceFailed, VerdictReached, now
from recognition.sources import twitch_login

_THREADS_PER_SLOT = 8  # up to seven of eight threads may be waiting for an ad
_MAX_THREADS = 256
PREVIEW_CONFIDENCE = 0.9  # minimum confidence of a verdict from a preview image, unless the user sets another one

Store = Callable[[list[Result]], object]
_Events = Iterator[FrameClassified | VerdictReached]


@dataclass(frozen=True, slots=True)
class SurveyTask:
    """A source to recognise; a Stream is an item of a Helix listing. The other fields are as in Recognizer.survey."""

    source: str | Stream
    max_frames: int | None = None
    certainty: float = 1.0
    preview: bool = False

    @property
    def name(self) -> str:
        """Return the source as text."""
        return self.source.login if isinstance(self.source, Stream) else self.source


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


class SurveyWorker:
    """Recognises the source of a task. Any number of threads may call it; as many as there are slots work at once."""

    def __init__(
        self,
        recognise: Callable[..., _Events],
        recognise_preview: Callable[[str], _Events],
        slots: WorkSlots,
    ) -> None:
        """Both are thread-safe, yield a source's frames, then its verdict, and raise StreamError.

        recognise: takes a source, and max_frames and certainty by name. recognise_preview: takes a login.
        """
        self._recognise, self._recognise_preview = recognise, recognise_preview
        self._slots = slots
        self._stop = threading.Event()

    def __call__(self, task: SurveyTask) -> Result:
        """Return the result of a source. Raises ModelError, and StopRequested after `stop`."""
        name = task.name
        with self._slots:
            try:
                with translate_unexpected(name):
                    events = self._events(task)
                    while not self._stop.is_set():
                        if isinstance(event := next(events), VerdictReached):
                            return replace(event, category=getattr(task.source, "category", None))
                    del events  # closes it: the exception below would keep its connections until a garbage collection
            except StreamError as error:
                return SourceFailed(name, now(), error)
        raise StopRequested

    def stop(self) -> None:
        """End all sources at their next frame."""
        self._stop.set()

    def pool(self) -> ThreadPool[SurveyTask, Result]:
        """Return a pool whose threads do tasks with this worker."""
        slots = self._slots.count
        # Without grace: the recogniser's `close` ends waits for ads, and a thread that reads may take its time.
        return ThreadPool(self, threads_for(slots), queued=slots, stop=self.stop, grace_s=0)

    def _events(self, task: SurveyTask) -> _Events:
        recognise = partial(self._recognise, max_frames=task.max_frames, certainty=task.certainty)
        return preview_first(self._recognise_preview, recognise, task.name) if task.preview else recognise(task.name)


def threads_for(slots: int) -> int:
    """Return how many threads a worker with these slots needs."""
    return min(_THREADS_PER_SLOT * slots, max(slots, _MAX_THREADS))


def results(
    pool: Pool[SurveyTask, Result],
    tasks: Iterable[SurveyTask],
    *,
    retry: bool = False,
    store: Store | None = None,
) -> Generator[Result, None, None]:
    """Yield one result for each task, in the order in which they finish.

    Tasks are drawn lazily. A DirectoryError of `tasks` is raised after the results of the tasks before it.
    retry: once more after a failure that may be that of the node; not of the stream. store: gets those results that
    have come together, before they are yielded.
    """
    finish = partial(_finished, pool, set() if retry else None, store)
    failure: DirectoryError | None = None
    remaining = iter(tasks)
    try:
        while True:
            while pool.free_slots <= 0:
                yield from finish(None)
            if (task := next(remaining, None)) is None:
                break
            pool.submit(task)
            yield from finish(0)
    except DirectoryError as error:  # the listing failed: finish what is in flight first
        failure = error
    while pool:
        yield from finish(None)
    if failure:
        raise failure


def _finished(
    pool: Pool[SurveyTask, Result],
    retried: set[SurveyTask] | None,
    store: Store | None,
    timeout_s: float | None,
) -> Iterator[Result]:
    """Wait until tasks have ended; submit some once more, store and yield the results of the others.

    An error that concerns all tasks is raised after the results that came with it.
    """
    done = []
    error: ToolkitError | None = None
    for ended in pool.finished(timeout_s):
        try:
            result = _result_of(ended)
        except ToolkitError as raised:
            error = raised
            continue
        if retried is not None and ended.task not in retried and ended.error is None and _may_be_the_nodes(result):
            retried.add(ended.task)
            pool.submit(ended.task, avoid=ended.node)
        else:
            done.append(result)
    if done and store:
        store(done)
    yield from done
    if error:
        raise error


def _may_be_the_nodes(result: Result) -> bool:
    """Return whether a node whose network is down may have caused the failure: another one may do better."""
    return isinstance(result, SourceFailed) and isinstance(result.error, StreamUnavailable | UnexpectedStreamError)


def _result_of(ended: Finished[SurveyTask, Result]) -> Result:
    """Return the result of a task; a lost worker is a failure of its source. Raises errors that concern all tasks."""
    if isinstance(ended.error, WorkerLost):
        name = ended.task.name
        return SourceFailed(name, now(), UnexpectedStreamError(f"{name}: {ended.error}"))
    return ended.value()


def preview_first(
    recognise_preview: Callable[[str], _Events], recognise: Callable[[str], _Events], source: str
) -> _Events:
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
