"""Repository of surveys on a cluster: their answers in PostgreSQL, so that the same command goes on after a kill.

    surveys       one row for each survey: what it covers, its model, when it began and ended
    survey_rows   one row for each source that has an answer, a failure too

A source has one row in a survey: a second answer, as after a lost connection, changes nothing. What an answer is, is
the business of recognition: here it is text. Surveys are for going on only: old ones are deleted.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timezone

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from data.storage.run_store import RunStore, RunTables
from data.storage.transactions import Transactions

_LOCKS = 7_487_014, 7_487_015  # arbitrary numbers, the same in every command

metadata = sa.MetaData()

surveys = sa.Table(
    "surveys",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("scope", sa.Text, nullable=False),  # the same text for the same command
    sa.Column("model", sa.Text, nullable=False),  # SHA-256 of the model
    sa.Column("started", sa.DateTime(timezone=True), nullable=False),
    sa.Column("ended", sa.DateTime(timezone=True)),  # NULL: not yet
    sa.Index("surveys_started_idx", "started"),
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

# One text, because SQLAlchemy compiles an INSERT with ON CONFLICT again for each row.
_ADD = sa.text(
    "WITH quick AS (SELECT set_config('synchronous_commit', 'off', true)) "
    "INSERT INTO survey_rows (survey_id, source, login, at, answer) "
    "SELECT :survey_id, :source, :login, :at, :answer FROM quick ON CONFLICT DO NOTHING"
)


@dataclass(frozen=True, slots=True)
class SurveyRecord:
    """A survey. scope: what it covers and how, the same text for the same command. model: hash of the model."""

    id: int
    scope: str
    model: str
    started: datetime


@dataclass(frozen=True, slots=True)
class SurveyRow:
    """The answer for a source. source: a key without NUL. login: "" if it is no channel of Twitch."""

    source: str
    login: str
    at: datetime
    answer: str


class SurveyStore(RunStore):
    """The surveys of one database. Every method raises CatalogUnavailable."""

    def __init__(self, transactions: Transactions) -> None:
        super().__init__(transactions, RunTables(surveys, survey_rows, "survey_id", _LOCKS))

    def begin(self, record: SurveyRecord) -> None:
        """Store a survey with an id of `new_id`."""
        values = {"id": record.id, "scope": record.scope, "model": record.model, "started": record.started}
        query = insert(surveys).values(values).on_conflict_do_nothing()
        self._transactions.run(lambda connection: connection.execute(query))

    def unfinished(self, scope: str, model: str, since: datetime) -> list[SurveyRecord]:
        """Return the surveys of this scope and model that began after `since` and have not ended, newest first."""
        query = sa.select(surveys).where(surveys.c.scope == scope, surveys.c.model == model, surveys.c.started > since)
        query = query.where(surveys.c.ended.is_(None)).order_by(surveys.c.id.desc())
        return self._transactions.run(
            lambda connection: [
                SurveyRecord(row.id, row.scope, row.model, row.started.astimezone(timezone.utc))
                for row in connection.execute(query)
            ]
        )

    def answers(self, survey_id: int) -> list[str]:
        """Return the answers of a survey, oldest first."""
        query = sa.select(survey_rows.c.answer).where(survey_rows.c.survey_id == survey_id).order_by(survey_rows.c.at)
        return self._transactions.run(lambda connection: list(connection.execute(query).scalars()))

    def add(self, survey_id: int, row: SurveyRow) -> None:
        """Store an answer, unless the source has one. A power cut may lose it; then the source is looked at again."""
        values = {"survey_id": survey_id, **asdict(row)}
        self._transactions.run(lambda connection: connection.execute(_ADD, values))

    def finish(self, survey_id: int, ended: datetime) -> None:
        """Note the end of a survey: nobody goes on with it."""
        update = sa.update(surveys).where(surveys.c.id == survey_id).values(ended=ended)
        self._transactions.run(lambda connection: connection.execute(update))

    def remove_surveys(self, before: datetime) -> None:
        """Delete the surveys that began before a time, with their answers."""
        deletion = sa.delete(surveys).where(surveys.c.started < before)
        self._transactions.run(lambda connection: connection.execute(deletion))
