"""data.storage.audits: the rows of audits in a real PostgreSQL, and their erasure."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from sqlalchemy import Engine, create_engine, text

from data.entities import Game
from data.errors import CatalogUnavailable
from data.storage.audit_rows import AuditCost, AuditRecord, AuditRow
from data.storage.audits import AuditStore
from data.storage.catalog import Catalog
from data.storage.frame_folder import FrameFolder
from data.storage.run_store import RunRecord
from data.storage.surveys import SurveyRow, SurveyStore
from tests.data.conftest import Run

NOW = datetime(2026, 5, 4, 12, 30, 15, 250_000, tzinfo=timezone.utc)
CHESS, GO = Game(7, "Chess"), Game(2**40, "囲碁 <b>")
RECORD = AuditRecord(0, '{"top": 5}', "hash", NOW, 12, (("Just Chatting", 3, 900), ("", 1, 2)))


def _row(login: str, **values: object) -> AuditRow:
    return replace(AuditRow(login, CHESS, 10**15, "en", "1. Chess, 10 to 99 viewers", 2.5), **values)  # type: ignore[arg-type]


def _begin(store: AuditStore, record: AuditRecord, rows: Sequence[AuditRow]) -> AuditRecord:
    """Store a new audit like this one, which nobody works on; return it with its id."""
    with contextlib.ExitStack() as stack:
        record = replace(record, id=store.new_id(stack))
        store.begin(record, rows)
        return record


def _unfinished(store: AuditStore, since: datetime) -> AuditRecord | None:
    """Return the audit like RECORD to go on with, free again."""
    with contextlib.ExitStack() as stack:
        return store.unfinished(RECORD.scope, "hash", since, stack)


@pytest.fixture
def empty(engine: Engine) -> Iterator[Engine]:
    """Yield an engine without tables of audits; remove them at the end."""
    drop = text("DROP TABLE IF EXISTS audit_streams, audits, survey_rows, surveys")
    with engine.begin() as connection:
        connection.execute(drop)
    yield engine
    with engine.begin() as connection:
        connection.execute(drop)


@pytest.fixture
def store(empty: Engine) -> AuditStore:
    """Return an empty store."""
    store = AuditStore(Catalog(empty).transactions)
    store.prepare()
    return store


def test_save_replaces_the_row_and_never_adds_one(store: AuditStore):
    """A look that is saved twice is there once; every value comes back; a row that is gone stays away."""
    record = _begin(store, RECORD, [_row("ann"), _row("bob"), _row("eve", category=None)])
    seen = _row("ann", outcome="other game", shown=GO, confidence=0.75, frames=4, looks=1, at=NOW, jpeg=b"\0jpeg")
    for _ in range(2):
        store.save(record.id, seen, AuditCost(1.5, 0.5, 4, 30, 2**40))
        store.save(record.id, _row("nobody", outcome="match"), AuditCost(2.5, 0.5, 4, 30, 2**40))
    rows = {row.login: row for row in store.rows(record.id, with_pictures=True)}
    assert rows == {"ann": seen, "bob": _row("bob"), "eve": _row("eve", category=None)}
    assert {row.jpeg for row in store.rows(record.id)} == {b""}
    found = _unfinished(store, NOW - timedelta(hours=1))
    assert found == replace(RECORD, id=record.id, cost=AuditCost(2.5, 0.5, 4, 30, 2**40))


def test_unfinished_finds_only_young_audits_of_this_scope_and_model(store: AuditStore):
    """An audit of another scope or model, an old one and a finished one are not continued. The newest is, if free."""
    ids = [_begin(store, RECORD, []).id for _ in range(2)]
    _begin(store, replace(RECORD, model="other"), [])
    _begin(store, replace(RECORD, scope="other"), [])
    _begin(store, replace(RECORD, started=NOW - timedelta(days=2)), [])
    store.finish(_begin(store, RECORD, []).id, NOW, {"share": 0.5})
    found = _unfinished(store, NOW - timedelta(days=1))
    assert (found and found.id) == ids[1]
    with store.claimed(ids[1]):
        found = _unfinished(store, NOW - timedelta(days=1))
        assert (found and found.id) == ids[0]
    assert _unfinished(store, NOW) is None


def test_history_has_the_latest_finished_audits_oldest_first(store: AuditStore, empty: Engine):
    """Audits of the same scope, whatever the model, with their summaries; a damaged summary is none."""
    for day in range(4):
        record = _begin(store, replace(RECORD, started=NOW + timedelta(days=day), model=f"m{day}"), [])
        store.finish(record.id, NOW, {"day": day})
    _begin(store, RECORD, [])
    assert [record.summary for record in store.history(RECORD.scope, 3)] == [{"day": 1}, {"day": 2}, {"day": 3}]
    for summary, not_judged in (("[", "{"), ("7", "[1]"), ('["a"]', '[["a", "b", 1]]')):
        damage = f"UPDATE audits SET summary = '{summary}', not_judged = '{not_judged}'"
        with empty.begin() as connection:
            connection.execute(text(damage))
        assert [(record.summary, record.not_judged) for record in store.history(RECORD.scope, 1)] == [(None, ())]


def test_times_are_utc_whatever_the_time_zone_of_the_server(store: AuditStore, empty: Engine):
    """Reports and messages print the start of a continued audit as UTC."""
    _begin(store, RECORD, [])
    abroad = create_engine(empty.url, connect_args={"options": "-c timezone=Asia/Kolkata"})
    found = _unfinished(AuditStore(Catalog(abroad).transactions), NOW - timedelta(hours=1))
    abroad.dispose()
    assert found
    assert found.started.isoformat() == NOW.isoformat()


def test_keep_pictures_leaves_those_of_the_most_certain(store: AuditStore):
    """Of the streams with this outcome the most certain keep theirs, all other pictures go."""
    streams = [_row(f"s{n}", outcome="other game", confidence=n / 10, jpeg=b"x") for n in range(5)]
    record = _begin(store, RECORD, [*streams, _row("match", outcome="match", confidence=1.0, jpeg=b"x")])
    store.keep_pictures(record.id, "other game", 2)
    assert {row.login for row in store.rows(record.id, with_pictures=True) if row.jpeg} == {"s3", "s4"}


def test_claimed_keeps_a_second_process_off_the_same_audit(store: AuditStore):
    """A claim is exclusive for one audit, and free again after the block, an error in it included."""
    with store.claimed(1) as first, store.claimed(1) as second, store.claimed(2) as other:
        assert (first, second, other) == (True, False, True)
    with contextlib.suppress(KeyError), store.claimed(1) as again:
        assert again
        raise KeyError
    with store.claimed(1) as free:
        assert free


def test_prepare_refuses_a_foreign_table(empty: Engine):
    """A table audits of another program is left alone, with a message that says what to do."""
    with empty.begin() as connection:
        connection.execute(text("CREATE TABLE audits (id integer)"))
    with pytest.raises(CatalogUnavailable, match="The table audits is not this program's"):
        AuditStore(Catalog(empty).transactions).prepare()


def test_forget_removes_audited_logins(store: AuditStore, folder: FrameFolder, run: Run):
    """data.forget deletes the streamer's rows of all audits, and their pictures; other rows and the audits stay."""
    for _ in range(2):
        record = _begin(store, RECORD, [_row("ann", jpeg=b"x"), _row("bob")])
    assert run("data.forget", "--dry-run", "ann").stdout == "Would remove 2 audited streams.\n"
    assert run("data.forget", "ann").stdout.startswith("Removed 2 audited streams.\n")
    assert [row.login for row in store.rows(record.id)] == ["bob"]
    assert run("data.forget", "ann").stdout.startswith("Removed nothing.\n")


def test_purge_removes_old_rows_and_keeps_the_summaries(store: AuditStore, folder: FrameFolder, run: Run):
    """data.purge deletes rows by their last look, or the start of their audit; the trend stays."""
    started = datetime.now(timezone.utc) - timedelta(days=9)
    rows = [_row("new", at=datetime.now(timezone.utc)), _row("old", at=started), _row("pending")]
    record = _begin(store, replace(RECORD, started=started), rows)
    store.finish(record.id, started, {"share": 0.5})
    assert run("data.purge", "--older-than", "8d", "--dry-run").stdout.startswith("Would remove 2 audited streams from")
    assert run("data.purge", "--older-than", "8d").stdout.startswith("Removed 2 audited streams from")
    assert [row.login for row in store.rows(record.id)] == ["new"]
    assert [record.summary for record in store.history(RECORD.scope, 9)] == [{"share": 0.5}]


def test_forget_and_purge_remove_surveyed_streams(empty: Engine, folder: FrameFolder, run: Run):
    """Answers of surveys on a cluster go with the login, and by their age."""
    surveys = SurveyStore(Catalog(empty).transactions)
    surveys.prepare()
    surveys.begin(RunRecord(1, "scope", "hash", NOW))
    times = (("ann", NOW), ("bob", NOW), ("eve", datetime.now(timezone.utc)))
    surveys.add(1, [SurveyRow(login, login, at, login) for login, at in times])
    assert run("data.forget", "--dry-run", "ann").stdout == "Would remove 1 surveyed stream.\n"
    assert run("data.forget", "ann").stdout.startswith("Removed 1 surveyed stream.\n")
    assert run("data.purge", "--older-than", "8d").stdout.startswith("Removed 1 surveyed stream from")
    assert surveys.answers(1) == ["eve"]


def test_erasure_without_tables_finds_nothing(empty: Engine):
    """A database that has seen no audit has nothing to erase, and gets no tables."""
    store = AuditStore(Catalog(empty).transactions)
    assert (
        store.remove(["ann"], dry_run=True),
        store.remove(["ann"]),
        store.remove_older(1e9, dry_run=True),
        store.remove_older(1e9),
    ) == (0,) * 4
