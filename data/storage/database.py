"""Database schema and connection: two tables, on the user's PostgreSQL server or on an embedded one.

The folder of frames is the truth; these tables are its index, and data.dbSync can rebuild them from it.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

from sqlalchemy import (
    URL,
    BigInteger,
    Column,
    DateTime,
    Engine,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    create_engine,
    func,
    select,
)
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from data.errors import CatalogConnectionLost, CatalogUnavailable
from data.storage import embedded_postgres

Database: TypeAlias = Engine  # the type by which modules that must not import SQLAlchemy name an engine

metadata = MetaData()

games = Table(
    "games",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),  # Twitch's id
    Column("name", Text, nullable=False),
    Column("frames", Integer, nullable=False, server_default="0"),  # denormalised: choosing a game reads few rows
)

frames = Table(
    "frames",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("path", Text, nullable=False, unique=True),  # StoredFrame.path
    Column("game_id", BigInteger, ForeignKey("games.id", ondelete="CASCADE"), nullable=False),
    Column("user_login", Text, nullable=False),
    Column("date", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Index("frames_game_id_user_login_idx", "game_id", "user_login"),  # for the foreign key and for counting streamers
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
        if host:
            # Without a password libpq looks for one in ~/.pgpass.
            url = URL.create("postgresql+psycopg2", user, password or None, host, port, name)
        else:
            socket = stack.enter_context(embedded_postgres.running_server(embedded_home))
            url = URL.create("postgresql+psycopg2", "postgres", None, str(socket), embedded_postgres.PORT, "postgres")
        engine = _engine(url, timeout_s)
        stack.callback(engine.dispose)
        _create_tables(engine)
        yield engine


def _engine(url: URL, timeout_s: float) -> Engine:
    """Return an engine that notices a dead server: when it connects, before each use, and during a query."""
    options = {
        "connect_timeout": max(2, math.ceil(timeout_s)),  # libpq takes 1 for 2
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "application_name": "twitchcategory",
    }
    return create_engine(url, pool_pre_ping=True, connect_args=options)


def _create_tables(engine: Engine) -> None:
    """Create the missing tables."""
    with translate_errors(), engine.begin() as connection:
        # CREATE TABLE IF NOT EXISTS can fail when two commands run it at the same time.
        connection.execute(select(func.pg_advisory_xact_lock(_TABLES_LOCK)))
        metadata.create_all(connection)


@contextlib.contextmanager
def translate_errors() -> Iterator[None]:
    """Translate errors of SQLAlchemy and the driver in the block into CatalogConnectionLost or CatalogUnavailable."""
    try:
        yield
    except SQLAlchemyError as error:
        raise _to_catalog_error(error) from error
    except UnicodeDecodeError as error:  # psycopg2 cannot decode a refusal in the server's own language and encoding
        raise CatalogUnavailable("PostgreSQL refused: check DB_NAME, DB_USER and DB_PASSWORD.") from error


# Parts of the server's message, and what to do. psycopg2 gives a refused connection no error code, only text.
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
    error_type = CatalogConnectionLost if _is_connection_lost(error) and not refusal else CatalogUnavailable
    return error_type(
        f"PostgreSQL: {message}: {advice}. The frames are safe; python -m data.dbSync rebuilds their rows."
    )


def _is_connection_lost(error: SQLAlchemyError) -> bool:
    """Return whether a connection broke or could not be made. The message of the latter may still be a refusal."""
    if not isinstance(error, DBAPIError):
        return False
    no_code = getattr(error.orig, "pgcode", None) is None
    return error.connection_invalidated or (isinstance(error, OperationalError) and no_code)


def _advice(message: str, table: tuple[tuple[tuple[str, ...], str], ...]) -> str:
    """Return the advice of the table's first row of which a part occurs in `message`; "" without a match."""
    return next((advice for parts, advice in table if any(part in message.lower() for part in parts)), "")
