"""Repository of audits: their rows in PostgreSQL, beside those of games and frames. One call is one transaction.

    audits          one row for each audit: what it covers, its model, its cost, the summary of its report
    audit_streams   one row for each stream that it looks at; without an outcome until it has been looked at

The streams are stored before the first look, and a look only changes its row: an audit goes on after a kill where it
was, no row is there twice, and a streamer who is forgotten meanwhile does not come back. Outcomes are text here: what
they mean is the business of recognition.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from data.entities import Game
from data.errors import CatalogUnavailable
from data.storage.audit_tables import COMMENT, audit_streams, audits, metadata
from data.storage.database import translate_errors
from data.storage.statements import to_array
from data.storage.transactions import Transactions
from data.text import printable_line

_BATCH = 2000  # rows of one insertion
_TABLES_LOCK, _RUN_LOCK = 7_487_012, 7_487_013  # arbitrary numbers, the same in every command
_MAX_REASON = 500  # characters
_THEIRS = "login = ANY(CAST(:value AS text[]))"
_OLDER = "coalesce(at, (SELECT started FROM audits WHERE id = audit_id)) < to_timestamp(:value)"
_DELETE = "WITH gone AS (DELETE FROM audit_streams WHERE {} RETURNING 1) SELECT count(*) FROM gone"
# Fields of AuditRow that are columns of the same name.
_SAME = (
    "login",
    "viewers",
    "language",
    "stratum",
    "weight",
    "outcome",
    "screen",
    "confidence",
    "frames",
    "looks",
    "at",
)


@dataclass(frozen=True, slots=True)
class AuditRow:
    """A stream of an audit. category, shown: None for none. outcome: "" until it has been looked at."""

    login: str
    category: Game | None
    viewers: int
    language: str
    stratum: str
    weight: float
    outcome: str = ""
    shown: Game | None = None
    screen: str = ""
    confidence: float = 0.0
    frames: int = 0
    looks: int = 0
    at: datetime | None = None
    reason: str = ""
    jpeg: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class AuditCost:
    """What an audit has cost so far: wall-clock and CPU seconds, frames, HTTP requests and bytes received."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    frames: int = 0
    requests: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """An audit. scope: what it covers, the same text for audits that can be compared. model: hash of the model.

    listed: number of live streams, not judged ones included. not_judged: (category, streams, viewers) of those.
    """

    id: int
    scope: str
    model: str
    started: datetime
    listed: int
    not_judged: tuple[tuple[str, int, int], ...] = ()
    cost: AuditCost = AuditCost()
    summary: dict[str, Any] | None = None


class AuditStore:
    """The audits of one database. Every method raises CatalogUnavailable.

    `prepare` makes the tables; the methods that erase need none.
    """

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def prepare(self) -> None:
        """Create the tables if there are none."""

        def work(connection: sa.Connection) -> None:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_TABLES_LOCK)))
            table = "SELECT obj_description(oid, 'pg_class') FROM pg_class WHERE oid = to_regclass('audits')"
            found = connection.exec_driver_sql(table).one_or_none()
            if found is not None and found[0] != COMMENT:
                raise CatalogUnavailable(
                    "The table audits is not this program's, or of another version: rename it, or set DB_NAME to "
                    "another database."
                )
            metadata.create_all(connection)

        self._transactions.run(work)

    def begin(self, record: AuditRecord, rows: Sequence[AuditRow]) -> AuditRecord:
        """Store an audit, whose `id` is not used, and its streams; return it with its id."""
        sequence = sa.text("SELECT nextval(pg_get_serial_sequence('audits', 'id'))")
        audit_id = self._transactions.run(lambda connection: int(connection.execute(sequence).scalar_one()))
        values = {"id": audit_id, "scope": record.scope, "model": record.model, "started": record.started}
        values |= {"listed": record.listed, "not_judged": json.dumps(record.not_judged)}

        def work(connection: sa.Connection) -> None:
            connection.execute(insert(audits).values(values).on_conflict_do_nothing())
            for start in range(0, len(rows), _BATCH):
                batch = [{"audit_id": audit_id} | _columns(row) for row in rows[start : start + _BATCH]]
                connection.execute(insert(audit_streams).on_conflict_do_nothing(), batch)

        self._transactions.run(work)  # the id is known before: a repetition makes no second audit
        return replace(record, id=audit_id)

    def unfinished(self, scope: str, model: str, since: datetime) -> list[AuditRecord]:
        """Return the audits of this scope and model that began after `since` and have not ended, newest first."""
        query = sa.select(audits).where(audits.c.scope == scope, audits.c.model == model, audits.c.started > since)
        query = query.where(audits.c.ended.is_(None)).order_by(audits.c.id.desc())
        return self._transactions.run(lambda connection: list(map(_record, connection.execute(query))))

    def history(self, scope: str, limit: int) -> list[AuditRecord]:
        """Return the latest finished audits of this scope, at most `limit`, oldest first."""
        query = sa.select(audits).where(audits.c.scope == scope, audits.c.ended.is_not(None))
        query = query.order_by(audits.c.started.desc()).limit(limit)
        return self._transactions.run(lambda connection: list(map(_record, connection.execute(query))))[::-1]

    @contextmanager
    def claimed(self, audit_id: int) -> Iterator[bool]:
        """Yield whether no other process works on this audit; keep others off it in the block."""
        engine = self._transactions.engine.execution_options(isolation_level="AUTOCOMMIT")  # it idles for hours
        with translate_errors(), engine.connect() as connection:
            lock = sa.func.pg_try_advisory_lock(_RUN_LOCK, sa.cast(audit_id % 2**31, sa.Integer))
            try:
                yield bool(connection.execute(sa.select(lock)).scalar())
            finally:
                connection.invalidate()  # not back to the pool: the server frees the lock when the connection ends

    def rows(self, audit_id: int, *, with_pictures: bool = False) -> list[AuditRow]:
        """Return the streams of an audit, in no order; pictures only on demand: there may be thousands."""
        columns = [column for column in audit_streams.c if with_pictures or column.name != "jpeg"]
        query = sa.select(*columns).where(audit_streams.c.audit_id == audit_id)
        return self._transactions.run(lambda connection: list(map(_row, connection.execute(query).mappings())))

    def save(self, audit_id: int, row: AuditRow, cost: AuditCost) -> None:
        """Replace the row of a stream, if there still is one, and the cost so far."""

        def work(connection: sa.Connection) -> None:
            theirs = audit_streams.c.audit_id == audit_id, audit_streams.c.login == row.login
            connection.execute(sa.update(audit_streams).where(*theirs).values(_columns(row)))
            connection.execute(sa.update(audits).where(audits.c.id == audit_id).values(asdict(cost)))

        self._transactions.run(work)

    def keep_pictures(self, audit_id: int, outcome: str, count: int) -> None:
        """Delete the pictures but those of the `count` most certain streams with this outcome."""
        theirs = audit_streams.c.audit_id == audit_id
        kept = sa.select(audit_streams.c.login).where(theirs, audit_streams.c.outcome == outcome)
        kept = kept.order_by(audit_streams.c.confidence.desc(), audit_streams.c.login).limit(count)
        deletion = sa.update(audit_streams).where(theirs, audit_streams.c.login.not_in(kept)).values(jpeg=None)
        self._transactions.run(lambda connection: connection.execute(deletion))

    def finish(self, audit_id: int, ended: datetime, summary: dict[str, Any]) -> None:
        """Note the end of an audit, and the summary of its report."""
        values = {"ended": ended, "summary": json.dumps(summary)}
        update = sa.update(audits).where(audits.c.id == audit_id).values(values)
        self._transactions.run(lambda connection: connection.execute(update))

    def count(self, logins: Iterable[str]) -> int:
        """Return the number of rows of these logins."""
        return self._if_there("SELECT count(*) FROM audit_streams WHERE " + _THEIRS, to_array(logins))

    def remove(self, logins: Iterable[str]) -> int:
        """Delete the rows of these logins from all audits; return how many."""
        return self._if_there(_DELETE.format(_THEIRS), to_array(logins))

    def count_older(self, before: float) -> int:
        """Return the number of rows whose last look, or the start of whose audit, was before a time, epoch seconds."""
        return self._if_there("SELECT count(*) FROM audit_streams WHERE " + _OLDER, before)

    def remove_older(self, before: float) -> int:
        """Delete the rows that `count_older` counts; return how many. The audits' summaries, without logins, stay."""
        return self._if_there(_DELETE.format(_OLDER), before)

    def _if_there(self, statement: str, value: object) -> int:
        """Return the number that a statement with the parameter `value` gives; 0 without the tables."""

        def work(connection: sa.Connection) -> int:
            if not connection.exec_driver_sql("SELECT to_regclass('audit_streams') IS NOT NULL").scalar():
                return 0
            return int(connection.execute(sa.text(statement), {"value": value}).scalar_one())

        return self._transactions.run(work)


def _columns(row: AuditRow) -> dict[str, Any]:
    """Return the values of a row by the names of the columns."""
    values = {name: getattr(row, name) for name in _SAME}
    for name, game in (("category", row.category), ("shown", row.shown)):
        values |= {f"{name}_id": game.id if game else None, name: game.name if game else None}
    return values | {"reason": printable_line(row.reason)[:_MAX_REASON], "jpeg": row.jpeg or None}


def _row(columns: Mapping[str, Any]) -> AuditRow:
    games = {
        name: None if columns[f"{name}_id"] is None else Game(columns[f"{name}_id"], columns[name] or "")
        for name in ("category", "shown")
    }
    values = {name: columns[name] for name in _SAME}
    return AuditRow(**values, **games, reason=columns["reason"], jpeg=bytes(columns.get("jpeg") or b""))


def _record(row: sa.Row[Any]) -> AuditRecord:
    cost = AuditCost(row.seconds, row.cpu_seconds, row.frames, row.requests, row.bytes)
    not_judged = tuple((str(name), int(streams), int(viewers)) for name, streams, viewers in _json(row.not_judged, []))
    summary = _json(row.summary or "null", None)
    return AuditRecord(row.id, row.scope, row.model, row.started, row.listed, not_judged, cost, summary)


def _json(text: str, otherwise: Any) -> Any:
    """Return the value of a JSON text; another one if somebody has damaged it."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return otherwise
