"""Ray cluster of the tests: a head and two nodes of one CPU on loopback, shared by all tests of this folder."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from config import Settings
from data.pool.cluster import open_cluster
from data.pool.nodes import Cluster

ROOT = Path(__file__).resolve().parents[2]
_LOOPBACK = "127.0.0.2"  # Ray takes another address of the machine for 127.0.0.1
_NODE = {"object_store_memory": 80 * 2**20, "node_ip_address": _LOOPBACK, "include_dashboard": False}

_HEAD = {"no_monitor": True, "include_log_monitor": False, **_NODE}  # two processes fewer


@dataclass
class RayNodes:
    """The processes of a cluster."""

    ray: Any  # ray.cluster_utils.Cluster

    @property
    def address(self) -> str:
        """Address for --ray and RAY_ADDRESS."""
        return str(self.ray.address)

    def add(self) -> Any:
        """Start another node of one CPU; return it. The test kills it with `kill`, or removes it at its end."""
        return self.ray.add_node(num_cpus=1, **_NODE)

    def kill(self, node: Any) -> None:
        """End all processes of a node with SIGKILL."""
        if node in self.ray.worker_nodes:
            self.ray.remove_node(node, allow_graceful=False)


@pytest.fixture(scope="session", autouse=True)
def _ray_environment() -> Iterator[None]:
    """Set the environment of a cluster with a token. Ray reads some of it when it is imported."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="ray") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", folder)  # sockets need a short path
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        patch.setenv("XDG_CACHE_HOME", f"{folder}/cache")
        patch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)  # of commands that run in another folder
        patch.setenv("RAY_raylet_report_resources_period_milliseconds", "500")
        patch.delenv("RAY_ADDRESS", raising=False)
        yield


@pytest.fixture(scope="session")
def cluster(_ray_environment: None) -> Iterator[RayNodes]:
    """Start the nodes; stop them at the end. No process is connected to them yet."""
    from ray.cluster_utils import Cluster as RayCluster

    ray = RayCluster(initialize_head=True, head_node_args={"num_cpus": 0, **_HEAD})
    try:
        nodes = RayNodes(ray)
        nodes.add()
        yield nodes
    finally:
        ray.shutdown()


@pytest.fixture(scope="module")
def second_node(cluster: RayNodes) -> Iterator[None]:
    """Run a second node for the tests of one module. Others need none: each worker takes a second or more to start."""
    node = cluster.add()
    yield
    cluster.ray.remove_node(node, allow_graceful=True)


@pytest.fixture(scope="module")
def connected(cluster: RayNodes) -> Iterator[Cluster]:
    """Connect this process to the cluster, for the tests of one module."""
    with open_cluster(Settings(_env_file=None, ray_address=cluster.address)) as opened:
        yield opened
