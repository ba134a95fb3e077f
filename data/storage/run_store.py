"""Stored runs: what the repositories of audits and of surveys share. One call is one transaction.

    new_id → claimed → begun, with its streams or without → rows → finished, or claimed again after a kill

A run has a row in one table, and a row in another one for each stream that it answers for. The tables are made by the
first run, not with those of games and frames.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError

from data.errors import CatalogUnavailable
from data.storage.database import translate_errors
from data.storage.statements import to_array
from data.storage.transactions import Transactions


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run. scope: what it covers and how, the same text for runs of the same kind. model: hash of the model."""

    id: int
    scope: str
    model: str
    started: datetime  # UTC


Record = TypeVar("Record", bound=RunRecord)


def run_columns(table: str) -> tuple[sa.Column[Any] | sa.Index, ...]:
    """Return the columns of a run, and the index of its start."""
    return (
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),  # SHA-256
        sa.Column("started", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended", sa.DateTime(timezone=True)),  # NULL: not yet
        sa.Index(f"{table}_started_idx", "started"),
    )


class RunStore(ABC, Generic[Record]):
    """The runs of one kind in one database. Every method raises CatalogUnavailable.

    `prepare` makes the tables; the methods that erase need none. A subclass names the tables; the comment of `runs` is
    the version of both. key: the column of `streams` with the run's id. locks: numbers of no other advisory lock.
    """

    runs: sa.Table
    streams: sa.Table
    key: str
    locks: tuple[int, int]

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    @abstractmethod
    def _to_record(self, row: sa.Row[Any]) -> Record:
        """Return the run of a row."""

    def prepare(self) -> None:
        """Create the tables if there are none."""
        runs = self.runs

        def work(connection: sa.Connection) -> None:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(self.locks[0])))
            table = f"SELECT obj_description(oid, 'pg_class') FROM pg_class WHERE oid = to_regclass('{runs.name}')"
            found = connection.exec_driver_sql(table).one_or_none()
            if found is not None and found[0] != runs.comment:
                raise CatalogUnavailable(
                    f"The table {runs.name} is not this program's, or of another version: rename it, or set DB_NAME "
                    "to another database."
                )
            runs.metadata.create_all(connection)

        self._transactions.run(work)

    def new_id(self, stack: ExitStack) -> int:
        """Return an id that no run has had, claimed until the end of `stack`: before another process can find it."""
        sequence = sa.text(f"SELECT nextval(pg_get_serial_sequence('{self.runs.name}', 'id'))")
        number = self._transactions.run(lambda connection: int(connection.execute(sequence).scalar_one()))
        stack.enter_context(self.claimed(number))
        return number

    def unfinished(self, scope: str, model: str, since: datetime, stack: ExitStack) -> Record | None:
        """Return the latest run to go on with, claimed until the end of `stack`; None without one.

        It has this scope and model, began after `since`, has not ended, and no other process works on it.
        """
        runs = self.runs.c
        records = self._records(
            sa.and_(runs.scope == scope, runs.model == model, runs.started > since, runs.ended.is_(None)), runs.id
        )
        return next((record for record in records if stack.enter_context(self.claimed(record.id))), None)

    @contextmanager
    def claimed(self, run_id: int) -> Iterator[bool]:
        """Yield whether no other process works on this run; keep others off it in the block."""
        engine = self._transactions.engine.execution_options(isolation_level="AUTOCOMMIT")  # no transaction for hours
        with translate_errors(), engine.connect() as connection:
            place = self.locks[1], run_id % 2**31
            free = bool(connection.execute(sa.select(sa.func.pg_try_advisory_lock(*place))).scalar())
            if not free:
                connection.close()
            try:
                yield free
            finally:
                if free:
                    with suppress(SQLAlchemyError):  # a lost connection has freed it
                        connection.execute(sa.select(sa.func.pg_advisory_unlock(*place)))

    def remove(self, logins: Iterable[str], *, dry_run: bool = False) -> int:
        """Delete the rows of these logins from all runs, unless it is a dry run; return how many."""
        return self._remove("login = ANY(CAST(:value AS text[]))", to_array(logins), dry_run)

    def remove_older(self, before: float, *, dry_run: bool = False) -> int:
        """Delete the rows from before a time, epoch seconds, unless it is a dry run; return how many.

        The time of a row is that of its last look, or of its run's start. What runs have without logins stays.
        """
        start = f"(SELECT started FROM {self.runs.name} WHERE id = {self.key})"
        return self._remove(f"coalesce(at, {start}) < to_timestamp(:value)", max(before, 0.0), dry_run)

    def _records(
        self, condition: sa.ColumnElement[bool], latest: sa.Column[Any], limit: int | None = None
    ) -> list[Record]:
        """Return the runs that meet a condition, at most `limit`, those with the highest value in `latest` first."""
        query = sa.select(self.runs).where(condition).order_by(latest.desc()).limit(limit)
        return self._transactions.run(lambda connection: list(map(self._to_record, connection.execute(query))))

    def _insert_run(self, connection: sa.Connection, record: Record, **values: object) -> None:
        """Insert the row of a run: nothing at a repetition, which has the same id."""
        own = {field.name: getattr(record, field.name) for field in fields(RunRecord)}
        connection.execute(insert(self.runs).values(own | values).on_conflict_do_nothing())

    def _update_run(self, connection: sa.Connection, run_id: int, **values: object) -> None:
        runs = self.runs
        connection.execute(sa.update(runs).where(runs.c.id == run_id).values(values))

    def _remove(self, condition: str, value: object, dry_run: bool) -> int:
        """Delete or count the rows of streams that meet a condition; 0 without the tables."""
        table = self.streams.name
        rows = f"{table} WHERE {condition}"
        gone = f"WITH gone AS (DELETE FROM {rows} RETURNING 1) SELECT count(*) FROM gone"
        query = sa.text(f"SELECT count(*) FROM {rows}" if dry_run else gone)

        def work(connection: sa.Connection) -> int:
            if not connection.exec_driver_sql(f"SELECT to_regclass('{table}') IS NOT NULL").scalar():
                return 0
            return int(connection.execute(query, {"value": value}).scalar_one())

        return self._transactions.run(work)
