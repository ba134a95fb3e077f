"""Stored survey: keeps the answers of a survey in PostgreSQL, so that the same command goes on after a kill.

    take the latest survey of this scope and model that has not ended and that nobody works on; else begin one
    yield its answers
    recognise the sources that have none; store each answer, and yield it
    note the end

Where two commands answer for a source, as after a lost connection, it has one row.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import timedelta

from data.entities import Stream
from data.errors import ToolkitError
from data.storage.surveys import SurveyRecord, SurveyRow, SurveyStore
from data.text import plural
from recognition.events import SourceFailed, VerdictReached, now
from recognition.sources import twitch_login
from recognition.stored_results import from_text, to_text

_KEPT = timedelta(days=7)  # an older survey is deleted; nobody goes on with it

Result = VerdictReached | SourceFailed
Source = str | Stream
Recognise = Callable[[Iterable[Source]], Generator[Result, None, None]]

log = logging.getLogger(__name__)


class StoredSurvey:
    """One survey and its rows. Not thread-safe. Every method raises CatalogUnavailable."""

    def __init__(self, store: SurveyStore, record: SurveyRecord) -> None:
        self._store, self._record = store, record

    def results(self, recognise: Recognise, sources: Iterable[Source]) -> Generator[Result, None, None]:
        """Yield the stored results, then one for each other source. `recognise` is a generator of results."""
        done: set[str] = set()
        for text in self._store.answers(self._record.id):
            try:
                result = from_text(text)
            except ValueError:  # somebody has edited it
                continue
            done.add(result.source)
            yield result
        if done:
            log.warning("%s of an earlier run: used again", plural(len(done), "answer"))
        with closing(recognise(source for source in sources if _name(source) not in done)) as found:
            for result in found:
                self._add(result)
                yield result
        self._store.finish(self._record.id, now())

    def _add(self, result: Result) -> None:
        key = json.dumps(result.source)[1:-1]  # ASCII: whatever a source is, PostgreSQL takes it
        row = SurveyRow(key, twitch_login(result.source), result.at, to_text(result))
        self._store.add(self._record.id, row)


@contextmanager
def open_stored_survey(store: SurveyStore, scope: str, model: str, window_s: float) -> Iterator[StoredSurvey]:
    """Yield the survey to go on with, or a new one. Raises CatalogUnavailable.

    scope: the same text for the same command. model: its hash. window_s: maximum age of a survey to go on with.
    """
    store.prepare()
    store.remove_surveys(now() - _KEPT)
    with ExitStack() as stack:
        window = timedelta(seconds=min(window_s, _KEPT.total_seconds()))
        record = _unfinished(store, scope, model, window, stack) or _begin(store, scope, model, stack)
        try:
            yield StoredSurvey(store, record)
        except (KeyboardInterrupt, ToolkitError):
            log.warning("The same command goes on with this survey until %s UTC.", f"{record.started + window:%H:%M}")
            raise


def _unfinished(store: SurveyStore, scope: str, model: str, window: timedelta, stack: ExitStack) -> SurveyRecord | None:
    """Return the latest survey to go on with, claimed; None without one."""
    for record in store.unfinished(scope, model, now() - window):
        if stack.enter_context(store.claimed(record.id)):
            log.warning("continuing the survey of %s UTC", f"{record.started:%Y-%m-%d %H:%M}")
            return record
    return None


def _begin(store: SurveyStore, scope: str, model: str, stack: ExitStack) -> SurveyRecord:
    record = SurveyRecord(store.new_id(), scope, model, now())
    stack.enter_context(store.claimed(record.id))  # before another process can find it
    store.begin(record)
    return record


def _name(source: Source) -> str:
    return source.login if isinstance(source, Stream) else source
