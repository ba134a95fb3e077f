"""Outages of PostgreSQL during the work: a restart, a crash, an end for good."""

from __future__ import annotations

import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from data.entities import Game, StoredFrame
from data.errors import CatalogConnectionLost, CatalogUnavailable
from data.factories import connect_database
from data.storage.catalog import Catalog, CatalogChanges, GameSummary
from data.storage.frame_folder import FrameFolder
from tests.data.conftest import Run, Start, rows, settings, wait_for_frames
from tests.data.restartable_postgres import LossyProxy, RestartablePostgres

SEVEN = Game(7, "Seven")
CRASHES = [signal.SIGQUIT, signal.SIGKILL]  # pg_ctl stop -m immediate, kill -9


@pytest.fixture(scope="module")
def cluster() -> Iterator[RestartablePostgres]:
    """A server that only this module uses."""
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    with RestartablePostgres(folder / "postgres") as server:
        yield server
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def own_server(cluster: RestartablePostgres) -> Iterator[RestartablePostgres]:
    """That server, running and empty at the test's start, running at its end."""
    cluster.start()
    with connect_database(settings(**cluster.settings)) as engine, engine.begin() as connection:
        connection.execute(text("TRUNCATE games, frames RESTART IDENTITY"))
    yield cluster
    cluster.start()


@pytest.fixture
def postgres_engine(own_server: RestartablePostgres) -> Iterator[Engine]:
    """An engine on that server."""
    with connect_database(settings(**own_server.settings)) as engine:
        yield engine


@pytest.mark.parametrize("crash", CRASHES)
def test_a_download_goes_on_after_a_restart(
    start: Start, own_server: RestartablePostgres, folder: FrameFolder, crash: signal.Signals
):
    """After an outage of two seconds: one warning, then more frames, and rows = files at the end."""
    process = start(env=own_server.settings)
    wait_for_frames(folder, 20)
    own_server.stop(crash)
    time.sleep(2)
    before = len(list(folder.frames()))
    own_server.start()
    wait_for_frames(folder, before + 30)
    process.send_signal(signal.SIGTERM)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    assert stdout.startswith("Downloaded ")
    assert stderr == "warning: PostgreSQL went away; waiting up to 60 s for it\n"
    with connect_database(settings(**own_server.settings)) as engine:
        assert rows(Catalog(engine)) == set(folder.frames())
        assert not Catalog(engine).snapshot().wrong_counts


def test_an_outage_longer_than_db_reconnect_s_ends_the_run_and_loses_nothing(
    start: Start, run: Run, own_server: RestartablePostgres, folder: FrameFolder
):
    """After DB_RECONNECT_S: exit code 1 and one line with advice; after a restart dbSync finds all frames."""
    process = start(env={**own_server.settings, "DB_RECONNECT_S": "2"})
    wait_for_frames(folder, 20)
    with connect_database(settings(**own_server.settings)) as engine:
        before = rows(Catalog(engine))
    own_server.stop(signal.SIGKILL)
    _, stderr = process.communicate(timeout=60)
    warning, error = stderr.splitlines()
    assert process.returncode == 1
    assert warning == "warning: PostgreSQL went away; waiting up to 2 s for it"
    assert error.startswith("error: PostgreSQL: ")
    assert "start the server, or check DB_HOST and DB_PORT" in error
    own_server.start()
    synced = run("data.dbSync", **own_server.settings)
    assert synced.returncode == 0, synced.stderr
    with connect_database(settings(**own_server.settings)) as engine:
        assert rows(Catalog(engine)) == set(folder.frames()) >= before > set()
        assert not Catalog(engine).snapshot().wrong_counts


def test_sigterm_during_an_outage_ends_the_run(start: Start, own_server: RestartablePostgres, folder: FrameFolder):
    """SIGTERM while PostgreSQL is away ends the wait of a minute: exit code 1, one line with advice, no traceback."""
    process = start(env=own_server.settings)
    wait_for_frames(folder, 20)
    own_server.stop(signal.SIGQUIT)
    time.sleep(2)
    sent_at = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=30)
    assert time.monotonic() - sent_at < 10
    assert process.returncode == 1
    assert [line.partition(":")[0] for line in stderr.splitlines()] == ["warning", "error"]


def test_repeated_crashes_lose_no_frame_and_count_none_twice(own_server: RestartablePostgres, postgres_engine: Engine):
    """A writer without pauses meets crashes in the middle of calls; each of its frames has exactly one row."""
    catalog, stop, written = Catalog(postgres_engine, 60), threading.Event(), 0

    def write() -> None:
        nonlocal written
        while not stop.is_set():
            catalog.add_frames([StoredFrame(7, "ann", written + 1), StoredFrame(8, "bob", written + 1)])
            written += 1

    def wait_for_frames(count: int) -> None:
        end = time.monotonic() + 60
        while written < count:
            assert time.monotonic() < end, f"{written} of {count} frames written"
            time.sleep(0.02)

    writer = threading.Thread(target=write)
    writer.start()
    for crash in [*CRASHES, signal.SIGINT]:
        wait_for_frames(written + 3)  # the writer is in the middle of its calls
        own_server.stop(crash)
        own_server.start()
    wait_for_frames(written + 3)
    stop.set()
    writer.join(60)
    assert written > 5
    assert [(summary.game.id, summary.frames) for summary in catalog.games()] == [(7, written), (8, written)]
    assert not catalog.snapshot().wrong_counts


def test_a_lost_response_to_a_commit_does_not_apply_a_change_twice(
    own_server: RestartablePostgres, postgres_engine: Engine
):
    """The server committed but its response is lost: the repeated call leaves each change once and counted once."""
    plain = Catalog(postgres_engine)
    with (
        LossyProxy(own_server.settings["DB_HOST"], 0) as proxy,
        connect_database(settings(**own_server.settings | proxy.settings)) as engine,
    ):
        catalog = Catalog(engine, 30)
        for change in (
            lambda: catalog.add_games([SEVEN]),
            lambda: catalog.add_frames([StoredFrame(7, "ann", number) for number in (1, 2, 3)]),
            lambda: catalog.apply(CatalogChanges([Game(7, "Se7en")], [], [StoredFrame(7, "bob", 1)], ["7/ann-3.jpg"])),
        ):
            proxy.remaining_drops = 1
            change()
            assert not proxy.remaining_drops
    assert plain.games() == [GameSummary(Game(7, "Se7en"), 3, 2)]
    assert plain.snapshot().paths == {"7/ann-1.jpg", "7/ann-2.jpg", "7/bob-1.jpg"}
    assert not plain.snapshot().wrong_counts


def test_every_query_survives_a_restart(own_server: RestartablePostgres, postgres_engine: Engine):
    """Queries whose argument is an iterator, which can be read only once, survive it too."""
    catalog = Catalog(postgres_engine, 30)
    catalog.add_games([SEVEN])
    for query, expected in (
        (lambda: len(catalog.games()), 1),
        (catalog.game_frames, {SEVEN: 0}),
        (lambda: catalog.add_games(iter([Game(8, "Eight")])), None),
        (lambda: [summary.game.id for summary in catalog.games()], [7, 8]),
        (lambda: set(catalog.snapshot().games), {7, 8}),
    ):
        own_server.stop(signal.SIGQUIT)
        restart = threading.Timer(0.3, own_server.start)
        restart.start()
        assert query() == expected
        restart.join()


def test_with_db_reconnect_s_0_the_first_failure_is_raised(own_server: RestartablePostgres, postgres_engine: Engine):
    """The type of the error distinguishes a lost connection from a refusal."""
    catalog = Catalog(postgres_engine, 0)
    own_server.stop(signal.SIGQUIT)
    begun = time.monotonic()
    with pytest.raises(CatalogConnectionLost, match="start the server"):
        catalog.games()
    assert time.monotonic() - begun < 20


def test_a_true_result_of_sleep_ends_the_waiting(own_server: RestartablePostgres, postgres_engine: Engine):
    """A true result of `sleep`, as that of an event's `wait`, gives up at once; pauses grow up to 5 s."""
    pauses: list[float] = []

    def sleep(seconds: float) -> bool:
        pauses.append(seconds)
        return len(pauses) == 6

    own_server.stop(signal.SIGQUIT)
    with pytest.raises(CatalogConnectionLost):
        Catalog(postgres_engine, 60, sleep).games()
    assert pauses == [0.5, 1, 2, 4, 5, 5]


@pytest.mark.parametrize(
    ("statement", "advice"),
    [
        ("ALTER ROLE guest NOLOGIN", "check DB_USER"),
        ("DROP DATABASE other WITH (FORCE)", "check DB_NAME"),
        ("ALTER ROLE guest NOSUPERUSER", "GRANT"),
    ],
)
def test_a_refusal_raises_without_waiting(
    own_server: RestartablePostgres, postgres_engine: Engine, statement: str, advice: str
):
    """The role may no longer log in or read, or the database is gone: no call waits."""
    with postgres_engine.connect().execution_options(isolation_level="AUTOCOMMIT") as admin:
        for cleanup in ("DROP DATABASE IF EXISTS other WITH (FORCE)", "DROP ROLE IF EXISTS guest"):
            admin.execute(text(cleanup))
        admin.execute(text("CREATE ROLE guest LOGIN SUPERUSER"))
        admin.execute(text("CREATE DATABASE other"))
        with connect_database(settings(**own_server.settings | {"DB_NAME": "other"})):
            pass  # the tables belong to postgres
        with connect_database(settings(**own_server.settings | {"DB_NAME": "other", "DB_USER": "guest"})) as engine:
            assert len(Catalog(engine).games()) == 0
            admin.execute(text(statement))
            admin.execute(text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"))
            with pytest.raises(CatalogUnavailable, match=advice) as caught:
                Catalog(engine, 60, lambda _: pytest.fail("it waited")).games()
    assert not isinstance(caught.value, CatalogConnectionLost)


def test_a_command_without_a_server_at_its_start_does_not_wait(run: Run, own_server: RestartablePostgres):
    """At its start a command cannot distinguish a restart from a wrong DB_HOST: it ends at once with advice."""
    own_server.stop(signal.SIGQUIT)
    for command in ("data.info", "data.dbSync", "data.download"):
        begun = time.monotonic()
        ended = run(command, **own_server.settings, CLIENT_ID="x", ACCESS_TOKEN="x")
        assert time.monotonic() - begun < 15
        assert ended.returncode == 1
        assert "start the server, or check DB_HOST and DB_PORT" in ended.stderr
        assert len(ended.stderr.splitlines()) == 1
