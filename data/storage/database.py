"""PostgreSQL: the two tables, and an engine on the user's server or on an embedded one (data.storage.embedded_postgres).

The folder of frames is the truth; these tables are its index and can be rebuilt from it (data.dbSync).
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from config import Settings

metadata = MetaData()

games = Table(
    "games",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),  # Twitch's id, not ours
    Column("name", Text, nullable=False),
    Column("frames", Integer, nullable=False, server_default="0"),  # kept, so that choosing a game reads few rows
)

frames = Table(
    "frames",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("path", Text, nullable=False, unique=True),  # StoredFrame.path
    Column("game_id", BigInteger, ForeignKey("games.id", ondelete="CASCADE"), nullable=False),
    Column("user_login", Text, nullable=False),
    Column("date", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Index("frames_game_id_user_login_idx", "game_id", "user_login"),  # serves the foreign key, and counting streamers
)

_TABLES_LOCK = 7_487_010  # any number will do; it only has to be the same in every command


@contextlib.contextmanager
def connect(settings: Settings) -> Iterator[Engine]:
    """An engine on the database that the settings name, with the tables there; disposed of at the end.

    With DB_HOST empty: on the embedded server in DOWNLOAD_PATH/postgres, which is started if no other
    command did so, and stopped by the last command that leaves. Raises CatalogUnavailable.
    """
    with contextlib.ExitStack() as stack:
        if settings.db_host:
            url = _url(settings)
        else:
            socket = stack.enter_context(embedded_postgres.server(settings.download_path / "postgres"))
            url = URL.create("postgresql+psycopg2", "postgres", None, str(socket), embedded_postgres.PORT, "postgres")
        engine = _engine(url, settings.timeout_s)
        stack.callback(engine.dispose)
        _make_tables(engine)
        yield engine


def _url(settings: Settings) -> URL:
    """The user's own server. Without a password libpq looks for one in ~/.pgpass."""
    password = settings.db_password.get_secret_value() or None
    return URL.create(
        "postgresql+psycopg2", settings.db_user, password, settings.db_host, settings.db_port, settings.db_name
    )


def _engine(url: URL, timeout_s: float) -> Engine:
    """An engine that notices a dead server: at connecting, before each use, and in the middle of an answer."""
    options = {
        "connect_timeout": max(2, math.ceil(timeout_s)),  # libpq: 1 means 2
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "application_name": "twitchcategory",
    }
    return create_engine(url, pool_pre_ping=True, connect_args=options)


def _make_tables(engine: Engine) -> None:
    """Make the tables where they are missing. The lock lets two commands that start at once both succeed."""
    with translated(), engine.begin() as connection:
        connection.execute(select(func.pg_advisory_xact_lock(_TABLES_LOCK)))
        metadata.create_all(connection)


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Turn what SQLAlchemy and the driver raise in the block into CatalogConnectionLost or, mostly, CatalogUnavailable."""
    try:
        yield
    except SQLAlchemyError as error:
        raise _translation(error) from error
    except UnicodeDecodeError as error:  # psycopg2, given a refusal in the server's language and encoding
        raise CatalogUnavailable("PostgreSQL refused: check DB_NAME, DB_USER and DB_PASSWORD.") from error


# The server's words, and what to do. A refused connection carries no error code, in psycopg2, only text.
_REFUSED = (
    (("password", "authentication", "pg_hba", "role "), "check DB_USER and DB_PASSWORD"),
    (('database "', "does not exist"), "make the database with createdb, or check DB_NAME"),
    (("permission denied",), "GRANT the role DB_USER the right to create and change tables there"),
    (("space left", "disk full"), "free some space on the server's disk"),
)
_AWAY = (
    (("starting up", "shutting down", "recovery mode"), "try again when it has started"),
    (("connect", "translate host", "timeout", "refused"), "start the server, or check DB_HOST and DB_PORT"),
)


def _translation(error: SQLAlchemyError) -> CatalogUnavailable:
    """The same in a line that says what to do."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    said = (str(cause).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    refusal = _todo(said, _REFUSED)
    todo = refusal or _todo(said, _AWAY) or "try again"
    kind = CatalogConnectionLost if _lost(error) and not refusal else CatalogUnavailable
    return kind(f"PostgreSQL: {said}: {todo}. The frames are safe; python -m data.dbSync rebuilds their rows.")


def _lost(error: SQLAlchemyError) -> bool:
    """Whether a connection broke, or could not be made: that has no code, and may be a refusal by its words."""
    if not isinstance(error, DBAPIError):
        return False
    no_code = getattr(error.orig, "pgcode", None) is None
    return error.connection_invalidated or (isinstance(error, OperationalError) and no_code)


def _todo(said: str, table: tuple[tuple[tuple[str, ...], str], ...]) -> str:
    """What the table's first line with a word of what was said asks for; "" without one."""
    return next((todo for words, todo in table if any(word in said.lower() for word in words)), "")
