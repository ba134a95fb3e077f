"""Database connection: to the user's PostgreSQL server or to an embedded one, checked before it is used.

Whatever is wrong with the server, the database, its tables or the role's rights is one line at connecting, or, where it
happens later, one line that says what to do.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, TypeAlias

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from data.errors import CatalogConnectionLost, CatalogUnavailable
from data.storage import embedded_postgres, schema
from data.text import printable

log = logging.getLogger(__name__)

Database: TypeAlias = sa.Engine  # the type by which modules that must not import SQLAlchemy name an engine

metadata = schema.metadata  # the declared tables
Access: TypeAlias = Literal["write", "read", "dry run"]

_TABLES_LOCK = 7_487_010  # an arbitrary number, the same in every command
# Variables of libpq that change a connection although the DB settings name the server:
# https://www.postgresql.org/docs/current/libpq-envars.html
_REDIRECTING = ("PGHOST", "PGHOSTADDR", "PGSERVICE")
_CHANGING = (
    *("PGSERVICE", "PGSERVICEFILE", "PGOPTIONS", "PGPASSWORD", "PGPASSFILE", "PGREQUIREAUTH", "PGCHANNELBINDING"),
    *("PGSSLMODE", "PGSSLNEGOTIATION", "PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY", "PGSSLCRL", "PGREQUIREPEER"),
    *("PGSSLMINPROTOCOLVERSION", "PGSSLMAXPROTOCOLVERSION", "PGGSSENCMODE", "PGTARGETSESSIONATTRS"),
)
# After a cut of the network, and for a process that was suspended within a transaction. The system's default is 2 h:
# https://www.postgresql.org/docs/current/runtime-config-connection.html
_SILENCE = """
    SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3;
    SET idle_in_transaction_session_timeout = '5min'
"""
_WRITE_CHECK = """
    SELECT bool_and(has_table_privilege(name, privilege))
    FROM unnest('{games,frames}'::text[]) AS name, unnest('{SELECT,INSERT,UPDATE,DELETE}'::text[]) AS privilege
"""


@contextlib.contextmanager
def connect(
    *,
    host: str,
    port: int,
    name: str,
    user: str,
    password: str,
    timeout_s: float,
    embedded_home: Path,
    access: Access = "write",
) -> Iterator[Database]:
    """Yield an engine on the database `name`; create or migrate its tables; dispose of the engine at the end.

    With an empty `host`, use the embedded server in `embedded_home` instead: the first command starts that server, the
    last one to leave stops it. Raises CatalogUnavailable.

    Args:
        timeout_s: for connecting, seconds.
        access: "write" demands at once all rights that a download needs, "read" takes a read-only database, too. With
            "dry run" the engine has one connection and commits nothing, neither new tables nor a migration.
    """
    with contextlib.ExitStack() as stack:
        if not host:
            stack.enter_context(_without_variables_of_libpq())
            host = str(stack.enter_context(embedded_postgres.running_server(embedded_home)))
            port, name, user, password = embedded_postgres.PORT, "postgres", "postgres", ""
        # Without a password libpq looks for one in ~/.pgpass.
        url = sa.URL.create("postgresql+psycopg2", user, password or None, host, port, name)
        engine = _make_engine(url, timeout_s, dry_run=access == "dry run")
        stack.callback(engine.dispose)
        with translate_errors(), engine.begin() as connection:
            _check_database(connection, access)
        yield engine


def _make_engine(url: sa.URL, timeout_s: float, *, dry_run: bool) -> sa.Engine:
    # A dead server is noticed when connecting, before each use, and during a query.
    options = {
        "connect_timeout": max(2, math.ceil(timeout_s)),  # libpq takes 1 for 2
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": 60_000,  # milliseconds without an acknowledgement, for which the system waits 15 minutes
        "application_name": "twitchcategory",
        "client_encoding": "UTF8",  # whatever PGCLIENTENCODING and the database say
        "hostaddr": "",  # PGHOSTADDR would go before DB_HOST
    }
    if not dry_run:
        engine = sa.create_engine(url, pool_pre_ping=True, connect_args=options)
        sa.event.listen(engine, "connect", _limit_silence)
        return engine
    # One transaction from the first statement to the end of the connection, which rolls it back.
    engine = sa.create_engine(url, poolclass=sa.StaticPool, pool_reset_on_return=None, connect_args=options)
    engine.dialect.do_commit = _commit_nothing  # type: ignore[method-assign]
    return engine


def _limit_silence(connection: Any, _record: object) -> None:
    """Have the server end the session of a client that it has lost: it may hold the lock that all others wait for."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(_SILENCE)
        connection.commit()
    except connection.Error:  # a broken connection says so at its next use
        with contextlib.suppress(connection.Error):
            connection.rollback()


def _commit_nothing(dbapi_connection: object) -> None:
    """Leave the transaction open."""


@contextlib.contextmanager
def _without_variables_of_libpq() -> Iterator[None]:
    """Take the PG variables out of the environment: an embedded server needs none, and they would lead elsewhere."""
    ignored = [name for name in _REDIRECTING if os.environ.get(name)]
    if ignored:
        log.warning("DB_HOST is empty: using the embedded PostgreSQL, not that of %s", " and ".join(ignored))
    removed = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("PG")}
    try:
        yield
    finally:
        os.environ.update(removed)


def _check_database(connection: sa.Connection, access: Access) -> None:
    """Bring the tables up to date. Raises CatalogUnavailable, now rather than after frames were grabbed."""
    # CREATE TABLE IF NOT EXISTS can fail when two commands run it at the same time.
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_TABLES_LOCK)))
    state = connection.exec_driver_sql(
        "SELECT current_database() AS name, current_user AS role, pg_is_in_recovery() AS is_standby,"
        " current_setting('server_encoding') AS encoding, current_setting('transaction_read_only') = 'on' AS read_only"
    ).one()
    if state.encoding not in ("UTF8", "SQL_ASCII"):
        raise CatalogUnavailable(
            f"The database {state.name} has the encoding {state.encoding}, which cannot store every game's name: "
            "make one with createdb --encoding=UTF8 --template=template0, and set DB_NAME to it."
        )
    if state.read_only and access == "write":
        raise CatalogUnavailable(
            f"The database {state.name} is on a standby server, which is read-only: set DB_HOST to the primary."
            if state.is_standby
            else f"The database {state.name} is read-only: {_READ_ONLY_ADVICE}{_variables()}."
        )
    schema.prepare(connection, writable=not state.read_only, dry_run=access == "dry run")
    if access == "write" and not connection.exec_driver_sql(_WRITE_CHECK).scalar():
        raise CatalogUnavailable(
            f"The role {state.role} may not change the tables games and frames of the database {state.name}: "
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON games, frames TO {state.role}."
        )


@contextlib.contextmanager
def translate_errors() -> Iterator[None]:
    """Translate errors of SQLAlchemy and the driver in the block into CatalogConnectionLost or CatalogUnavailable."""
    try:
        yield
    except SQLAlchemyError as error:
        raise _to_catalog_error(error) from error
    except UnicodeDecodeError as error:  # psycopg2 cannot decode a refusal in the server's own language and encoding
        raise CatalogUnavailable("PostgreSQL refused: check DB_NAME, DB_USER and DB_PASSWORD.") from error


_READ_ONLY_ADVICE = "set default_transaction_read_only to off for the role and the database"

# SQLSTATEs (https://www.postgresql.org/docs/current/errcodes-appendix.html), and what to do.
_CODE_ADVICE = {
    "25006": _READ_ONLY_ADVICE + ", or DB_HOST to the primary",
    "57014": "raise statement_timeout for the role or the database (0: no limit)",
    "55P03": "end the program that locks the tables, or raise lock_timeout",
    "25P03": "raise idle_in_transaction_session_timeout for the role or the database",
    "53100": "free some space on the server's disk",
    "53200": "give the server more memory",
    "53300": "close other connections, or raise max_connections",
    "3F000": "create a schema that is in the search_path of the role",
    "22021": "correct the names in the table games, which are not UTF-8",
    "22P05": "use a database with the encoding UTF8",
}
# Parts of the server's message, and what to do.
_REFUSAL_ADVICE = (
    (("no pg_hba.conf entry",), "allow this address, role and encryption in the server's pg_hba.conf"),
    (("method requirement", "channel binding", "gssenc", "gssapi"), "unset the variables that demand it"),
    (("does not support ssl", "certificate", "sslmode", "ssl error"), "correct PGSSLMODE and the certificates"),
    (("definition of service", "service file"), "unset PGSERVICE, or correct the service file"),
    (("configuration parameter", "command-line argument", "command-line option"), "correct PGOPTIONS"),
    (("standby mode", "session is read-only", "session is not read-only"), "set DB_HOST to the primary server"),
    (("password", "authentication", "pg_hba", "fatal:  role "), "check DB_USER and DB_PASSWORD"),
    (('database "', "does not exist"), "make the database with createdb, or check DB_NAME"),
    (("failed: permission denied",), "let this user open the server's socket, or set DB_HOST to an address"),
    (("permission denied",), "GRANT the role DB_USER the right to create and change tables there"),
    (("must be owner",), "run the command once as the owner of the tables"),
    (("space left", "disk full"), "free some space on the server's disk"),
)
_OUTAGE_ADVICE = (
    (("too many", "connection slots"), "close other connections, or raise max_connections"),
    (("starting up", "shutting down", "recovery mode"), "try again when it has started"),
    (("connect", "translate host", "timeout", "refused"), "start the server, or check DB_HOST and DB_PORT"),
)


def _to_catalog_error(error: SQLAlchemyError) -> CatalogUnavailable:
    """Return the error as one line that says what to do."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    lines = str(cause).strip().splitlines() or [type(error).__name__]
    # One line for each address of the host; the one that answered says more than one that did not.
    message = printable(next((line for line in reversed(lines) if "FATAL" in line), lines[0]).rstrip("."))
    code = getattr(cause, "pgcode", None)
    refusal = _CODE_ADVICE.get(code or "") or _advice(message, _REFUSAL_ADVICE)
    advice = refusal or _advice(message, _OUTAGE_ADVICE) or "try again"
    # A connection broke, or could not be made: psycopg2 gives the latter no error code, and it may be a refusal.
    broke = isinstance(error, DBAPIError) and error.connection_invalidated
    not_made = isinstance(error, OperationalError) and code is None
    error_type = CatalogConnectionLost if (broke or not_made) and not refusal else CatalogUnavailable
    return error_type(
        f"PostgreSQL: {message}: {advice}{_variables()}. "
        "The frames are safe; python -m data.dbSync rebuilds their rows."
    )


def _variables() -> str:
    """Return a part of an advice: the variables of libpq that are set; "" without any."""
    found = [name for name in _CHANGING if os.environ.get(name)]
    return f" (the environment sets {', '.join(found)})" if found else ""


def _advice(message: str, table: tuple[tuple[tuple[str, ...], str], ...]) -> str:
    """Return the advice of the table's first row of which a part occurs in `message`; "" without a match."""
    return next((advice for parts, advice in table if any(part in message.lower() for part in parts)), "")
