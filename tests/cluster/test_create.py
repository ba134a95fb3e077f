"""Placement of model.create --ray: one process on each node, which end together."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from data.errors import ClusterError
from data.pool.nodes import Cluster
from data.pool.placement import Command, PlacedProcess, run_on_nodes
from model.training.machines import tf_config
from tests.cluster.conftest import RayNodes

pytestmark = pytest.mark.xdist_group("cluster")

# Writes its TF_CONFIG and folder to a file named after its number; the first one waits for all files.
_MEET = """
import json, os, sys, time
from pathlib import Path
config = json.loads(os.environ["TF_CONFIG"])
number, count = config["task"]["index"], len(config["cluster"]["worker"])
folder = Path(os.environ["FOLDER"])
sent = {path.name: path.read_text() for path in folder.rglob("*") if path.is_file()} if number else {}
Path(sys.argv[1], str(number)).write_text(json.dumps([config, str(folder), sent, os.getpid()]))
while number == 0 and len(os.listdir(sys.argv[1])) < count:
    time.sleep(0.05)
"""
# The first one hangs, the second one fails.
_FAIL = """
import json, os, sys, time
if json.loads(os.environ["TF_CONFIG"])["task"]["index"] == 1:
    sys.exit("the GPU is gone")
open(sys.argv[1] + "/" + str(os.getpid()), "w").close()
time.sleep(600)
"""


def _commands(code: str, folder: Path, files: dict[str, bytes]):
    def describe(addresses):
        return [
            Command(
                ["-c", code, str(folder)],
                {"TF_CONFIG": tf_config(addresses, index), "FOLDER": "unset"},
                "FOLDER",
                files,
            )
            for index in range(len(addresses))
        ]

    return describe


@pytest.fixture
def two_nodes(cluster: RayNodes, connected: Cluster) -> Cluster:
    """Return the cluster with a second node."""
    cluster.second()
    return connected


def _runs(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists() and Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"


@pytest.fixture
def three_nodes(cluster: RayNodes, two_nodes: Cluster) -> Iterator[Cluster]:
    """Yield the cluster with a third node, which leaves it at the end."""
    node = cluster.add()
    yield two_nodes
    cluster.ray.remove_node(node)


def test_processes_when_placed_know_each_other_and_the_first_ends_the_command(three_nodes: Cluster, tmp_path: Path):
    """This machine's process is worker 0; the other nodes' get the files, in a folder that is gone at the end."""
    assert run_on_nodes(three_nodes, _commands(_MEET, tmp_path, {"unfinished/marker": b"epoch 3"})) == 0
    received = [json.loads((tmp_path / name).read_text()) for name in sorted(path.name for path in tmp_path.iterdir())]
    configs = [config for config, *_ in received]
    assert [config["task"] for config in configs] == [{"type": "worker", "index": n} for n in range(len(received))]
    assert all(config["cluster"] == configs[0]["cluster"] for config in configs)
    assert len(set(configs[0]["cluster"]["worker"])) == len(received) >= 3
    assert received[0][1:3] == ["unset", {}]
    assert all(sent == {"marker": "epoch 3"} for _, _, sent, _ in received[1:])
    assert not any(Path(folder).exists() or _runs(pid) for _, folder, _, pid in received[1:])


def test_process_that_fails_ends_all_and_its_last_line_is_the_error(two_nodes: Cluster, tmp_path: Path):
    """The first one would hang: it waits for a process that is gone."""
    with pytest.raises(ClusterError, match=r"^127\.0\.0\.2: exit code 1: the GPU is gone$"):
        run_on_nodes(two_nodes, _commands(_FAIL, tmp_path, {}))
    assert not any(_runs(int(path.name)) for path in tmp_path.iterdir())


def test_placed_process_when_it_has_ended_says_its_last_line():
    """Also when much of its output is still in the pipe at its end."""
    placed = PlacedProcess()
    code = r"import os; os.write(1, b'x\n' * 30_000 + b'the end\n'); os._exit(1)"
    placed.run(Command(["-c", code], {}, "FOLDER"))
    try:
        while (answer := placed.poll())[0] is None:
            pass
        assert answer == (1, "the end")
    finally:
        placed.close()


def test_bound_process_ends_with_the_process_that_started_it():
    """After SIGKILL of the parent, which can do nothing any more."""
    code = (
        "import time; from data.pool import bound_process; "
        "print(bound_process.start(['-c', 'import time; time.sleep(600)']).pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        assert _runs(pid)
        parent.kill()
    end = time.monotonic() + 10
    while _runs(pid) and time.monotonic() < end:
        time.sleep(0.05)
    assert not _runs(pid)
