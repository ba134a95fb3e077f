"""recognition.cluster.stored_survey: a survey whose answers are in a real PostgreSQL goes on after it was cut off."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import replace
from datetime import timedelta
from itertools import islice

import numpy as np
import pytest
from sqlalchemy import text

from data.entities import Game, Stream
from data.errors import CatalogUnavailable, StreamOffline
from data.storage.run_store import RunRecord
from data.storage.surveys import SurveyRow, SurveyStore
from data.storage.transactions import Transactions
from recognition.cluster.stored_survey import open_stored_survey
from recognition.decision.verdict import VerdictAccumulator
from recognition.events import Result, SourceFailed, VerdictReached, as_json, now
from recognition.modes.cluster_survey import survey_scope
from tests.data.conftest import settings

GAMES = (Game(1, "Chess"), Game(2, "Tetris"))
SOURCES: list[str | Stream] = [
    "ann",
    "https://www.twitch.tv/videos/1\x00",
    "caf\ud800",
    Stream("bob", 1, "", "en", 3, "Chess"),
    "eve",
]
HOUR = 3600.0

Source = str | Stream


@pytest.fixture
def store(engine) -> SurveyStore:
    """Return an empty store."""
    return SurveyStore(Transactions(engine))


class Twitch:
    """Recognises two sources at a time, and records their order; fails instead of the result number `fails_at`."""

    def __init__(self, fails_at: int = 1000) -> None:
        self.asked: list[Source] = []
        self._fails_at = fails_at

    def survey(
        self, sources: Iterable[Source], store: Callable[[list[Result]], object]
    ) -> Generator[Result, None, None]:
        remaining = iter(sources)
        while results := [self._result(source) for source in islice(remaining, 2)]:
            store(results)
            yield from results

    def _result(self, source: Source) -> Result:
        if len(self.asked) == self._fails_at:
            raise KeyboardInterrupt
        self.asked.append(source)
        if source == "eve":
            return SourceFailed("eve", now(), StreamOffline("eve is not live"))
        accumulator = VerdictAccumulator(GAMES, top=2)
        accumulator.add_frame(np.array([0.3, 0.1]))
        name, category = (source.login, source.category) if isinstance(source, Stream) else (source, None)
        return VerdictReached(name, now(), accumulator.verdict(), category)


def _run(store: SurveyStore, twitch: Twitch, scope: str = "scope", window_s: float = HOUR) -> list[Result]:
    with open_stored_survey(store, scope, "model", window_s) as survey:
        return list(survey(twitch.survey, SOURCES))


def _interrupted(store: SurveyStore, count: int) -> list[Result]:
    """Return the results of a survey that ends after `count` of them."""
    found: list[Result] = []
    with suppress(KeyboardInterrupt), open_stored_survey(store, "scope", "model", HOUR) as survey:
        found.extend(survey(Twitch(count).survey, SOURCES))  # keeps those before the interrupt
    return found


def test_survey_when_it_was_cut_off_goes_on_and_gives_each_source_once(store, caplog):
    """The stored answers come first, with the same values; only the other sources are looked at, failures included."""
    first = _interrupted(store, 4)
    assert "The same command goes on with this survey" in caplog.text
    again = Twitch()
    results = _run(store, again)
    assert again.asked == SOURCES[4:]
    assert [as_json(result) for result in results[:4]] == [as_json(result) for result in first]
    assert [result.source for result in results] == [s.login if isinstance(s, Stream) else s for s in SOURCES]
    assert "continuing the survey of" in caplog.text
    new = Twitch()
    assert len(_run(store, new)) == len(SOURCES) == len(new.asked)  # a finished survey is not continued


def test_survey_when_cut_off_after_one_of_the_results_that_came_together_asks_for_none_again(store):
    """They were stored before the first of them was yielded."""
    with (
        open_stored_survey(store, "scope", "model", HOUR) as survey,
        closing(survey(Twitch().survey, SOURCES)) as found,
    ):
        assert next(found).source == "ann"
    again = Twitch()
    assert [result.source for result in _run(store, again)[:2]] == SOURCES[:2]
    assert again.asked == SOURCES[2:]


def test_survey_of_another_scope_or_beyond_the_window_begins_anew(store):
    """Other options, an old survey, and one that another process works on: all sources are looked at."""
    _interrupted(store, 4)
    for scope, window_s in (("other", HOUR), ("scope", 1e-6)):
        twitch = Twitch()
        _run(store, twitch, scope, window_s)
        assert len(twitch.asked) == len(SOURCES)
    with open_stored_survey(store, "scope", "model", HOUR):  # takes the first one
        twitch = Twitch()
        _run(store, twitch)
    assert len(twitch.asked) == len(SOURCES)


def test_rows_of_a_source_are_there_once_and_damaged_ones_are_looked_at_again(store, engine):
    """A repeated insertion changes nothing; an answer that somebody edited counts as none."""
    store.prepare()
    row, later = SurveyRow("ann", "ann", now(), "damaged"), SurveyRow("bob", "bob", now(), 'C:\\ "{1,2}" NULL')
    for rows in ([row, later, replace(row, answer="other")], [replace(later, answer="other"), row]):
        store.begin(RunRecord(1, "scope", "model", now()))
        store.add(1, rows)
    assert store.answers(1) == [row.answer, later.answer]
    twitch = Twitch()
    assert len(_run(store, twitch)) == len(SOURCES) == len(twitch.asked)
    with engine.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM survey_rows WHERE source = 'ann'")).scalar() == 1


def test_same_answers_from_two_commands_are_stored_once_without_a_deadlock(store):
    """Both go on with the survey after a lost connection, and their answers come in another order."""
    store.prepare()
    store.begin(RunRecord(1, "scope", "model", now()))
    rows = [SurveyRow(f"s{number}", "", now(), "{}") for number in range(2000)]
    with ThreadPoolExecutor(2) as pool:
        for added in [pool.submit(store.add, 1, rows), pool.submit(store.add, 1, rows[::-1])]:
            added.result(60)
    assert len(store.answers(1)) == len(rows)


def test_old_surveys_are_deleted_and_logins_are_erased(store):
    """A survey of a week ago goes with the next start; rows are counted and removed by login and by age."""
    store.prepare()
    for number, age in enumerate((timedelta(days=8), timedelta(days=1)), 7):
        store.begin(RunRecord(number, "scope", "model", now() - age))
        store.add(number, [SurveyRow(name, name, now() - age, "{}") for name in ("ann", "bob")])
    assert store.remove(["ann"], dry_run=True) == 2
    with open_stored_survey(store, "other", "model", HOUR):
        assert store.remove(["ann"], dry_run=True) == 1
    assert store.remove(["ann"]) == 1
    before = (now() - timedelta(hours=1)).timestamp()
    assert (
        store.remove_older(before, dry_run=True),
        store.remove_older(before),
        store.remove_older(before, dry_run=True),
    ) == (1, 1, 0)


def test_foreign_table_is_left_alone(store, engine):
    """A table surveys of another program stays, with a message that says what to do."""
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE surveys (id integer)"))
    with pytest.raises(CatalogUnavailable, match="The table surveys is not this program's"):
        store.prepare()


def test_scope_depends_on_what_is_surveyed_only():
    """The order of the sources does not matter; options and settings that change answers do; no name is readable."""
    options = dict.fromkeys(("game", "top_streams", "category", "frames", "sure", "preview"))
    args = Namespace(**options, top=1, min_confidence=0.0, csv="a.csv")
    own = settings()
    scope = survey_scope(args, own, ["ann", "bob"])
    assert survey_scope(Namespace(**{**vars(args), "csv": "b.csv"}), own, ["bob", "ann"]) == scope
    others = [
        survey_scope(args, own, ["ann"]),
        survey_scope(Namespace(**{**vars(args), "top": 2}), own, ["ann", "bob"]),
        survey_scope(args, own.model_copy(update={"frames_per_stream": 3}), ["ann", "bob"]),
    ]
    assert len({scope, *others}) == 4
    assert "ann" not in scope
