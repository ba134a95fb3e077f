"""data.storage.database_claims: claims in PostgreSQL, its restart, its absence, and a download that dies."""

from __future__ import annotations

import os
import signal

import pytest
import sqlalchemy as sa

from data.errors import StreamClaimed
from data.factories import open_claims
from data.storage.database_claims import DatabaseClaims
from tests.child_processes import start_child
from tests.data.conftest import settings

STORE = "s3://bucket/frames"
# Of this worker's database only.
_LOCKS = (
    "FROM pg_locks JOIN pg_database ON pg_database.oid = database "
    "WHERE locktype = 'advisory' AND datname = current_database()"
)


def test_another_download_into_the_store_has_another_number_and_other_streams(
    server: dict[str, str], engine: sa.Engine
):
    """Claims end with their block, those of another store are others, and the connection goes back to nobody.

    Two spellings of an address name one store.
    """
    with open_claims(settings(**server, STORE_URL=f"{STORE}/")) as first, DatabaseClaims(engine, STORE) as second:
        assert (first.number, second.number) == (0, 1)
        with first.claimed("ann"):
            with pytest.raises(StreamClaimed, match="ann: another download"), second.claimed("ann"):
                pass
            with second.claimed("bob"), DatabaseClaims(engine, "s3://bucket/other") as other, other.claimed("ann"):
                assert other.number == 0
        with second.claimed("ann"):
            pass
    with DatabaseClaims(engine, STORE) as again:
        assert again.number == 0


def test_claims_of_a_killed_download_are_free(server: dict[str, str], engine: sa.Engine):
    """The server frees them when the process is gone."""
    ready, signalled = os.pipe()

    def hold() -> None:
        engine.dispose(close=False)
        with open_claims(settings(**server, STORE_URL=STORE)) as claims, claims.claimed("ann"):
            os.write(signalled, b"+")
            signal.pause()

    child = start_child(hold)
    os.read(ready, 1)
    with DatabaseClaims(engine, STORE) as claims:
        assert claims.number == 1
        with pytest.raises(StreamClaimed), claims.claimed("ann"):
            pass
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with engine.connect() as connection:  # the server notices the end in its own time
            while connection.scalar(sa.text(f"SELECT count(*) {_LOCKS}")) > 1:
                connection.rollback()
        with claims.claimed("ann"):
            pass


def test_claims_go_on_after_a_restart_and_succeed_without_a_server(server: dict[str, str], engine: sa.Engine):
    """The connection is made again; with no server at all a download grabs what it likes."""
    with DatabaseClaims(engine, STORE) as claims, DatabaseClaims(engine, STORE) as other:
        with engine.begin() as connection:
            ended = f"SELECT pg_terminate_backend(pid) {_LOCKS}"
            assert len(connection.execute(sa.text(ended)).all()) == 2
        with claims.claimed("ann"), pytest.raises(StreamClaimed), other.claimed("ann"):
            pass
    away = sa.create_engine("postgresql+psycopg2://nobody@127.0.0.1:1/none")
    with DatabaseClaims(away, STORE) as claims, claims.claimed("ann"):
        assert claims.number == 0
