"""Stored runs: what the repositories of audits and of surveys share. One call is one transaction.

A run has a row in one table, and a row in another one for each stream that it answers for. The tables are made by the
first run, not with those of games and frames.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from data.errors import CatalogUnavailable
from data.storage.database import translate_errors
from data.storage.statements import to_array
from data.storage.transactions import Transactions

_THEIRS = "login = ANY(CAST(:value AS text[]))"
_COUNT = "SELECT count(*) FROM {}"
_DELETE = "WITH gone AS (DELETE FROM {} RETURNING 1) SELECT count(*) FROM gone"


@dataclass(frozen=True, slots=True)
class RunTables:
    """The two tables of a kind of runs. The comment of `runs` is the version of both.

    key: name of the column of `streams` that has the run's id. locks: numbers that no other advisory lock has.
    """

    runs: sa.Table
    streams: sa.Table
    key: str
    locks: tuple[int, int]


class RunStore:
    """The runs of one kind in one database. Every method raises CatalogUnavailable.

    `prepare` makes the tables; the methods that erase need none.
    """

    def __init__(self, transactions: Transactions, tables: RunTables) -> None:
        self._transactions, self._tables = transactions, tables
        start = f"(SELECT started FROM {tables.runs.name} WHERE id = {tables.key})"
        self._older = f"coalesce(at, {start}) < to_timestamp(:value)"

    def prepare(self) -> None:
        """Create the tables if there are none."""
        runs = self._tables.runs

        def work(connection: sa.Connection) -> None:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(self._tables.locks[0])))
            table = f"SELECT obj_description(oid, 'pg_class') FROM pg_class WHERE oid = to_regclass('{runs.name}')"
            found = connection.exec_driver_sql(table).one_or_none()
            if found is not None and found[0] != runs.comment:
                raise CatalogUnavailable(
                    f"The table {runs.name} is not this program's, or of another version: rename it, or set DB_NAME "
                    "to another database."
                )
            runs.metadata.create_all(connection)

        self._transactions.run(work)

    def new_id(self) -> int:
        """Return an id that no run has had."""
        sequence = sa.text(f"SELECT nextval(pg_get_serial_sequence('{self._tables.runs.name}', 'id'))")
        return self._transactions.run(lambda connection: int(connection.execute(sequence).scalar_one()))

    @contextmanager
    def claimed(self, run_id: int) -> Iterator[bool]:
        """Yield whether no other process works on this run; keep others off it in the block."""
        engine = self._transactions.engine.execution_options(isolation_level="AUTOCOMMIT")  # no transaction for hours
        with translate_errors(), engine.connect() as connection:
            place = self._tables.locks[1], run_id % 2**31
            free = bool(connection.execute(sa.select(sa.func.pg_try_advisory_lock(*place))).scalar())
            if not free:
                connection.close()
            try:
                yield free
            finally:
                if free:
                    with suppress(SQLAlchemyError):  # a lost connection has freed it
                        connection.execute(sa.select(sa.func.pg_advisory_unlock(*place)))

    def count(self, logins: Iterable[str]) -> int:
        """Return the number of rows of these logins."""
        return self._if_there(_COUNT, _THEIRS, to_array(logins))

    def remove(self, logins: Iterable[str]) -> int:
        """Delete the rows of these logins from all runs; return how many."""
        return self._if_there(_DELETE, _THEIRS, to_array(logins))

    def count_older(self, before: float) -> int:
        """Return the number of rows whose last look, or the start of whose run, was before a time, epoch seconds."""
        return self._if_there(_COUNT, self._older, before)

    def remove_older(self, before: float) -> int:
        """Delete the rows that `count_older` counts; return how many. What the runs have without logins stays."""
        return self._if_there(_DELETE, self._older, before)

    def _if_there(self, statement: str, condition: str, value: object) -> int:
        """Return the number that a statement on the streams that meet a condition gives; 0 without the tables."""
        table = self._tables.streams.name

        def work(connection: sa.Connection) -> int:
            if not connection.exec_driver_sql(f"SELECT to_regclass('{table}') IS NOT NULL").scalar():
                return 0
            query = sa.text(statement.format(f"{table} WHERE {condition}"))
            return int(connection.execute(query, {"value": value}).scalar_one())

        return self._transactions.run(work)
