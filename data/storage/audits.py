"""Repository of audits: their rows in PostgreSQL, beside those of games and frames. One call is one transaction.

    audits          one row for each audit: what it covers, its model, its cost, the summary of its report
    audit_streams   one row for each stream that it looks at; without an outcome until it has been looked at

The streams are stored before the first look, and a look only changes its row: an audit goes on after a kill where it
was, no row is there twice, and a streamer who is forgotten meanwhile does not come back. Outcomes are text here: what
they mean is the business of recognition.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from data.storage.audit_rows import AuditCost, AuditRecord, AuditRow, to_columns, to_record, to_row
from data.storage.audit_tables import audit_streams, audits
from data.storage.run_store import RunStore

_BATCH = 2000  # rows of one insertion


class AuditStore(RunStore[AuditRecord]):
    """The audits of one database. Every method raises CatalogUnavailable."""

    runs, streams, key, locks = audits, audit_streams, "audit_id", (7_487_012, 7_487_013)

    def begin(self, record: AuditRecord, rows: Sequence[AuditRow]) -> None:
        """Store an audit with an id of `new_id`, and its streams."""

        def work(connection: sa.Connection) -> None:
            self._insert_run(connection, record, listed=record.listed, not_judged=json.dumps(record.not_judged))
            for start in range(0, len(rows), _BATCH):
                batch = [{"audit_id": record.id} | to_columns(row) for row in rows[start : start + _BATCH]]
                connection.execute(insert(audit_streams).on_conflict_do_nothing(), batch)

        self._transactions.run(work)

    def history(self, scope: str, limit: int) -> list[AuditRecord]:
        """Return the latest finished audits of this scope, at most `limit`, oldest first."""
        ended = sa.and_(audits.c.scope == scope, audits.c.ended.is_not(None))
        return self._records(ended, audits.c.started, limit)[::-1]

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
            self._update_run(connection, audit_id, **asdict(cost))

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
        self._transactions.run(lambda connection: self._update_run(connection, audit_id, **values))

    def _to_record(self, row: sa.Row[Any]) -> AuditRecord:
        return to_record(row)
