"""Ray cluster of the tests: a head of one CPU on loopback, and a second node for tests that need or kill one.

Each node costs its two agents, and each worker its own start: 1.5 and 0.7 s of CPU. So all tests of this folder share
the head, and the tests before a kill share the node that it ends.
"""

from __future__ import annotations

import os
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

from config import Settings
from data.pool.cluster import open_cluster
from data.pool.nodes import Cluster
from tests.standin import Standin
from tests.standin.media import default_cache

ROOT = Path(__file__).resolve().parents[2]
_LOOPBACK = "127.0.0.2"  # Ray takes another address of the machine for 127.0.0.1
_NODE = {
    "num_cpus": 1,
    "object_store_memory": 80 * 2**20,
    "node_ip_address": _LOOPBACK,
    "include_dashboard": False,
}
_HEAD = {"no_monitor": True, "include_log_monitor": False, **_NODE}  # two processes fewer
_WORKER_S = 60


@dataclass
class RayNodes:
    """The processes of a cluster."""

    ray: Any  # ray.cluster_utils.Cluster
    _second: Any = None

    @property
    def address(self) -> str:
        """Address for --ray and RAY_ADDRESS."""
        return str(self.ray.address)

    def add(self) -> Any:
        """Start another node; return it. The test ends it with `kill`."""
        return self.ray.add_node(**_NODE)

    def second(self) -> Any:
        """Return the second node, which an earlier test may have left; start it if none runs."""
        if self._second not in self.ray.worker_nodes:
            self._second = self.add()
        return self._second

    def wait_for_tasks(self, node: Any, twitch: Standin) -> None:
        """Wait until a worker of the node talks to the stand-in: it has a task."""
        port = urlsplit(twitch.url).port
        _wait_until(lambda: any(port in _ports(process) for process in _processes(node)))

    def wait_for_no_worker(self, node: Any) -> None:
        """Wait until the node has no worker with a coordinator, such as after the coordinator's death."""
        _wait_until(lambda: not any(map(_has_coordinator, _processes(node))))

    def kill(self, node: Any) -> None:
        """End all processes of a node with SIGKILL."""
        if node in self.ray.worker_nodes:
            self.ray.remove_node(node, allow_graceful=False)


def _wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + _WORKER_S
    while not condition():
        assert time.monotonic() < end, f"not in {_WORKER_S} s"
        time.sleep(0.05)


def _processes(node: Any) -> list[psutil.Process]:
    """Return the processes of a node's workers."""
    (raylet,) = node.all_processes["raylet"]
    return psutil.Process(raylet.process.pid).children()


def _has_coordinator(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return "WorkerHost.exchange" in " ".join(process.cmdline())  # Ray writes there what runs
    return False


def _ports(process: psutil.Process) -> set[int]:
    """Return the ports to which a worker with a coordinator has connections; none for other processes."""
    with suppress(psutil.NoSuchProcess):
        if _has_coordinator(process):  # the connections cost more
            return {connection.raddr.port for connection in process.net_connections() if connection.raddr}
    return set()


@pytest.fixture(scope="session", autouse=True)
def _ray_environment() -> Iterator[None]:
    """Set the environment of a cluster with a token. Ray reads some of it when it is imported."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="ray") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", folder)  # sockets need a short path
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        patch.setenv("TWITCH_STANDIN_CACHE", str(default_cache()))  # shared by all tests: a transcode costs seconds
        patch.setenv("XDG_CACHE_HOME", f"{folder}/cache")
        patch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)  # of commands that run in another folder
        patch.setenv("RAY_raylet_report_resources_period_milliseconds", "500")
        patch.delenv("RAY_ADDRESS", raising=False)
        yield


@pytest.fixture(scope="session")
def cluster(_ray_environment: None) -> Iterator[RayNodes]:
    """Start the head; end all nodes at the end. No process is connected to it yet."""
    from ray.cluster_utils import Cluster as RayCluster

    ray = RayCluster(initialize_head=True, head_node_args=_HEAD)
    try:
        yield RayNodes(ray)
    finally:
        ray.shutdown()


@pytest.fixture(scope="module")
def connected(cluster: RayNodes) -> Iterator[Cluster]:
    """Connect this process to the cluster, for the tests of one module."""
    with open_cluster(Settings(_env_file=None, ray_address=cluster.address)) as opened:
        yield opened
