"""Cluster of network namespaces: a real Ray cluster whose nodes have links that can be cut. Linux, as root.

    with NodeCluster(nodes=3) as cluster, Standin(world, host=cluster.loopback) as standin:
        run a command with os.environ | cluster.environment | standin.environment
        cluster.kill_node(0); cluster.cut_link(1); cluster.add_node()

The head of Ray, without CPUs, listens at `host`. Commands and servers run beside it, outside the namespaces; servers
listen at `loopback`, or have a relay there (benchmarks._relay), as the embedded PostgreSQL with its Unix socket.

A killed run leaves no process: each node and the head die with the thread that made them (PR_SET_PDEATHSIG), so make
them in the main thread. The next run removes its namespaces and files.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks._namespaces import Namespaces
from tests.receivers.ports import free_port

_REPOSITORY = Path(__file__).resolve().parent.parent
_START_S = 60
_OBJECT_STORE = 80 << 20  # bytes; Ray's minimum is 75 MiB
_OPTIONS = (f"--object-store-memory={_OBJECT_STORE}", "--include-log-monitor=false")
_RAY = (sys.executable, "-m", "ray.scripts.scripts", "start", "--block", *_OPTIONS)
_STARTED = "Ray runtime started"  # what `ray start` prints when its node has joined


class NodeCluster:
    """A Ray cluster on this machine whose nodes have one CPU, one core and a namespace each; a context manager.

    Args:
        nodes: their number at the start.
        environment: variables of the nodes beside this process's.

    Attributes:
        environment: variables with which a command uses the cluster.
        host, loopback: addresses of this side, as in benchmarks._namespaces.
        variables: environment of the nodes; it may be changed before they start.

    Raises SystemExit with one line where namespaces are not permitted.
    """

    def __init__(self, nodes: int = 3, environment: Mapping[str, str] | None = None) -> None:
        self._namespaces = Namespaces()
        self.host, self.loopback = self._namespaces.host, self._namespaces.loopback
        self._count, self._next = nodes, 0
        self._nodes: dict[str, subprocess.Popen[bytes]] = {}  # by number, and "head"
        token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        address = f"{self.host}:{free_port(self.host)}"
        self.environment = {**token, "RAY_ADDRESS": address, "RAY_USAGE_STATS_ENABLED": "0"}
        # Ray gives workers a nice value of 15. Threads have none; and this machine runs other programs.
        own = {"PYTHONPATH": str(_REPOSITORY), "RAY_worker_niceness": "0", **(environment or {}), **self.environment}
        self.variables = {**os.environ, **own}
        del self.variables["RAY_ADDRESS"]  # `ray start` would take it for its own

    def __enter__(self) -> NodeCluster:
        try:
            self._start_head()
            for _ in range(self._count):
                self.add_node(wait=False)
            self.wait_for_nodes()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Kill the head and the nodes; remove the namespaces and the files."""
        self._namespaces.close()
        for process in self._nodes.values():
            process.wait(_START_S)

    def add_node(self, *, wait: bool = True) -> int:
        """Start one more node; return its number. wait: return only when it has joined."""
        node, self._next = self._next, self._next + 1
        self._namespaces.add(node)
        self.start_node(node, wait=wait)
        return node

    def start_node(self, node: int, *, wait: bool = True) -> None:
        """Start a node again after its death. Ray ends the nodes that it has given up, as after a cut of a minute."""
        if str(node) in self._nodes:
            self.kill_node(node)
        cores = sorted(os.sched_getaffinity(0))
        address = f"--address={self.environment['RAY_ADDRESS']}"
        ray = (*_RAY, address, "--num-cpus=1", f"--node-ip-address={self._namespaces.address(node)}")
        self._start(str(node), ray, (node, cores[node % len(cores)]))
        if wait:
            self.wait_for_nodes()

    def kill_node(self, node: int) -> None:
        """Kill all processes of a node, as by kill -9."""
        self._namespaces.signal(node, signal.SIGKILL)
        self._nodes.pop(str(node)).wait(_START_S)

    def pause_node(self, node: int) -> None:
        """Stop all processes of a node (SIGSTOP): it hangs, and its connections stay open."""
        self._namespaces.signal(node, signal.SIGSTOP)

    def resume_node(self, node: int) -> None:
        """Let a paused node go on."""
        self._namespaces.signal(node, signal.SIGCONT)

    def cut_link(self, node: int) -> None:
        """Cut a node off from the head, the other nodes and all servers; it keeps running."""
        self._namespaces.set_link(node, "down")

    def restore_link(self, node: int) -> None:
        """Connect a node again."""
        self._namespaces.set_link(node, "up")

    def wait_for_nodes(self) -> None:
        """Wait until the head and all nodes have joined. Raises RuntimeError after a minute, and when one has ended."""
        end = time.monotonic() + _START_S
        while missing := [name for name in self._nodes if _STARTED not in self._output(name)]:
            if time.monotonic() > end or any(self._nodes[name].poll() is not None for name in missing):
                raise RuntimeError("; ".join(f"{name} has not joined: {self._output(name)[-500:]}" for name in missing))
            time.sleep(0.1)

    def _start_head(self) -> None:
        port = self.environment["RAY_ADDRESS"].rpartition(":")[2]
        # The default ports may be another cluster's.
        ports = ("--min-worker-port=0", "--max-worker-port=0", "--dashboard-agent-listen-port=0")
        client = f"--ray-client-server-port={free_port(self.host)}"
        options = ("--head", f"--port={port}", "--num-cpus=0", "--include-dashboard=false", client, *ports)
        self._start("head", (*_RAY, *options, f"--node-ip-address={self.host}"))

    def _start(self, name: str, ray: tuple[str, ...], place: tuple[int, int] | None = None) -> None:
        """Run `ray start` with a folder of its own, also for its cache. place: namespace and core; None: here."""
        own = self._namespaces.folder / name
        own.mkdir(exist_ok=True)
        ray = (*ray, f"--temp-dir={own}")
        command = ray if place is None else self._namespaces.command(*place, ray)
        with (own / "output").open("wb") as output:
            self._nodes[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *command],
                cwd=_REPOSITORY,
                env=self.variables | {"XDG_CACHE_HOME": str(own / "cache"), "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _output(self, name: str) -> str:
        return (self._namespaces.folder / name / "output").read_text(encoding="utf-8", errors="replace")
