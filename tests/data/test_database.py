"""data.storage.database: connections to the user's own server, and the messages of failures."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from data.errors import CatalogUnavailable
from data.factories import connect_database
from data.storage.catalog import Catalog
from tests.data.conftest import settings


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
    others = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
    catalog.games()
    with connect_database(settings(**server)) as other, other.begin() as connection:
        connection.execute(others)
    assert len(catalog.games()) == 0


def test_the_tables_are_the_documented_ones(engine: Engine):
    """Column types, keys and indexes, as users of the database rely on them."""
    query = """
        SELECT table_name || '.' || column_name || ' ' || data_type || CASE is_nullable WHEN 'NO' THEN '' ELSE '?' END
        FROM information_schema.columns WHERE table_schema = 'public' ORDER BY table_name, ordinal_position
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
        "games.id bigint",
        "games.name text",
        "games.frames integer",
    ]
    assert any("UNIQUE" in index and "(path)" in index for index in indexes)
    assert any("(game_id, user_login)" in index for index in indexes)
