"""Repository of audits: their rows in PostgreSQL, beside those of games and frames. One call is one transaction.

    audits          one row for each audit: what it covers, its model, its cost, the summary of its report
    audit_streams   one row for each stream that it looks at; without an outcome until it has been looked at

The streams are stored before the first look, and a look only changes its row: an audit goes on after a kill where it
was, no row is there twice, and a streamer who is forgotten meanwhile does not come back. Outcomes are text here: what
they mean is the business of recognition.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError

from data.errors import CatalogUnavailable
from data.storage.audit_rows import AuditCost, AuditRecord, AuditRow, to_columns, to_record, to_row
from data.storage.audit_tables import COMMENT, audit_streams, audits, metadata
from data.storage.database import translate_errors
from data.storage.statements import to_array
from data.storage.transactions import Transactions

_BATCH = 2000  # rows of one insertion
_TABLES_LOCK, _RUN_LOCK = 7_487_012, 7_487_013  # arbitrary numbers, the same in every command
_THEIRS = "login = ANY(CAST(:value AS text[]))"
_OLDER = "coalesce(at, (SELECT started FROM audits WHERE id = audit_id)) < to_timestamp(:value)"
_DELETE = "WITH gone AS (DELETE FROM audit_streams WHERE {} RETURNING 1) SELECT count(*) FROM gone"


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

    def new_id(self) -> int:
        """Return an id that no audit has had."""
        sequence = sa.text("SELECT nextval(pg_get_serial_sequence('audits', 'id'))")
        return self._transactions.run(lambda connection: int(connection.execute(sequence).scalar_one()))

    def begin(self, record: AuditRecord, rows: Sequence[AuditRow]) -> None:
        """Store an audit with an id of `new_id`, and its streams. It can be claimed before, while nobody finds it."""
        values = {"id": record.id, "scope": record.scope, "model": record.model, "started": record.started}
        values |= {"listed": record.listed, "not_judged": json.dumps(record.not_judged)}

        def work(connection: sa.Connection) -> None:
            connection.execute(insert(audits).values(values).on_conflict_do_nothing())
            for start in range(0, len(rows), _BATCH):
                batch = [{"audit_id": record.id} | to_columns(row) for row in rows[start : start + _BATCH]]
                connection.execute(insert(audit_streams).on_conflict_do_nothing(), batch)

        self._transactions.run(work)  # the id is known before: a repetition makes no second audit

    def unfinished(self, scope: str, model: str, since: datetime) -> list[AuditRecord]:
        """Return the audits of this scope and model that began after `since` and have not ended, newest first."""
        query = sa.select(audits).where(audits.c.scope == scope, audits.c.model == model, audits.c.started > since)
        query = query.where(audits.c.ended.is_(None)).order_by(audits.c.id.desc())
        return self._transactions.run(lambda connection: list(map(to_record, connection.execute(query))))

    def history(self, scope: str, limit: int) -> list[AuditRecord]:
        """Return the latest finished audits of this scope, at most `limit`, oldest first."""
        query = sa.select(audits).where(audits.c.scope == scope, audits.c.ended.is_not(None))
        query = query.order_by(audits.c.started.desc()).limit(limit)
        return self._transactions.run(lambda connection: list(map(to_record, connection.execute(query))))[::-1]

    @contextmanager
    def claimed(self, audit_id: int) -> Iterator[bool]:
        """Yield whether no other process works on this audit; keep others off it in the block."""
        engine = self._transactions.engine.execution_options(isolation_level="AUTOCOMMIT")  # no transaction for hours
        with translate_errors(), engine.connect() as connection:
            place = _RUN_LOCK, audit_id % 2**31
            free = bool(connection.execute(sa.select(sa.func.pg_try_advisory_lock(*place))).scalar())
            if not free:
                connection.close()
            try:
                yield free
            finally:
                if free:
                    with suppress(SQLAlchemyError):  # a lost connection has freed it
                        connection.execute(sa.select(sa.func.pg_advisory_unlock(*place)))

    def rows(self, audit_id: int, *, with_pictures: bool = False) -> list[AuditRow]:
        """Return the streams of an audit, in no order; pictures only on demand: there may be thousands."""
        columns = [column for column in audit_streams.c if with_pictures or column.name != "jpeg"]
        query = sa.select(*columns).where(audit_streams.c.audit_id == audit_id)
        return self._transactions.run(lambda connection: list(map(to_row, connection.execute(query).mappings())))

    def save(self, audit_id: int, row: AuditRow, cost: AuditCost) -> None:
        """Replace the row of a stream, if there still is one, and the cost so far."""

        def work(connection: sa.Connection) -> None:
            connection.exec_driver_sql("SET LOCAL synchronous_commit = off")  # after a power cut a look is repeated
            theirs = audit_streams.c.audit_id == audit_id, audit_streams.c.login == row.login
            connection.execute(sa.update(audit_streams).where(*theirs).values(to_columns(row)))
            connection.execute(sa.update(audits).where(audits.c.id == audit_id).values(asdict(cost)))

        self._transactions.run(work)

    def keep_pictures(self, audit_id: int, outcome: str, count: int) -> None:
        """Delete the pictures but those of the `count` most certain streams with this outcome."""
        theirs = audit_streams.c.audit_id == audit_id
        kept = sa.select(audit_streams.c.login).where(theirs, audit_streams.c.outcome == outcome)
        kept = kept.order_by(audit_streams.c.confidence.desc(), audit_streams.c.login).limit(count)
        others = audit_streams.c.jpeg.is_not(None), audit_streams.c.login.not_in(kept)
        deletion = sa.update(audit_streams).where(theirs, *others).values(jpeg=None)
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
