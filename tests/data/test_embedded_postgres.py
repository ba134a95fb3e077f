"""data.storage.embedded_postgres: real servers that are started, shared, killed and restarted."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg2  # type: ignore[import-untyped]  # it has no types of its own
import pytest

from data.entities import Game
from data.errors import CatalogUnavailable
from data.factories import connect_database
from data.storage import embedded_postgres
from data.storage.catalog import Catalog
from tests.data.conftest import REPOSITORY, Run, environment, settings
from tests.data.kill_harness import DatasetUnderTest
from tests.data.restartable_postgres import is_running

# Use the server until stdin ends.
_USER = """
import sys
from config import Settings
from data.storage.catalog import Catalog
from data.factories import connect_database
with connect_database(Settings(_env_file=None)) as engine:
    print(len(Catalog(engine).games()), flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def dataset() -> Iterator[Path]:
    """A dataset's folder whose path is hostile to shells and too long for a socket's path."""
    folder = Path(tempfile.mkdtemp(prefix="dataset-")) / f'it\'s $HOME "x" {"long " * 20}'
    yield folder
    shutil.rmtree(folder.parent, ignore_errors=True)


def _user(dataset: Path) -> subprocess.Popen[str]:
    """Return another process that already uses the server; `communicate` ends it."""
    process = subprocess.Popen(
        [sys.executable, "-c", _USER],
        cwd=REPOSITORY,
        env=environment(DOWNLOAD_PATH=str(dataset), TMPDIR=str(dataset.parent)),  # killed processes leave files there
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline().strip().isdigit()
    return process


def _games(dataset: Path) -> int:
    with connect_database(settings(DOWNLOAD_PATH=str(dataset))) as engine:
        return len(Catalog(engine).games())


def _pid_file(dataset: Path) -> Path:
    return dataset / "postgres" / "data" / "postmaster.pid"


def _server(dataset: Path) -> psutil.Process:
    return psutil.Process(int(_pid_file(dataset).read_text().split()[0]))


def _ends(server: psutil.Process) -> bool:
    """Return whether the server's process ends: it removes its pid file, for which pg_ctl waits, a moment before."""
    end = time.monotonic() + 20
    while is_running(server) and time.monotonic() < end:
        time.sleep(0.01)
    return not is_running(server)


def test_concurrent_first_commands_share_one_server(dataset: Path):
    """Two commands create and start the same database at the same time; the last one stops it."""
    (dataset / "frames").mkdir(parents=True)
    users = [
        subprocess.Popen(
            [sys.executable, "-m", "data.dbSync"],
            cwd=REPOSITORY,
            env=environment(DOWNLOAD_PATH=str(dataset)),
            stdout=subprocess.DEVNULL,
        )
        for _ in range(2)
    ]
    assert [user.wait() for user in users] == [0, 0]
    assert not _pid_file(dataset).exists()


def test_the_last_user_stops_the_server(dataset: Path):
    """A short command does not stop the server of a longer one; rows survive a restart."""
    with connect_database(settings(DOWNLOAD_PATH=str(dataset))) as engine:
        Catalog(engine).add_games([Game(7, "Seven")])
    first, second = _user(dataset), _user(dataset)
    server = _server(dataset)
    assert _games(dataset) == 1
    first.communicate()
    assert is_running(server)
    second.communicate()
    assert _ends(server)


def test_download_that_ends_normally_stops_the_server(download: Run, tmp_path: Path):
    """No pid file of the server is left."""
    done = download("--frames", "1", DB_HOST="", DOWNLOAD_PATH=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "postgres" / "data" / "PG_VERSION").exists()
    assert not _pid_file(tmp_path).exists()


def test_after_sigkill_of_a_user_the_next_command_stops_the_server(dataset: Path):
    """The lock dies with the killed process; the next command uses the running server and stops it."""
    user = _user(dataset)
    server = _server(dataset)
    user.kill()
    user.communicate()
    assert is_running(server)
    assert _games(dataset) == 1
    assert _ends(server)


def test_a_killed_server_restarts_with_its_rows(dataset: Path):
    """After SIGKILL of PostgreSQL and of its user, the next start replays the committed changes."""
    user = _user(dataset)
    server = _server(dataset)
    backends = server.children(recursive=True)
    server.kill()
    user.kill()
    user.communicate()
    psutil.wait_procs([server, *backends], timeout=20)
    assert _pid_file(dataset).exists()
    assert _games(dataset) == 1


@pytest.mark.parametrize(
    "content",
    ["", "no pid\n", "999999999\n", f"{os.getpid()}\n/x\n1\n5432\n.\n\n0 0\nready\n"],
    ids=["empty", "no pid", "unused pid", "pid of another process"],
)
def test_the_server_starts_despite_stale_lock_files(dataset: Path, content: str):
    """A power cut leaves empty files, or a pid that another process (this one) has by now."""
    for file in (_pid_file(dataset), _pid_file(dataset).with_name(".s.PGSQL.5432.lock")):
        file.write_text(content)
    assert _games(dataset) == 1
    assert not _pid_file(dataset).exists()


def test_an_interrupted_initdb_is_repeated():
    """An incomplete cluster is deleted; the next command creates it again."""
    home = Path(tempfile.mkdtemp(prefix="dataset-")) / "postgres"
    (home / "new" / "base").mkdir(parents=True)
    (home / "new" / "PG_VERSION").write_text("18\n")
    try:
        assert _games(home.parent) == 0
        assert not (home / "new").exists()
    finally:
        shutil.rmtree(home.parent)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_after_a_kill_during_initdb_the_next_command_creates_the_cluster(number: signal.Signals):
    """SIGTERM leaves no process; after SIGKILL initdb continues, and the next command waits for its end."""
    folder = Path(tempfile.mkdtemp(prefix="dataset-"))
    dataset = DatasetUnderTest(folder, {})
    (folder / "frames").mkdir()
    command = dataset.command("data.dbSync")
    while not (folder / "postgres" / "new" / "base" / "4").exists() and command.poll() is None:
        time.sleep(0.005)
    command.send_signal(number)
    _, stderr = command.communicate()
    try:
        if number == signal.SIGTERM:
            # Under load the end is forced: 128 + SIGTERM.
            assert command.returncode in (130, 143)
            assert stderr.startswith("error: Interrupted")
            assert not dataset.processes()
        assert _games(folder) == 0
        assert not dataset.processes()
    finally:
        shutil.rmtree(folder)


def test_an_incompatible_cluster_gives_the_reason_and_advice(dataset: Path):
    """For a cluster of another PostgreSQL version, one line has the server's reason and what to do."""
    version = dataset / "postgres" / "data" / "PG_VERSION"
    before = version.read_text()
    version.write_text("9.1\n")
    try:
        with pytest.raises(
            CatalogUnavailable, match=r"cannot start: database files are incompatible.*dbSync"
        ) as caught:
            _games(dataset)
        assert "\n" not in str(caught.value)
    finally:
        version.write_text(before)


def test_an_unusable_dataset_folder_names_the_setting(tmp_path: Path):
    """A file is in the place of the dataset's folder."""
    (tmp_path / "file").touch()
    with pytest.raises(CatalogUnavailable, match="Not a directory: check DOWNLOAD_PATH"):
        _games(tmp_path / "file")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_an_interrupted_command_stops_the_server(dataset: Path, number: signal.Signals):
    """A signal during data.info: no traceback, exit code 130 (or 0 when it was faster), no server left."""
    command = subprocess.Popen(
        [sys.executable, "-m", "data.info"],
        cwd=REPOSITORY,
        env=environment(DOWNLOAD_PATH=str(dataset)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not _pid_file(dataset).exists() and command.poll() is None:
        time.sleep(0.005)
    command.send_signal(number)
    _, stderr = command.communicate()
    assert command.returncode in (0, 130, 128 + number)  # the last one by force, under load
    assert "Traceback" not in stderr
    assert not _pid_file(dataset).exists() or not is_running(_server(dataset))


@pytest.mark.parametrize("name", ["a,b", "new\nline", "100% ü @ 'x' \"y\""], ids=range(3))
def test_any_folder_name_will_do(dataset: Path, tmp_path: Path, name: str):
    """libpq splits host names at commas. A link and .. lead there, too, and no folder changes its mode."""
    moved = dataset.with_name(name)
    (tmp_path / "link").symlink_to(moved)
    dataset.chmod(0o700)
    dataset.rename(moved)
    try:
        assert _games(moved) == _games(tmp_path / "x" / ".." / "link") == 1
        assert [folder.stat().st_mode & 0o777 for folder in (moved, moved.parent)] == [0o700, 0o700]
    finally:
        moved.rename(dataset)


def test_other_users_of_the_machine_cannot_connect(dataset: Path):
    """Even with open folders: the server asks the kernel who connects. Rules of an older cluster are replaced."""
    data = dataset / "postgres" / "data"
    (data / "pg_hba.conf").write_text("local all all trust\nhost all all 127.0.0.1/32 trust\n")
    with connect_database(settings(DOWNLOAD_PATH=str(dataset))):
        assert (data / "pg_hba.conf").read_text() == "local all all peer map=owner\n"
        if os.geteuid():
            pytest.skip("trying it as another user takes root's rights")
        opened = [(path, path.stat().st_mode) for path in (data / ".s.PGSQL.5432", data, *data.parents[:3])]
        try:
            for path, _ in opened:
                path.chmod(0o777)
            assert "Peer authentication failed" in _connect_as(65534, data)
        finally:
            for path, mode in opened:
                path.chmod(mode)


def _connect_as(user: int, socket: Path) -> str:
    """Return the error of a connection that a process of another user makes; "" if it succeeds."""
    reader, writer = os.pipe()
    if not (child := os.fork()):
        try:
            os.setuid(user)
            os.chdir(socket)
            psycopg2.connect(host=f"/proc/{os.getpid()}/cwd", user="postgres", dbname="postgres")
        except psycopg2.OperationalError as error:
            os.write(writer, str(error).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    with os.fdopen(reader) as errors:
        return errors.read()


def test_a_folder_that_the_servers_user_cannot_enter_is_named_and_stays_closed(tmp_path: Path):
    """As root the server needs another user: one line with the folder and the cure, and nothing is opened up."""
    (programs := tmp_path / "bin").mkdir()
    tmp_path.chmod(0o700)
    with pytest.raises(
        CatalogUnavailable, match=f"cannot enter {re.escape(str(tmp_path))}: run as another user, or chmod"
    ):
        embedded_postgres._check_access(programs)
    assert tmp_path.stat().st_mode & 0o777 == 0o700


def test_variables_of_libpq_do_not_lead_away_from_the_embedded_server(
    dataset: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """They are for the user's own server; one line says that those which name a server have no effect."""
    values = {"HOST": "db.example", "HOSTADDR": "192.0.2.1", "SERVICE": "x", "OPTIONS": "-c x=y", "REQUIREAUTH": "md5"}
    for name, value in values.items():
        monkeypatch.setenv(f"PG{name}", value)
    assert _games(dataset) == 1
    assert "not that of PGHOST and PGHOSTADDR and PGSERVICE" in caplog.text
    assert os.environ["PGHOST"] == "db.example"


def test_a_forced_end_stops_the_server(dataset: Path):
    """A second signal ends the command at once, without the cleanup of its blocks."""
    code = _USER.replace("import sys\n", "import os, signal, sys, time\nfrom data import interruption\n").replace(
        "    sys.stdin.read()",
        "    with interruption.handled(lambda *_: None), interruption.forced_end(60):\n"
        "        os.kill(os.getpid(), signal.SIGTERM); time.sleep(1)\n"
        "        os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)",
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment(DOWNLOAD_PATH=str(dataset)), capture_output=True, check=False
    )
    assert done.returncode == 128 + signal.SIGTERM
    assert not _pid_file(dataset).exists()
