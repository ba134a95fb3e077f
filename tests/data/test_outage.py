"""PostgreSQL that goes away in the middle of the work: restarted, killed, gone for good."""

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
from data.storage import database
from data.storage.catalog import Catalog, Changes, GameSummary
from data.storage.frame_folder import Folder
from tests.data.conftest import Run, Start, rows, settings, wait_for_frames
from tests.data.mortal import Lossy, Mortal

SEVEN = Game(7, "Seven")
DEATHS = [signal.SIGQUIT, signal.SIGKILL]  # pg_ctl stop -m immediate, kill -9


@pytest.fixture(scope="module")
def cluster() -> Iterator[Mortal]:
    """A server of this module's own."""
    folder = Path(tempfile.mkdtemp(prefix="mortal-"))
    with Mortal(folder / "postgres") as server:
        yield server
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def mortal(cluster: Mortal) -> Iterator[Mortal]:
    """That server, running and empty at the test's start and running at its end."""
    cluster.start()
    with database.connect(settings(**cluster.settings)) as engine, engine.begin() as connection:
        connection.execute(text("TRUNCATE games, frames RESTART IDENTITY"))
    yield cluster
    cluster.start()


@pytest.fixture
def mortal_engine(mortal: Mortal) -> Iterator[Engine]:
    """An engine on it."""
    with database.connect(settings(**mortal.settings)) as engine:
        yield engine


@pytest.mark.parametrize("death", DEATHS)
def test_a_download_goes_on_after_a_restart(start: Start, mortal: Mortal, folder: Folder, death: signal.Signals):
    """Gone for two seconds in mid-run: one short warning, then more frames, and in the end rows = files."""
    process = start(env=mortal.settings)
    wait_for_frames(folder, 20)
    mortal.stop(death)
    time.sleep(2)
    before = len(list(folder.frames()))
    mortal.start()
    wait_for_frames(folder, before + 30)
    process.send_signal(signal.SIGTERM)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    assert stdout.startswith("Downloaded ")
    assert stderr == "warning: PostgreSQL went away; waiting up to 60 s for it\n"
    with database.connect(settings(**mortal.settings)) as engine:
        assert rows(Catalog(engine)) == set(folder.frames())
        assert not Catalog(engine).rows().miscounted


def test_gone_for_good_it_ends_and_loses_nothing(start: Start, run: Run, mortal: Mortal, folder: Folder):
    """After DB_WAIT_S: exit 1, a line that says what to do; on a new start, dbSync finds all frames."""
    process = start(env={**mortal.settings, "DB_WAIT_S": "2"})
    wait_for_frames(folder, 20)
    with database.connect(settings(**mortal.settings)) as engine:
        before = rows(Catalog(engine))
    mortal.stop(signal.SIGKILL)
    _, stderr = process.communicate(timeout=60)
    warning, error = stderr.splitlines()
    assert process.returncode == 1
    assert warning == "warning: PostgreSQL went away; waiting up to 2 s for it"
    assert error.startswith("error: PostgreSQL: ")
    assert "start the server, or check DB_HOST and DB_PORT" in error
    mortal.start()
    synced = run("data.dbSync", **mortal.settings)
    assert synced.returncode == 0, synced.stderr
    with database.connect(settings(**mortal.settings)) as engine:
        assert rows(Catalog(engine)) == set(folder.frames()) >= before > set()
        assert not Catalog(engine).rows().miscounted


def test_sigterm_ends_the_waiting(start: Start, mortal: Mortal, folder: Folder):
    """Told to stop while PostgreSQL is away, the run does not wait its minute: exit 1, what to do, no traceback."""
    process = start(env=mortal.settings)
    wait_for_frames(folder, 20)
    mortal.stop(signal.SIGQUIT)
    time.sleep(2)
    told = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=30)
    assert time.monotonic() - told < 10
    assert process.returncode == 1
    assert [line.partition(":")[0] for line in stderr.splitlines()] == ["warning", "error"]


def test_killed_again_and_again_no_frame_is_lost_or_counted_twice(mortal: Mortal, mortal_engine: Engine):
    """A writer without a pause meets the deaths in the middle of calls too; each of its frames has one row."""
    catalog, stop, written = Catalog(mortal_engine, 60), threading.Event(), 0

    def write() -> None:
        nonlocal written
        while not stop.is_set():
            catalog.add_frames([StoredFrame(7, "ann", written + 1), StoredFrame(8, "bob", written + 1)])
            written += 1

    writer = threading.Thread(target=write)
    writer.start()
    for death in [*DEATHS, signal.SIGINT]:
        time.sleep(0.3)
        mortal.stop(death)
        mortal.start()
    time.sleep(1)
    stop.set()
    writer.join(60)
    assert written > 5
    assert [(summary.game.id, summary.frames) for summary in catalog.games()] == [(7, written), (8, written)]
    assert not catalog.rows().miscounted


def test_a_commit_whose_answer_is_lost_is_done_once(mortal: Mortal, mortal_engine: Engine):
    """The server committed, and we were not told: done again, each change is there once and counted once."""
    plain = Catalog(mortal_engine)
    with (
        Lossy(mortal.settings["DB_HOST"], 0) as way,
        database.connect(settings(**mortal.settings | way.settings)) as engine,
    ):
        catalog = Catalog(engine, 30)
        for change in (
            lambda: catalog.add_games([SEVEN]),
            lambda: catalog.add_frames([StoredFrame(7, "ann", number) for number in (1, 2, 3)]),
            lambda: catalog.apply(Changes([Game(7, "Se7en")], [], [StoredFrame(7, "bob", 1)], ["7/ann-3.jpg"])),
        ):
            way.left = 1
            change()
            assert not way.left
    assert plain.games() == [GameSummary(Game(7, "Se7en"), 3, 2)]
    assert plain.rows().paths == {"7/ann-1.jpg", "7/ann-2.jpg", "7/bob-1.jpg"}
    assert not plain.rows().miscounted


def test_every_question_survives_a_restart(mortal: Mortal, mortal_engine: Engine):
    """Also those that the caller gives what can be read only once."""
    catalog = Catalog(mortal_engine, 30)
    catalog.add_games([SEVEN])
    for question, expected in (
        (catalog.game_count, 1),
        (catalog.game_ids, {7}),
        (lambda: catalog.smallest_game(excluding=iter([7])), None),
        (lambda: catalog.add_games(iter([Game(8, "Eight")])), [Game(8, "Eight")]),
        (lambda: [summary.game.id for summary in catalog.games()], [7, 8]),
        (lambda: set(catalog.rows().games), {7, 8}),
    ):
        mortal.stop(signal.SIGQUIT)
        restart = threading.Timer(0.3, mortal.start)
        restart.start()
        assert question() == expected
        restart.join()


def test_without_waiting_the_first_failure_is_the_answer(mortal: Mortal, mortal_engine: Engine):
    """DB_WAIT_S=0; and the kind of the error tells a server that is away from one that refuses."""
    catalog = Catalog(mortal_engine, 0)
    mortal.stop(signal.SIGQUIT)
    begun = time.monotonic()
    with pytest.raises(CatalogConnectionLost, match="start the server"):
        catalog.game_count()
    assert time.monotonic() - begun < 1


def test_the_waiting_ends_when_it_is_told_to(mortal: Mortal, mortal_engine: Engine):
    """A true answer of `sleep`, as that of an event's `wait`, gives up at once; the pauses grow up to five seconds."""
    pauses: list[float] = []

    def sleep(seconds: float) -> bool:
        pauses.append(seconds)
        return len(pauses) == 6

    mortal.stop(signal.SIGQUIT)
    with pytest.raises(CatalogConnectionLost):
        Catalog(mortal_engine, 60, sleep).game_count()
    assert pauses == [0.5, 1, 2, 4, 5, 5]


@pytest.mark.parametrize(
    ("order", "advice"),
    [
        ("ALTER ROLE guest NOLOGIN", "check DB_USER"),
        ("DROP DATABASE other WITH (FORCE)", "check DB_NAME"),
        ("ALTER ROLE guest NOSUPERUSER", "GRANT"),
    ],
)
def test_a_refusal_is_not_waited_for(mortal: Mortal, mortal_engine: Engine, order: str, advice: str):
    """The role may no longer log in or read, or the database is gone: waiting would not help, so nothing waits."""
    with mortal_engine.connect().execution_options(isolation_level="AUTOCOMMIT") as admin:
        for statement in ("DROP DATABASE IF EXISTS other WITH (FORCE)", "DROP ROLE IF EXISTS guest"):
            admin.execute(text(statement))
        admin.execute(text("CREATE ROLE guest LOGIN SUPERUSER"))
        admin.execute(text("CREATE DATABASE other"))
        with database.connect(settings(**mortal.settings | {"DB_NAME": "other"})):
            pass  # the tables belong to postgres
        with database.connect(settings(**mortal.settings | {"DB_NAME": "other", "DB_USER": "guest"})) as engine:
            assert Catalog(engine).game_count() == 0
            admin.execute(text(order))
            admin.execute(text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"))
            with pytest.raises(CatalogUnavailable, match=advice) as caught:
                Catalog(engine, 60, lambda _: pytest.fail("it waited")).game_count()
    assert not isinstance(caught.value, CatalogConnectionLost)


def test_a_command_whose_server_is_not_there_does_not_wait(run: Run, mortal: Mortal):
    """At a command's start nothing tells a restart from a wrong DB_HOST: it ends at once, with the right line."""
    mortal.stop(signal.SIGQUIT)
    for command in ("data.info", "data.dbSync", "data.download"):
        begun = time.monotonic()
        ended = run(command, **mortal.settings, CLIENT_ID="x", ACCESS_TOKEN="x")
        assert time.monotonic() - begun < 15
        assert ended.returncode == 1
        assert "start the server, or check DB_HOST and DB_PORT" in ended.stderr
        assert len(ended.stderr.splitlines()) == 1
