"""Repository of surveys on a cluster: their answers in PostgreSQL, so that the same command goes on after a kill.

    surveys       one row for each survey: what it covers, its model, when it began and ended
    survey_rows   one row for each source that has an answer, a failure too

A source has one row in a survey: a second answer, as after a lost connection, changes nothing. What an answer is, is
the business of recognition: here it is text. Surveys are for going on only: old ones are deleted.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import sqlalchemy as sa

from data.storage.run_store import RunRecord, RunStore, run_columns
from data.storage.statements import to_array

metadata = sa.MetaData()

surveys = sa.Table(
    "surveys",
    metadata,
    *run_columns("surveys"),
    comment="twitchcategory surveys 1",  # the number is the version of both tables
)

survey_rows = sa.Table(
    "survey_rows",
    metadata,
    sa.Column("survey_id", sa.BigInteger, sa.ForeignKey("surveys.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("login", sa.Text, nullable=False),  # empty: the source is no channel of Twitch
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("answer", sa.Text, nullable=False),
    sa.Index("survey_rows_login_idx", "login"),  # to forget somebody
)

# In the order of the sources, so that two commands that answer for the same ones never deadlock.
_ADD = sa.text("""
    WITH quick AS (SELECT set_config('synchronous_commit', 'off', true))
    INSERT INTO survey_rows (survey_id, source, login, at, answer)
    SELECT :survey_id, source, login, at, answer FROM quick, unnest(
        CAST(:sources AS text[]), CAST(:logins AS text[]), CAST(:times AS timestamptz[]), CAST(:answers AS text[])
    ) AS given (source, login, at, answer)
    ORDER BY source ON CONFLICT DO NOTHING
""")


@dataclass(frozen=True, slots=True)
class SurveyRow:
    """The answer for a source. source: a key without NUL. login: "" if it is no channel of Twitch."""

    source: str
    login: str
    at: datetime
    answer: str


class SurveyStore(RunStore[RunRecord]):
    """The surveys of one database. Every method raises CatalogUnavailable."""

    runs, streams, key, locks = surveys, survey_rows, "survey_id", (7_487_014, 7_487_015)

    def begin(self, record: RunRecord) -> None:
        """Store a survey with an id of `new_id`."""
        self._transactions.run(lambda connection: self._insert_run(connection, record))

    def answers(self, survey_id: int) -> list[str]:
        """Return the answers of a survey, oldest first."""
        query = sa.select(survey_rows.c.answer).where(survey_rows.c.survey_id == survey_id).order_by(survey_rows.c.at)
        return self._transactions.run(lambda connection: list(connection.execute(query).scalars()))

    def add(self, survey_id: int, rows: Collection[SurveyRow]) -> None:
        """Store answers, not for sources that have one. A power cut may lose them: the sources are looked at again."""
        values = {
            "survey_id": survey_id,
            "sources": to_array(row.source for row in rows),
            "logins": to_array(row.login for row in rows),
            "times": to_array(row.at.isoformat() for row in rows),
            "answers": to_array(row.answer for row in rows),
        }
        self._transactions.run(lambda connection: connection.execute(_ADD, values))

    def finish(self, survey_id: int, ended: datetime) -> None:
        """Note the end of a survey: nobody goes on with it."""
        self._transactions.run(lambda connection: self._update_run(connection, survey_id, ended=ended))

    def remove_surveys(self, before: datetime) -> None:
        """Delete the surveys that began before a time, with their answers."""
        deletion = sa.delete(surveys).where(surveys.c.started < before)
        self._transactions.run(lambda connection: connection.execute(deletion))

    def _to_record(self, row: sa.Row[Any]) -> RunRecord:
        return RunRecord(row.id, row.scope, row.model, row.started.astimezone(timezone.utc))
