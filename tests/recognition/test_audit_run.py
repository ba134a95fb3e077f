"""Runs of an audit with a real database and scripted streams: order of events, cost, outages of Helix."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from data.errors import DirectoryUnavailable
from data.storage.audit_rows import AuditRecord
from data.storage.audits import AuditStore
from data.storage.transactions import Transactions
from recognition.auditing.meter import Meter
from recognition.auditing.progress import LoggedProgress
from recognition.auditing.run import Auditor, AuditRequest, LookOptions
from recognition.auditing.selection import Scope
from recognition.events import now
from tests.recognition.test_audit_looks import CHESS, JUDGEMENT, TETRIS, Twitch

OPTIONS = LookOptions(15, 0.99, True, 0.0)
REQUEST = AuditRequest(Scope(), (), "model", None, new=False)


class Scripted(Twitch):
    """The streams of a Twitch, behind the methods of a recogniser and of Helix; `down` makes Helix fail."""

    down = False

    def streams_by_login(self, logins: Any) -> Any:
        if self.down:
            raise DirectoryUnavailable("down")
        return super().streams_by_login(logins)

    def iter_streams(self) -> Iterator[Any]:
        return iter(super().streams_by_login(self.shows).values())

    @property
    def recognizer(self) -> Any:
        def survey(streams: Any, max_frames: int, certainty: float, *, preview: bool) -> Iterator[Any]:
            assert (max_frames, certainty) == (15, 0.99)
            yield from self.survey(streams, preview)

        return SimpleNamespace(survey=survey, stop=threading.Event())


@pytest.fixture
def store(engine) -> AuditStore:
    """Return an empty store."""
    store = AuditStore(Transactions(engine))
    store.prepare()
    return store


class Run:
    """An auditor, and what has happened in order."""

    def __init__(self, twitch: Scripted, store: AuditStore) -> None:
        self.events: list[str] = []
        self.costs: list[int] = []
        self.records: list[int] = []
        self.excluded = {"excluded"}
        arguments = (twitch.recognizer, twitch, store, JUDGEMENT, OPTIONS)
        self._auditor = Auditor(
            *arguments,  # type: ignore[arg-type]
            is_excluded=lambda login: login in self.excluded,
            show_progress=self._show,
        )

    @contextmanager
    def _show(self, total: int) -> Iterator[LoggedProgress]:
        self.events.append(f"begin {total}")
        yield LoggedProgress()
        self.events.append("end")

    def __call__(self, request: AuditRequest = REQUEST) -> None:
        self._auditor.run(request, self._write)

    def _write(self, record: AuditRecord, meter: Meter) -> None:
        self.events.append("report")
        self.costs.append(meter.cost().frames)
        self.records.append(record.id)


def test_report_comes_after_the_progress_has_gone(store):
    """A progress line takes over stdout: what is printed before its end would land on the terminal only."""
    run = Run(Scripted({"a": [CHESS], "b": [TETRIS], "excluded": [CHESS]}), store)
    run()
    assert run.events == ["begin 2", "end", "report"]
    assert run.costs == [3]
    assert {(row.login, row.outcome, row.looks) for row in store.rows(run.records[0])} == {
        ("a", "match", 1),
        ("b", "other game", 2),
    }


def test_run_after_an_outage_of_helix_continues_and_keeps_the_cost(store, caplog):
    """The listing was stored before Helix failed: the next run looks at the same streams, and the cost adds up."""
    twitch = Scripted({f"s{n}": [CHESS] for n in range(5)})
    run = Run(twitch, store)
    twitch.down = True
    with pytest.raises(DirectoryUnavailable):
        run()
    assert "The same command goes on with this audit" in caplog.text
    twitch.down, twitch.shows = False, {**twitch.shows, "later": [CHESS]}
    run()
    assert (run.costs, len(twitch.looks)) == ([5], 5)
    store.finish(run.records[0], twitch.now, {})
    run()
    run(AuditRequest(REQUEST.scope, (), "model", None, new=True))
    assert len(set(run.records)) == 3
    assert [len(store.rows(number)) for number in run.records] == [5, 6, 6]


def test_streamer_who_is_excluded_after_the_listing_is_not_looked_at(store):
    """Forgotten between the listing and its storage, or during an outage: the row is deleted before the next look."""
    twitch = Scripted({"stays": [CHESS], "leaves": [CHESS]})
    run, twitch.down = Run(twitch, store), True
    with pytest.raises(DirectoryUnavailable):
        run()
    twitch.down = False
    run.excluded.add("leaves")
    run()
    assert [row.login for row in store.rows(run.records[0])] == ["stays"]
    assert [look[0] for look in twitch.looks] == ["stays"]


class Contested(AuditStore):
    """A store where another process tries to take each audit as soon as it can be found."""

    taken = False

    def begin(self, record: AuditRecord, rows: Any) -> None:
        super().begin(record, rows)
        with self.claimed(record.id) as self.taken:
            pass


def test_new_audit_is_claimed_before_another_process_can_find_it(store):
    """Two commands that start together never work on the same audit."""
    contested = Contested(store._transactions)
    Run(Scripted({"a": [CHESS]}), contested)()
    assert contested.taken is False


def test_unfinished_audit_of_a_running_process_is_left_alone(store):
    """While another process has its claim, the same request begins an audit of its own, and continues it afterwards."""
    twitch = Scripted({"a": [CHESS]})
    run, twitch.down = Run(twitch, store), True
    with pytest.raises(DirectoryUnavailable):
        run()
    twitch.down = False
    with ExitStack() as stack:
        unfinished = store.unfinished(REQUEST.scope.key(), "model", now() - timedelta(hours=1), stack)
        assert unfinished
        run()
    store.finish(run.records[0], now(), {})
    run()
    assert run.records[0] != unfinished.id == run.records[1]
