"""Stored survey: keeps the answers of a survey in PostgreSQL, so that the same command goes on after a kill.

    take the latest survey of this scope and model that has not ended and that nobody works on; else begin one
    yield its answers
    recognise the sources that have none; store the answers that come together, then yield them
    note the end

Where two commands answer for a source, as after a lost connection, it has one row.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import timedelta
from functools import partial

from data.entities import Stream
from data.errors import ToolkitError
from data.storage.run_store import RunRecord
from data.storage.surveys import SurveyRow, SurveyStore
from data.text import plural
from recognition.engine.survey import SurveyTask
from recognition.events import Result, now
from recognition.sources import twitch_login
from recognition.stored_results import from_text, to_text

_KEPT = timedelta(days=7)  # an older survey is deleted; nobody goes on with it

Survey = Callable[..., Generator[Result, None, None]]  # as SurveyPool.survey

log = logging.getLogger(__name__)


@contextmanager
def open_stored_survey(
    store: SurveyStore, scope: str, model: str, window_s: float
) -> Iterator[Callable[[Survey, Iterable[str | Stream]], Generator[Result, None, None]]]:
    """Continue a survey or begin one; yield the function that returns its results.

    The function and the block raise CatalogUnavailable.
    scope: the same text for the same command. model: its hash. window_s: maximum age of a survey to go on with.
    """
    store.prepare()
    store.remove_surveys(now() - _KEPT)
    window = timedelta(seconds=min(window_s, _KEPT.total_seconds()))
    with ExitStack() as stack:
        if record := store.unfinished(scope, model, now() - window, stack):
            log.warning("continuing the survey of %s UTC", f"{record.started:%Y-%m-%d %H:%M}")
        else:
            record = RunRecord(store.new_id(stack), scope, model, now())
            store.begin(record)
        try:
            yield partial(_results, store, record.id)
        except (KeyboardInterrupt, ToolkitError):
            log.warning("The same command goes on with this survey until %s UTC.", f"{record.started + window:%H:%M}")
            raise


def _results(
    store: SurveyStore, survey_id: int, survey: Survey, sources: Iterable[str | Stream]
) -> Generator[Result, None, None]:
    """Yield the stored results, then one for each other source."""
    done: set[str] = set()
    for text in store.answers(survey_id):
        try:
            result = from_text(text)
        except ValueError:  # it was edited: its source has no answer
            continue
        done.add(result.source)
        yield result
    if done:
        log.warning("%s of an earlier run: used again", plural(len(done), "answer"))
    others = (source for source in sources if SurveyTask(source).name not in done)
    with closing(survey(others, store=lambda results: store.add(survey_id, [*map(_to_row, results)]))) as found:
        yield from found
    store.finish(survey_id, now())


def _to_row(result: Result) -> SurveyRow:
    key = json.dumps(result.source)[1:-1]  # ASCII: whatever a source is, PostgreSQL takes it
    return SurveyRow(key, twitch_login(result.source), result.at, to_text(result))
