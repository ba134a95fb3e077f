"""data.storage.database: connections to the user's own server, and the messages of failures."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from data.errors import CatalogConnectionLost, CatalogUnavailable
from data.factories import connect_database
from data.storage.catalog import Catalog
from data.storage.database import translate_errors
from tests.data.conftest import settings
from tests.data.restartable_postgres import LossyProxy


@pytest.fixture(scope="module")
def guarded(shared: Path, server: dict[str, str]) -> Iterator[dict[str, str]]:
    """The server with a role `guest` that needs a password, and a role `poor` that may not create tables."""
    rules = shared / "postgres" / "data" / "pg_hba.conf"
    before = rules.read_text()
    with connect_database(settings(**server)) as engine, engine.begin() as connection:
        connection.execute(text("CREATE ROLE guest LOGIN SUPERUSER PASSWORD 'right'"))
        connection.execute(text("CREATE ROLE poor LOGIN"))
        rules.write_text("local all guest scram-sha-256\n" + before)
        connection.execute(text("SELECT pg_reload_conf()"))
    yield server
    rules.write_text(before)
    with connect_database(settings(**server)) as engine, engine.begin() as connection:
        connection.execute(text("DROP ROLE guest, poor"))
        connection.execute(text("SELECT pg_reload_conf()"))


def _failure(**values: str) -> str:
    with pytest.raises(CatalogUnavailable) as caught, connect_database(settings(**values)):
        pass
    line = str(caught.value)
    assert "\n" not in line
    assert "dbSync" in line
    return line


def test_a_wrong_password_names_the_settings_and_the_right_one_connects(guarded: dict[str, str], catalog: Catalog):
    """DB_PASSWORD reaches the server; the message of a refusal names the settings and hides the password."""
    with connect_database(settings(**guarded | {"DB_USER": "guest", "DB_PASSWORD": "right"})) as engine:
        assert len(Catalog(engine).games()) == len(catalog.games()) == 0
    line = _failure(**guarded | {"DB_USER": "guest", "DB_PASSWORD": "wrong one"})
    assert "check DB_USER and DB_PASSWORD" in line
    assert "wrong one" not in line


def test_an_unknown_role_or_database_names_its_setting(guarded: dict[str, str]):
    """DB_USER for the role, DB_NAME for the database."""
    assert "check DB_USER" in _failure(**guarded | {"DB_USER": "nobody_here"})
    assert "check DB_NAME" in _failure(**guarded | {"DB_NAME": "not_there"})


def test_a_role_without_the_right_to_create_tables_is_advised_to_grant(guarded: dict[str, str], catalog: Catalog):
    """Since PostgreSQL 15 a role needs an explicit right to create tables in the schema public."""
    with (
        pytest.raises(CatalogUnavailable, match="GRANT"),
        connect_database(settings(**guarded | {"DB_USER": "poor"})) as e,
    ):
        Catalog(e).games()


def test_a_server_that_is_down_or_nowhere_names_host_and_port(unused_port: int):
    """A refused connection and an unknown host give the same advice."""
    assert "check DB_HOST and DB_PORT" in _failure(DB_HOST="127.0.0.1", DB_PORT=str(unused_port))
    assert "check DB_HOST and DB_PORT" in _failure(DB_HOST="/nowhere", DB_PORT="5432")


def test_a_silent_server_fails_after_timeout_s():
    """Another program listens on the port and sends nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        line = _failure(DB_HOST="127.0.0.1", DB_PORT=str(port), TIMEOUT_S="2")
    assert "check DB_HOST and DB_PORT" in line


@pytest.fixture
def unused_port() -> int:
    """A port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def test_concurrent_commands_on_an_empty_database_all_find_the_tables(server: dict[str, str], engine: Engine):
    """Eight threads connect at the same time to a database without tables; none fails."""
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE frames, games"))
    counts: list[int] = []

    def use() -> None:
        with connect_database(settings(**server)) as own:
            counts.append(len(Catalog(own).games()))

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [0] * 8


def test_a_broken_connection_is_replaced(server: dict[str, str], catalog: Catalog):
    """The server ends the connection between two calls; the next call works."""
    # Only those of this database: other workers use others on the same server.
    where = "datname = current_database() AND pid <> pg_backend_pid()"
    others = text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {where}")
    catalog.games()
    with connect_database(settings(**server)) as other, other.begin() as connection:
        connection.execute(others)
    assert len(catalog.games()) == 0


def test_server_ends_the_session_of_a_client_that_the_network_has_lost(engine: Engine):
    """A node that is cut off within a transaction must not keep the lock that every other download waits for."""
    with engine.connect() as connection:
        assert connection.scalar(text("SHOW idle_in_transaction_session_timeout")) == "5min"


def test_the_tables_are_the_documented_ones(engine: Engine):
    """Column types, keys and indexes, as users of the database rely on them."""
    query = """
        SELECT table_name || '.' || column_name || ' ' || data_type || CASE is_nullable WHEN 'NO' THEN '' ELSE '?' END
        FROM information_schema.columns WHERE table_schema = 'public' AND table_name IN ('frames', 'games')
        ORDER BY table_name, ordinal_position
    """
    with engine.begin() as connection:
        columns = list(connection.scalars(text(query)))
        indexes = set(connection.scalars(text("SELECT indexdef FROM pg_indexes WHERE tablename = 'frames'")))
    assert columns == [
        "frames.id bigint",
        "frames.path text",
        "frames.game_id bigint",
        "frames.user_login text",
        "frames.date timestamp with time zone",
        "frames.sha256 bytea?",
        "frames.language text?",
        "frames.viewers integer?",
        "frames.title text?",
        "frames.origin text?",
        "games.id bigint",
        "games.name text",
        "games.frames integer",
    ]
    assert any("UNIQUE" in index and "(path)" in index for index in indexes)
    assert any("(game_id, user_login)" in index for index in indexes)


@pytest.mark.parametrize(
    ("variable", "value", "advice"),
    [
        ("PGSSLMODE", "nonsense", "correct PGSSLMODE and the certificates"),
        ("PGSERVICE", "nowhere", "unset PGSERVICE, or correct the service file"),
        ("PGOPTIONS", "-c no_such_setting=1", "correct PGOPTIONS"),
        ("PGOPTIONS", "-c default_transaction_read_only=on", "set default_transaction_read_only to off"),
        ("PGREQUIREAUTH", "md5", "unset the variables that demand it"),
        ("PGTARGETSESSIONATTRS", "standby", "set DB_HOST to the primary server"),
    ],
)
def test_a_variable_of_libpq_that_spoils_the_connection_is_named(
    server: dict[str, str], monkeypatch: pytest.MonkeyPatch, variable: str, value: str, advice: str
):
    """The advice is about the variable, which the line names, and not about host, role or password."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(CatalogUnavailable) as caught, connect_database(settings(**server)):
        pass
    assert advice in (line := str(caught.value))
    assert f"(the environment sets {variable})" in line


def test_a_server_without_ssl_is_told_as_what_it_is(server: dict[str, str], monkeypatch: pytest.MonkeyPatch):
    """PGSSLMODE=require with a server that has none, over TCP: a proxy to the socket, which knows no SSL."""
    monkeypatch.setenv("PGSSLMODE", "require")
    with LossyProxy(server["DB_HOST"], 0) as proxy:
        assert "does not support SSL" in (line := _failure(**server | proxy.settings))
    assert "correct PGSSLMODE" in line


def test_a_socket_of_somebody_else_is_told_as_what_it_is():
    """The advice is about the socket, not about rights of a role in the database: nobody has asked it yet."""
    message = 'connection to server on socket "/x/.s.PGSQL.5432" failed: Permission denied'
    with pytest.raises(CatalogUnavailable, match="let this user open the server's socket"), translate_errors():
        raise OperationalError("", None, Exception(message)) from None


def test_another_address_in_the_environment_does_not_replace_db_host(
    server: dict[str, str], catalog: Catalog, monkeypatch: pytest.MonkeyPatch
):
    """PGHOSTADDR, PGHOST, PGPORT, PGUSER and PGDATABASE yield to the DB settings."""
    for name, value in (("HOSTADDR", "192.0.2.1"), ("HOST", "x"), ("PORT", "1"), ("USER", "x"), ("DATABASE", "x")):
        monkeypatch.setenv(f"PG{name}", value)
    with connect_database(settings(**server)) as engine:
        assert Catalog(engine).games() == catalog.games() == []


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("57014", "raise statement_timeout"),
        ("55P03", "or raise lock_timeout"),
        ("25006", "DB_HOST to the primary"),
        ("53100", "free some space"),
        ("53300", "close other connections"),
        ("42501", "GRANT"),
    ],
)
def test_each_error_of_the_server_gets_its_own_advice(engine: Engine, code: str, advice: str):
    """By its code, in whatever language the server words it; the connection is not taken for lost."""
    raised = f"DO $$ BEGIN RAISE EXCEPTION 'permission denied' USING ERRCODE = '{code}'; END $$"
    with pytest.raises(CatalogUnavailable) as caught, translate_errors(), engine.begin() as connection:
        connection.exec_driver_sql(raised)
    assert advice in str(caught.value)
    assert not isinstance(caught.value, CatalogConnectionLost)


def test_a_statement_timeout_does_not_pass_for_a_server_that_is_down(
    server: dict[str, str], monkeypatch: pytest.MonkeyPatch
):
    """The message of PostgreSQL contains the word timeout, as that of a lost connection does."""
    monkeypatch.setenv("PGOPTIONS", "-c statement_timeout=100")
    with (
        connect_database(settings(**server)) as engine,
        pytest.raises(CatalogUnavailable) as caught,
        translate_errors(),
        engine.begin() as connection,
    ):
        connection.exec_driver_sql("SELECT pg_sleep(60)")
    assert "raise statement_timeout for the role or the database" in (line := str(caught.value))
    assert "PGOPTIONS" in line
    assert "DB_HOST" not in line


def test_too_many_connections_are_told_as_what_they_are(guarded: dict[str, str], engine: Engine):
    """The role may not connect once more; that may pass, so a running download waits."""
    with engine.begin() as connection:
        connection.execute(text("ALTER ROLE poor CONNECTION LIMIT 0"))
    try:
        line = _failure(**guarded | {"DB_USER": "poor"})
    finally:
        with engine.begin() as connection:
            connection.execute(text("ALTER ROLE poor CONNECTION LIMIT -1"))
    assert "close other connections, or raise max_connections" in line
