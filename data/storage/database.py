"""Database schema and connection: two tables, on the user's PostgreSQL server or on an embedded one.

The folder of frames is the truth; these tables are its index, and data.dbSync can rebuild them from it.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from data.errors import CatalogConnectionLost, CatalogUnavailable
from data.storage import embedded_postgres

Database: TypeAlias = sa.Engine  # the type by which modules that must not import SQLAlchemy name an engine

metadata = sa.MetaData()

games = sa.Table(
    "games",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),  # Twitch's id
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("frames", sa.Integer, nullable=False, server_default="0"),  # denormalised: choosing a game reads few rows
)

frames = sa.Table(
    "frames",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("path", sa.Text, nullable=False, unique=True),  # StoredFrame.path
    sa.Column("game_id", sa.BigInteger, sa.ForeignKey("games.id", ondelete="CASCADE"), nullable=False),
    sa.Column("user_login", sa.Text, nullable=False),
    sa.Column("date", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    sa.Index("frames_game_id_user_login_idx", "game_id", "user_login"),  # for the foreign key and to count streamers
)

_TABLES_LOCK = 7_487_010  # an arbitrary number, the same in every command


@contextlib.contextmanager
def connect(
    *, host: str, port: int, name: str, user: str, password: str, timeout_s: float, embedded_home: Path
) -> Iterator[Database]:
    """Yield an engine on the database `name`; create missing tables; dispose of the engine at the end.

    With an empty `host`, use the embedded server in `embedded_home` instead: the first command starts that server, the
    last one to leave stops it. `timeout_s`: for connecting, seconds. Raises CatalogUnavailable.
    """
    with contextlib.ExitStack() as stack:
        if not host:
            host = str(stack.enter_context(embedded_postgres.running_server(embedded_home)))
            port, name, user, password = embedded_postgres.PORT, "postgres", "postgres", ""
        # Without a password libpq looks for one in ~/.pgpass.
        url = sa.URL.create("postgresql+psycopg2", user, password or None, host, port, name)
        # A dead server is noticed when connecting, before each use, and during a query.
        options = {
            "connect_timeout": max(2, math.ceil(timeout_s)),  # libpq takes 1 for 2
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            "application_name": "twitchcategory",
        }
        engine = sa.create_engine(url, pool_pre_ping=True, connect_args=options)
        stack.callback(engine.dispose)
        with translate_errors(), engine.begin() as connection:
            # CREATE TABLE IF NOT EXISTS can fail when two commands run it at the same time.
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_TABLES_LOCK)))
            metadata.create_all(connection)
        yield engine


@contextlib.contextmanager
def translate_errors() -> Iterator[None]:
    """Translate errors of SQLAlchemy and the driver in the block into CatalogConnectionLost or CatalogUnavailable."""
    try:
        yield
    except SQLAlchemyError as error:
        raise _to_catalog_error(error) from error
    except UnicodeDecodeError as error:  # psycopg2 cannot decode a refusal in the server's own language and encoding
        raise CatalogUnavailable("PostgreSQL refused: check DB_NAME, DB_USER and DB_PASSWORD.") from error


# Parts of the server's message, and what to do.
_REFUSAL_ADVICE = (
    (("password", "authentication", "pg_hba", "role "), "check DB_USER and DB_PASSWORD"),
    (('database "', "does not exist"), "make the database with createdb, or check DB_NAME"),
    (("permission denied",), "GRANT the role DB_USER the right to create and change tables there"),
    (("space left", "disk full"), "free some space on the server's disk"),
)
_OUTAGE_ADVICE = (
    (("starting up", "shutting down", "recovery mode"), "try again when it has started"),
    (("connect", "translate host", "timeout", "refused"), "start the server, or check DB_HOST and DB_PORT"),
)


def _to_catalog_error(error: SQLAlchemyError) -> CatalogUnavailable:
    """Return the error as one line that says what to do."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    message = (str(cause).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    refusal = _advice(message, _REFUSAL_ADVICE)
    advice = refusal or _advice(message, _OUTAGE_ADVICE) or "try again"
    # A connection broke, or could not be made: psycopg2 gives the latter no error code, and it may be a refusal.
    broke = isinstance(error, DBAPIError) and error.connection_invalidated
    not_made = isinstance(error, OperationalError) and getattr(cause, "pgcode", None) is None
    error_type = CatalogConnectionLost if (broke or not_made) and not refusal else CatalogUnavailable
    return error_type(
        f"PostgreSQL: {message}: {advice}. The frames are safe; python -m data.dbSync rebuilds their rows."
    )


def _advice(message: str, table: tuple[tuple[tuple[str, ...], str], ...]) -> str:
    """Return the advice of the table's first row of which a part occurs in `message`; "" without a match."""
    return next((advice for parts, advice in table if any(part in message.lower() for part in parts)), "")
