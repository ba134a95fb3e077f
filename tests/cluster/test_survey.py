"""Survey on a Ray cluster: what dies meanwhile costs no source, and the same command goes on."""

from __future__ import annotations

import csv
import os
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cluster.conftest import RayNodes
from tests.in_process import run_command
from tests.recognition.commands import BRIGHT, DARK, ROOT, command, environment, save_model
from tests.standin import Standin, World

pytestmark = pytest.mark.xdist_group("cluster")

CHANNELS, OFFLINE = 24, 3
_WAIT_S = 120


@pytest.fixture
def twitch(world: World) -> Iterator[Standin]:
    """Run a stand-in with 21 channels whose playlists begin with an ad of 1.5 s, and three that are offline."""
    live = world.channel("dcss_minotaur_berserker")
    over = world.channel("already_over")
    assert live
    assert over
    channels = [replace(live, login=f"live{number}", behaviour="preroll") for number in range(CHANNELS - OFFLINE)]
    channels += [replace(over, login=f"over{number}") for number in range(OFFLINE)]
    with Standin(World(tuple(channels)), preroll_s=1.5) as running:
        yield running


def _rows(folder: Path) -> list[dict[str, str]]:
    file = folder / "out.csv"
    if not file.exists():
        return []
    with file.open(encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text))


def _wait_for_rows(folder: Path, count: int, process: subprocess.Popen[str]) -> None:
    """Wait until the command has written `count` rows; fail if it ends before."""
    end = time.monotonic() + _WAIT_S
    while len(_rows(folder)) < count:
        assert process.poll() is None, (folder / "stderr").read_text(encoding="utf-8")
        assert time.monotonic() < end, f"no {count} rows in {_WAIT_S} s"
        time.sleep(0.05)


def test_audit_on_a_cluster_confirms_a_mismatch_and_counts_what_nodes_spend(
    cluster: RayNodes, world: World, postgres: dict[str, str], tmp_path: Path
):
    """Each look is a task of the cluster; the report has the picture, the requests and the CPU time of the nodes."""
    cluster.ray.wait_for_nodes()  # until Ray has noticed each kill of the tests before: such a node is a warning
    dark, bright = (next(c for c in world.channels if c.game_id == game.id and c.has_frames) for game in (DARK, BRIGHT))
    liar = replace(bright, login="liar", game_id=DARK.id, game=DARK.name, behaviour="live")
    channels = (replace(dark, behaviour="live"), replace(bright, behaviour="live"), liar)
    model_path = save_model(tmp_path / "model", (DARK, BRIGHT))
    with Standin(World(channels)) as twitch:
        own = {"FRAMES_PER_STREAM": "2", "DOWNLOAD_PATH": str(tmp_path), "AUDIT_PATH": str(tmp_path / "audits")}
        environ = environment(twitch, model_path, **{**twitch.environment, **postgres, **own})
        options = ["--top", "3", "--min-precision", "0", "--again", "0", "--logins", "--ray", cluster.address]
        done = run_command("recognition.audit", *options, env=environ)
    assert (done.returncode, done.stderr) == (0, "")
    assert "other game 33.3 % (1)" in done.stdout
    cost = re.search(r"([0-9.]+) s of processor time, 8 frames, ([0-9]+) requests", done.stdout)  # 4 looks of 2 frames
    assert cost
    assert int(cost[2]) >= 8 * 2
    [page] = (tmp_path / "audits").glob("*/report.html")
    assert "data:image/jpeg;base64," in page.read_text(encoding="utf-8")


def test_survey_when_coordinator_and_node_are_killed_gives_each_source_once(
    cluster: RayNodes, twitch: Standin, postgres: dict[str, str], tmp_path: Path
):
    """Kill -9 of the command, which goes on when it is started again; then of a node with its tasks in work."""
    own = {"PYTHONPATH": str(ROOT), "RAY_ADDRESS": cluster.address, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    own |= {"FRAMES_PER_STREAM": "1", "PARALLEL_STREAMS": "1"}
    model_path = save_model(tmp_path / "model", (DARK, BRIGHT))
    environ = environment(twitch, model_path, **{**twitch.environment, **postgres, **own})
    names = [channel.login for channel in twitch.world.channels]
    words = [*names, "--ray", cluster.address, "--category", "--csv", str(tmp_path / "out.csv")]
    with (
        (tmp_path / "stderr").open("w", encoding="utf-8") as stderr,
        subprocess.Popen(
            command(*words), env=environ, cwd=ROOT, stderr=stderr, text=True, start_new_session=True
        ) as process,
    ):
        try:
            _wait_for_rows(tmp_path, 6, process)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    stored = {row["source"]: row for row in _rows(tmp_path)}
    node = cluster.add()  # never one on which the killed command may still have a worker

    def kill_node() -> None:
        cluster.wait_for_tasks(node, twitch)
        cluster.kill(node)

    with ThreadPoolExecutor(1) as thread:
        killed = thread.submit(kill_node)
        done = run_command("recognition.recognize", *words, env=environ)
        killed.result()
    rows = _rows(tmp_path)
    assert Counter(row["source"] for row in rows) == Counter(channel.login for channel in twitch.world.channels)
    assert Counter(row["reason"] for row in rows) == {"": CHANNELS - OFFLINE, "offline": OFFLINE}
    assert {row["category"] for row in rows if not row["reason"]} == {"Dungeon Crawl Stone Soup"}
    assert "continuing the survey of" in done.stderr
    assert "a worker is lost" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode == 0
    # What was stored comes again as it was.
    again = [row for row in rows if row == stored.get(row["source"])]
    assert len(again) >= 5
