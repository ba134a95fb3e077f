"""A survey: many sources looked at side by side, one answer each.

Threads take frames, a few others judge those of all (recognition.engine.batching). A stream that shows an ad is waited for,
and another takes its place meanwhile. No more sources are in the making than there are threads and places, so their
number does not matter; nor does a source that fails.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from data import factories
from data.entities import Stream
from data.errors import DirectoryError, StreamError
from recognition.engine.batching import Batched
from recognition.engine.slots import Places
from recognition.events import VerdictReached, SourceFailed, FrameClassified, now
from recognition.sources import login_of

if TYPE_CHECKING:
    from recognition.recognizer import Recognizer

_CROWD, _MOST_THREADS = 8, 256  # threads for each place: most of them wait for an ad's end; and at most
SURE = 0.9  # how confident an answer by a preview must be, where nothing more is asked for

Result = VerdictReached | SourceFailed
_Look = Callable[[str], Iterable[FrameClassified | VerdictReached]]  # at one source: its frames, then its verdict


class Ended(Exception):
    """The survey is over; raised in its threads alone."""


class Survey:
    """Looks at sources side by side. `look` may be called by several threads at once; raises StreamError.

    `places`: what each look takes one of; `at_once`: how many there are.
    """

    def __init__(self, look: _Look, places: Places, at_once: int) -> None:
        self._look = look
        self._places = places
        self._threads = min(_CROWD * at_once, max(at_once, _MOST_THREADS))
        self._most = self._threads + at_once
        self._over = threading.Event()

    def results(self, sources: Iterable[str | Stream]) -> Generator[Result, None, None]:
        """One for each source, as soon as it is there; for a Stream as Helix lists it, its category beside the answer.

        Sources are drawn as they are needed; a DirectoryError of theirs is raised in the end. Leaving the iterator early
        ends those in the making at their next frame.
        """
        pool = ThreadPoolExecutor(self._threads, thread_name_prefix="survey")
        try:
            yield from self._side_by_side(pool, sources)
        finally:
            self._over.set()
            pool.shutdown(wait=False, cancel_futures=True)  # who waits for an ad's end is told so by the recogniser

    def _side_by_side(self, pool: ThreadPoolExecutor, sources: Iterable[str | Stream]) -> Iterator[Result]:
        flying: set[Future[Result]] = set()
        failure: DirectoryError | None = None
        try:
            for source in sources:
                flying.add(pool.submit(self._result, source))
                if len(flying) >= self._most:
                    done, flying = wait(flying, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
        except DirectoryError as error:  # the listing broke off: what is in the making comes first
            failure = error
        while flying:
            done, flying = wait(flying, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)
        if failure:
            raise failure

    def _result(self, source: str | Stream) -> Result:
        name, category = (source.login, source.category) if isinstance(source, Stream) else (source, None)
        with self._places:
            try:
                answered = self._answered(name)
            except StreamError as error:
                return SourceFailed(name, now(), error)
        return replace(answered, category=category or answered.category)

    def _answered(self, source: str) -> VerdictReached:
        last: FrameClassified | VerdictReached | None = None
        if not self._over.is_set():
            for event in self._look(source):
                last = event
                if self._over.is_set():
                    break
        if not isinstance(last, VerdictReached):
            raise Ended
        return last


def survey(
    recognizer: Recognizer,
    sources: Iterable[str | Stream],
    *,
    at_most: int | None,
    sure: float,
    preview: bool,
    at_once: int,
) -> Generator[Result, None, None]:
    """`recognition.recognizer.Recognizer.survey`. Raises ModelError."""
    with ExitStack() as stack:
        batched = Batched(recognizer.classifier, stack.enter_context(recognizer.batcher()))
        places = Places(at_once, recognizer.over.wait)
        frames = partial(recognizer.grabber.frames, sleep=places.wait)
        look = partial(recognizer.judging_by(batched, frames).events, at_most=at_most, sure=sure)
        if preview:
            previews = stack.enter_context(factories.previews(recognizer.settings))
            glance = recognizer.judging_by(batched, lambda login, *_: iter([previews.frame(login)]), SURE).events
            look = partial(_glance_first, glance, look)
        yield from Survey(look, places, at_once).results(sources)


def _glance_first(glance: _Look, look: _Look, source: str) -> Iterator[FrameClassified | VerdictReached]:
    """What a login's preview shows; what the stream itself does where that says nothing, or leaves doubt."""
    if login := login_of(source):
        with suppress(StreamError):  # no preview: the stream may have one nevertheless, or has just begun
            for event in glance(login):
                if isinstance(event, VerdictReached) and event.verdict.known:
                    yield replace(event, source=source, preview=True)
                    return
    yield from look(source)
