"""data.download on a Ray cluster: the nodes save the frames; what is killed costs its grabs only."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from config import Settings
from data.factories import connect_database
from data.storage.catalog import Catalog
from data.storage.frame_folder import FrameFolder
from data.video.images import decode_jpeg
from tests.cluster.conftest import RayNodes
from tests.data.conftest import GREEDY, REPOSITORY, environment, rows, wait_for_frames
from tests.standin import Standin, World

pytestmark = pytest.mark.xdist_group("cluster")

CHANNELS = ["bzflag_ctf", "bzflag_tall_boxes", "bzflag_ricochet", "torcs_alpine_1", "torcs_forza", "torcs_street_1"]
FRAMES = 18  # of each of the two games


@pytest.fixture
def engine(postgres: dict[str, str]) -> Iterator[Engine]:
    """Yield an engine on the tests' server, with empty tables."""
    values = {name.lower(): value for name, value in postgres.items()}
    with connect_database(Settings(_env_file=None, **values)) as engine:
        with engine.begin() as connection:
            connection.execute(text("TRUNCATE games, frames RESTART IDENTITY"))
        yield engine


@pytest.fixture
def twitch(world: World) -> Iterator[Standin]:
    """Yield a stand-in with three channels of each of two games."""
    with Standin(world.only(CHANNELS)) as running:
        yield running


class Downloads:
    """Starts downloads of one dataset on the cluster."""

    def __init__(self, path: Path, variables: dict[str, str]) -> None:
        self.folder = FrameFolder(path / "frames")
        self._variables = {**environment(), **variables, "DOWNLOAD_PATH": str(path), **GREEDY}
        self.running: list[subprocess.Popen[str]] = []

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `data.download`."""
        command = [sys.executable, "-m", "data.download", *arguments]
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self.running.append(subprocess.Popen(command, cwd=REPOSITORY, env=self._variables, text=True, **pipes))  # type: ignore[call-overload]
        return self.running[-1]


@pytest.fixture
def downloads(
    cluster: RayNodes, postgres: dict[str, str], engine: Engine, twitch: Standin, tmp_path: Path
) -> Iterator[Downloads]:
    """Yield what starts downloads on the cluster; kill those that still run at the end."""
    own = {"RAY_ADDRESS": cluster.address, "MIN_STREAMERS": "1", "PARALLEL_STREAMS": "2", "GAME_COOLDOWN_S": "1"}
    own |= {"FRAMES_PER_STREAM": "6"}
    ray = {name: value for name, value in os.environ.items() if name.startswith("RAY_")}
    yield (made := Downloads(tmp_path, {**ray, **postgres, **twitch.environment, **own, "HELIX_RETRY_INTERVAL_S": "1"}))
    for process in made.running:
        process.kill()
        process.communicate()


def test_download_when_a_node_is_killed_fills_all_games(cluster: RayNodes, downloads: Downloads, engine: Engine):
    """After kill -9 of a node: no half file, no row twice, games equal. `cluster_download` also kills the command."""
    folder, catalog, node = downloads.folder, Catalog(engine), cluster.add()
    running = downloads.start("--until", str(FRAMES))
    wait_for_frames(folder, 9)
    cluster.kill(node)
    _, stderr = running.communicate(timeout=60)
    assert running.returncode == 0, stderr
    frames = set(folder.frames())
    counts = Counter(frame.game_id for frame in rows(catalog))
    assert list(counts.values()) == [FRAMES, FRAMES]
    assert rows(catalog) <= frames
    assert all(decode_jpeg(folder.read(frame)).shape == (240, 240, 3) for frame in frames)
    assert not catalog.snapshot().wrong_counts
