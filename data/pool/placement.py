"""Placement: one process on each node of a cluster, which need each other; the first one runs on this machine.

    choose a free port on each node; describe the processes to each other
    start all; the first one has this process's standard streams
    until the first one ends:
        one of the others failed, or its node does not answer: end all; its last lines are the error

Ray only starts the other processes and watches them. Each process ends with what started it, whatever is killed.
"""

from __future__ import annotations

import fcntl
import math
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import wait
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data.errors import ClusterError
from data.pool import bound_process
from data.pool.calls import describe_error, results
from data.pool.nodes import Cluster, Node
from data.text import printable_line
from data.threads import start_thread

_START_S = 60.0  # for an actor, which needs a free CPU and all GPUs of its node
_POLL_S = 0.5
_SILENT_S = 60.0  # a training takes hours: a busy node or network does not end it
_CLOSE_S, _OUTPUT_S = 2.0, 1.0
_GRACE_S = 5.0  # for the first process, when another one has failed
_LINES, _LINE_BYTES = 20, 1000  # of the output that is kept
_PREFIX, _STALE_S = "twitchcategory-training-", 3600.0  # of temporary folders


@dataclass(frozen=True, slots=True)
class Command:
    """A Python command for a node.

    words: after `python`. environment: variables that differ from the node's. folder_variable: name of a variable that,
    on other nodes, gets the path of a temporary folder. files: what is in it, content by path.
    """

    words: Sequence[str]
    environment: Mapping[str, str]
    folder_variable: str
    files: Mapping[str, bytes] = field(default_factory=dict)


class PlacedProcess:
    """Actor: a process on its node, which ends with the actor."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = make_folder()
        self._lines: deque[bytes] = deque(maxlen=_LINES)

    def free_port(self) -> int:
        """Return a free TCP port of the node."""
        return free_port()

    def run(self, command: Command) -> None:
        """Start the process."""
        for path, content in command.files.items():
            (self._folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self._folder / path).write_bytes(content)
        variables = {**command.environment, command.folder_variable: str(self._folder)}
        # Bound to this thread of the actor's pool, which lives as long as the actor.
        self._process = bound_process.start(
            command.words,
            env=_environment(variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._reader = start_thread(self._read, "output")

    def poll(self) -> tuple[int | None, str]:
        """Return the exit code, None while the process runs, and the last line of its output."""
        if not self._process or (code := self._process.poll()) is None:
            return None, ""
        wait([self._reader], _OUTPUT_S)  # a process of its own may keep the pipe open
        lines = [line for line in [*self._lines] if line.strip()]  # a copy: the thread may add lines
        return code, printable_line(lines[-1].decode(errors="replace").strip()) if lines else ""

    def close(self) -> None:
        """End the process and remove its folder."""
        if self._process:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _read(self) -> None:
        assert self._process
        assert self._process.stdout
        while line := self._process.stdout.readline(_LINE_BYTES):
            self._lines.append(line)


@dataclass
class _Peer:
    """A process on another node, seen from here."""

    node: Node
    actor: Any
    asked: Any = None
    silent_since: float = math.inf  # monotonic seconds, of the first question without an answer

    def failure(self) -> str:
        """Return why the process has failed; empty while it runs, or if it succeeded."""
        import ray

        if self.asked is None:
            self.asked = self.actor.poll.remote()
            self.silent_since = min(self.silent_since, time.monotonic())
        (answer,) = results([self.asked], 0.0)
        if not isinstance(answer, TimeoutError):
            self.asked = None
        if isinstance(answer, TimeoutError | ray.exceptions.ActorUnavailableError):  # the network may come back
            late = time.monotonic() - self.silent_since > _SILENT_S
            return f"the node has not answered for {_SILENT_S:.0f} s" if late else ""
        if isinstance(answer, Exception):
            return f"the node was lost ({describe_error(answer)})"
        self.silent_since = math.inf
        code, line = answer
        return f"exit code {code}: {line or 'it printed nothing'}" if code else ""


def run_on_nodes(cluster: Cluster, describe: Callable[[Sequence[str]], Sequence[Command]]) -> int:
    """Run a process on this machine's node and on each other node with a CPU; return the exit code of the first one.

    describe: returns the commands for addresses host:port, one for each process, this machine's first.
    Ctrl-C ends all. Raises ClusterError: another process failed, or its node does not answer.
    """
    import ray

    own_id = ray.get_runtime_context().get_node_id()
    nodes = cluster.nodes()
    own = next(node for node in nodes if node.id == own_id)
    others = [node for node in nodes if node.id != own_id and node.cpus]
    peers = [_Peer(node, cluster.start_actor(PlacedProcess, node, node.gpus)) for node in others]
    try:
        ports = [free_port(), *_answers(peers, [peer.actor.free_port.remote() for peer in peers])]
        first, *rest = describe([f"{node.address}:{port}" for node, port in zip([own, *others], ports, strict=True)])
        _answers(peers, [peer.actor.run.remote(command) for peer, command in zip(peers, rest, strict=True)])
        process = bound_process.start(first.words, env=_environment(first.environment))
        return _wait(process, peers)
    finally:
        results([peer.actor.close.remote() for peer in peers], _CLOSE_S)
        for peer in peers:
            cluster.kill(peer.actor)


def free_port() -> int:
    """Return a free TCP port of this machine. Another program may take it before it is used."""
    with socket.socket() as server:
        server.bind(("", 0))
        return int(server.getsockname()[1])


def make_folder() -> Path:
    """Return a new temporary folder, locked by this process; remove those of processes that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):  # removed meanwhile
            if time.time() - folder.stat().st_mtime > _STALE_S and _lock(folder):
                shutil.rmtree(folder, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    _lock(folder)
    return folder


def _lock(folder: Path) -> bool:
    """Lock the folder until this process ends; return whether no process had locked it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return False
    return True


def _answers(peers: Sequence[_Peer], calls: Sequence[Any]) -> list[Any]:
    """Return what the peers answer to the calls. Raises ClusterError."""
    answers = results(calls, _START_S)
    for peer, answer in zip(peers, answers, strict=True):
        if isinstance(answer, Exception):
            address, late = peer.node.address, isinstance(answer, TimeoutError)
            why = f"not in {_START_S:.0f} s: it needs a free CPU and its GPUs" if late else describe_error(answer)
            raise ClusterError(f"{address}: no process has started there ({why})") from answer
    return answers


def _wait(process: subprocess.Popen[bytes], peers: Sequence[_Peer]) -> int:
    """Wait for the first process; return its exit code. It never outlives this call."""
    try:
        while (code := process.poll()) is None:
            for peer in peers:
                if why := peer.failure():
                    process.terminate()
                    _join(process, _GRACE_S)
                    raise ClusterError(f"{peer.node.address}: {why}")
            _join(process, _POLL_S)
        return code
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)  # it has a process group of its own: the terminal's Ctrl-C missed it
        return process.wait()
    finally:
        process.kill()
        _join(process, _GRACE_S)


def _join(process: subprocess.Popen[bytes], timeout_s: float) -> None:
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout_s)


def _environment(changes: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a process: this one's, without what Ray has added, with the project's modules."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "OMP_NUM_THREADS"))}
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
    return own | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"} | dict(changes)
