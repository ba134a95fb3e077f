"""data.download on a Ray cluster: the nodes save the frames; what is killed costs its grabs only."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
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
from tests.in_process import run_command
from tests.standin import Standin, World
from tests.standin.faults import SEGMENTS, Fault, silence

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
    """Yield a stand-in with three channels of each of two games on a slow line: the node is killed while it grabs."""
    with Standin(world.only(CHANNELS), faults=[Fault("slow", silence(0.7), path=SEGMENTS)]) as running:
        yield running


def test_download_when_coordinator_and_node_are_killed_fills_all_games(
    cluster: RayNodes, twitch: Standin, postgres: dict[str, str], engine: Engine, tmp_path: Path
):
    """After kill -9 of the command, which is started again, then of a node: no half file, no row twice, games equal."""
    folder, catalog, node = FrameFolder(tmp_path / "frames"), Catalog(engine), cluster.second()
    own = {"RAY_ADDRESS": cluster.address, "MIN_STREAMERS": "1", "PARALLEL_STREAMS": "2", "GAME_COOLDOWN_S": "1"}
    own |= {"FRAMES_PER_STREAM": "6", "HELIX_RETRY_INTERVAL_S": "1", "DOWNLOAD_PATH": str(tmp_path), **GREEDY}

    variables, words = environment(**postgres, **twitch.environment, **own), ("data.download", "--until", str(FRAMES))
    command, nothing = [sys.executable, "-m", *words], subprocess.DEVNULL
    with subprocess.Popen(command, cwd=REPOSITORY, env=variables, stdin=nothing, stdout=nothing) as process:
        try:
            wait_for_frames(folder, 6)
        finally:
            process.kill()
    cluster.wait_for_no_worker(node)  # of the killed command

    def kill_node() -> None:
        cluster.wait_for_tasks(node, twitch)
        wait_for_frames(folder, len(list(folder.frames())) + 3)
        cluster.kill(node)

    with ThreadPoolExecutor(1) as thread:
        killed = thread.submit(kill_node)
        done = run_command(*words, env=variables)
        killed.result()
    assert done.returncode == 0, done.stderr
    assert "worker lost" in done.stdout  # grabs of the node
    frames = set(folder.frames())
    counts = Counter(frame.game_id for frame in rows(catalog))
    assert list(counts.values()) == [FRAMES, FRAMES]
    assert rows(catalog) <= frames
    assert all(decode_jpeg(folder.read(frame)).shape == (240, 240, 3) for frame in frames)
    assert not catalog.snapshot().wrong_counts
