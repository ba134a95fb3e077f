"""What happens beside the dashboard: an outage, a download, dbSync, a kill in the middle of a change."""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from config import Settings
from dashboard.dataset.service import DatasetService
from data.entities import StoredFrame
from data.factories import open_catalog
from data.storage.synchronisation import synchronise
from tests.dashboard.conftest import make_settings
from tests.dashboard.datasets import SmallDataset
from tests.dashboard.test_dataset import API
from tests.data.conftest import REPOSITORY, environment
from tests.data.restartable_postgres import RestartablePostgres

MOVED = 200  # frames of the killed change; benchmarks.dashboard_100k kills one of 1,000


@pytest.fixture
def cluster() -> Iterator[RestartablePostgres]:
    """Yield a server that the test may stop."""
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    with RestartablePostgres(folder / "postgres") as server:
        yield server
    shutil.rmtree(folder, ignore_errors=True)


def _wait_until(condition: Callable[[], bool], timeout_s: float = 30) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


class TestOutage:
    """A dataset whose database goes away."""

    @pytest.fixture
    def settings(self, tmp_path: Path, cluster: RestartablePostgres) -> Settings:
        """Return settings that name the server which stops."""
        return make_settings(tmp_path, **cluster.settings)

    def test_lists_go_on_without_the_database_and_changes_are_refused_until_it_is_back(
        self, small_dataset: SmallDataset, client: TestClient, cluster: RestartablePostgres
    ):
        """Lists, pictures and provenance stay; a change answers 503; everything recovers by itself."""
        window = client.get(f"{API}/frames").json()
        assert window["total"] == 120
        cluster.stop(signal.SIGKILL)
        body = {"action": "delete", "frames": ["7/ann-1.jpg"]}
        refused = client.post(f"{API}/changes", json=body)
        assert (refused.status_code, "PostgreSQL" in refused.json()["detail"]) == (503, True)
        state = client.get(API).json()
        assert (state["database"], state["frames"], "PostgreSQL" in state["message"]) == ("unavailable", 120, True)
        assert client.get(f"{API}/frames").json()["frames"] == window["frames"]
        assert client.get(window["frames"][0]["picture"]).status_code == 200
        assert client.get(f"{API}/frames/8/ben/1").json()["title"] == "ben plays"
        assert client.post(f"{API}/changes", json=body).status_code == 503
        dataset = client.app.state.services.dataset  # type: ignore[attr-defined]
        dataset._follower.index.rows["number"] += 100  # as if the rows had equal sums in another database
        cluster.start()
        _wait_until(lambda: bool(client.get(API).json()["database"] == "ok"))
        assert small_dataset.paths() == set(client.get(f"{API}/paths").json()["paths"])
        assert client.post(f"{API}/changes", json=body).status_code == 200
        assert len(small_dataset.paths()) == client.get(API).json()["frames"] == 119


def test_lists_follow_a_download_and_dbsync_beside(small_dataset: SmallDataset, client: TestClient):
    """Rows that are added while the dashboard serves appear within seconds; deleted files go after dbSync."""
    assert client.get(API).json()["frames"] == 120
    frames = small_dataset.folder.save(8, "dan", [b"one", b"two"])
    with open_catalog(small_dataset.settings) as catalog:
        catalog.add_frames(frames)
        _wait_until(lambda: bool(client.get(API).json()["frames"] == 122))
        assert [each["login"] for each in client.get(f"{API}/groups?game=8").json()["groups"]] == [
            *("ann", "ben", "cat", "dan")
        ]
        small_dataset.folder.delete(StoredFrame(8, "ben", number) for number in range(1, 11))
        synchronise(small_dataset.folder, catalog)
    _wait_until(lambda: bool(client.get(API).json()["frames"] == 112))
    assert client.get(f"{API}/paths?game=8&login=ben").json()["total"] == 0
    assert small_dataset.paths() == set(client.get(f"{API}/paths").json()["paths"])


def test_a_server_killed_while_it_moves_frames_has_moved_all_or_none(small_dataset: SmallDataset):
    """SIGKILL in the middle of a change: the next start finishes it, or it has not begun; rows are files."""
    saved = small_dataset.folder.save(8, "eve", [f"picture {n}".encode() for n in range(MOVED)])
    with open_catalog(small_dataset.settings) as catalog:
        catalog.add_frames(saved)
    before = small_dataset.paths()
    process, address = _start_server(small_dataset.settings)
    body = {"action": "move", "game_id": "7", "frames": [frame.path for frame in saved]}
    threading.Thread(target=_post_until_killed, args=(f"{address}{API}/changes", body), daemon=True).start()
    _wait_until(lambda: any((small_dataset.folder.root / "7").glob("eve-*.jpg")))
    process.kill()
    process.communicate()
    dataset = DatasetService(small_dataset.settings)
    dataset.start()
    try:
        paths = {dataset.index.frame(position).path for position in range(len(dataset.index))}
    finally:
        dataset.close()
    assert small_dataset.paths() == paths
    assert paths == before - {frame.path for frame in saved} | {f"7/eve-{n}.jpg" for n in range(1, MOVED + 1)}
    assert not list(small_dataset.folder.root.glob(".changes/*.pending"))


def _start_server(settings: Settings) -> tuple[subprocess.Popen[str], str]:
    """Start the command on a free port; return the process and its address."""
    names = ("db_host", "db_port", "db_name", "db_user", "download_path", "model_path")
    variables = {name.upper(): str(getattr(settings, name)) for name in names}
    command = [sys.executable, "-m", "dashboard.serve", "--port", "0"]
    environ = environment(**variables)
    process = subprocess.Popen(command, cwd=REPOSITORY, env=environ, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    line = process.stdout.readline()
    return process, line.split()[-1].rstrip("/")


def _post_until_killed(url: str, body: dict[str, Any]) -> None:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with contextlib.suppress(OSError, http.client.HTTPException):
        urllib.request.urlopen(request, timeout=60).read()
