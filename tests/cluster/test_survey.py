"""Survey on a Ray cluster: what dies meanwhile costs no source, and the same command goes on."""

from __future__ import annotations

import csv
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cluster.conftest import RayNodes
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


@contextmanager
def _survey(twitch: Standin, environ: dict[str, str], folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Start the command in a process group of its own; kill it at the end of the block if it still runs."""
    names = [channel.login for channel in twitch.world.channels]
    arguments = command(*names, "--ray", environ["RAY_ADDRESS"], "--category", "--csv", str(folder / "out.csv"))
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    process = subprocess.Popen(arguments, env=environ, cwd=ROOT, text=True, start_new_session=True, **pipes)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _rows(folder: Path) -> list[dict[str, str]]:
    file = folder / "out.csv"
    if not file.exists():
        return []
    with file.open(encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text))


def _wait_for_rows(folder: Path, count: int, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + _WAIT_S
    while len(_rows(folder)) < count:
        if process.poll() is not None or time.monotonic() > end:
            process.kill()
            pytest.fail(f"the survey does not go on: {process.communicate()[1]}")
        time.sleep(0.05)


def test_survey_when_coordinator_and_node_are_killed_gives_each_source_once(
    cluster: RayNodes, twitch: Standin, postgres: dict[str, str], tmp_path: Path
):
    """Kill -9 of the command, which goes on when it is started again; then of a node with its tasks in work."""
    own = {"PYTHONPATH": str(ROOT), "RAY_ADDRESS": cluster.address}
    own |= {"FRAMES_PER_STREAM": "1", "PARALLEL_STREAMS": "1", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    model_path = save_model(tmp_path / "model", (DARK, BRIGHT))
    environ = environment(twitch, model_path, **{**twitch.environment, **postgres, **own})
    with _survey(twitch, environ, tmp_path) as process:
        _wait_for_rows(tmp_path, 6, process)
        os.killpg(process.pid, signal.SIGKILL)
    node = cluster.add()
    stored = {row["source"]: row for row in _rows(tmp_path)}
    with _survey(twitch, environ, tmp_path) as process:
        _wait_for_rows(tmp_path, 14, process)
        cluster.kill(node)
        _, log = process.communicate(timeout=_WAIT_S)
    rows = _rows(tmp_path)
    assert Counter(row["source"] for row in rows) == Counter(channel.login for channel in twitch.world.channels)
    assert Counter(row["reason"] for row in rows) == {"": CHANNELS - OFFLINE, "offline": OFFLINE}
    assert {row["category"] for row in rows if not row["reason"]} == {"Dungeon Crawl Stone Soup"}
    assert "continuing the survey of" in log
    assert "Traceback" not in log
    assert process.returncode == 0
    # What was stored comes again as it was.
    again = [row for row in rows if row == stored.get(row["source"])]
    assert len(again) >= 5


def test_audit_on_a_cluster_confirms_a_mismatch_and_counts_what_nodes_spend(
    cluster: RayNodes, world: World, postgres: dict[str, str], tmp_path: Path
):
    """Each look is a task of the cluster; the report has the picture, the requests and the CPU time of the nodes."""
    dark, bright = (next(c for c in world.channels if c.game_id == game.id and c.has_frames) for game in (DARK, BRIGHT))
    liar = replace(bright, login="liar", game_id=DARK.id, game=DARK.name, behaviour="live")
    channels = (replace(dark, behaviour="live"), replace(bright, behaviour="live"), liar)
    model_path = save_model(tmp_path / "model", (DARK, BRIGHT))
    with Standin(World(channels)) as twitch:
        own = {"FRAMES_PER_STREAM": "2", "DOWNLOAD_PATH": str(tmp_path), "AUDIT_PATH": str(tmp_path / "audits")}
        environ = environment(twitch, model_path, **{**twitch.environment, **postgres, **own})
        options = ["--top", "3", "--min-precision", "0", "--again", "0", "--logins", "--ray", cluster.address]
        words = [sys.executable, "-m", "recognition.audit", *options]
        done = subprocess.run(
            words, env=environ, cwd=ROOT, capture_output=True, text=True, timeout=_WAIT_S, check=False
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert "other game 33.3 % (1)" in done.stdout
    cost = re.search(r"([0-9.]+) s of processor time, 8 frames, ([0-9]+) requests", done.stdout)  # 4 looks of 2 frames
    assert cost
    assert int(cost[2]) >= 8 * 2
    [page] = (tmp_path / "audits").glob("*/report.html")
    assert "data:image/jpeg;base64," in page.read_text(encoding="utf-8")
